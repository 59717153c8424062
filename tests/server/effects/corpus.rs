//! Every line of the oracle's corpus: what is told of them leads an empty server to the same data.

use super::replay::{Recorder, assert_replayed};
use crate::harness::Server;
use crate::server::oracle::corpus::Corpus;
use crate::server::oracle::{files, run};

/// Lines between two swaps of the release.
const LINES_PER_SWAP: usize = 150;

/// Runs each file against a server, calling `before` before each line, and replays what it told.
fn check(before: impl Fn(&Server, usize)) {
    for path in files() {
        let (corpus, server) = (Corpus::read(&path), Server::start());
        let recorder = Recorder::start(&server);
        run::replies_with(&corpus, server.port, |index| before(&server, index));
        assert_replayed(&path.to_string_lossy(), &server, &recorder);
    }
}

#[test]
fn effects_lead_to_the_same_data() {
    check(|_, _| ());
}

#[test]
fn effects_lead_to_the_same_data_though_releases_are_swapped() {
    check(|server, index| {
        if index % LINES_PER_SWAP == LINES_PER_SWAP - 1 {
            server.swap();
        }
    });
}
