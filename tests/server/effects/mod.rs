//! The effects stream as operators see it.

mod corpus;
mod form;
mod load;
pub mod replay;
mod slow;

use crate::harness::cli::{begin, finish};
use crate::harness::{Server, eventually};

#[test]
fn without_a_position_there_is_nothing_and_ahead_of_it_a_refusal() {
    let server = Server::echo("");
    let ended = server.cli(&["effects"]);
    assert_eq!((ended.exit, ended.stdout.as_str()), (0, ""));
    let ended = server.cli(&["effects", "--from", "1000", "--json"]);
    assert_eq!((ended.exit, ended.code().as_str()), (51, "no_such_position"));
    let ended = server.cli(&["effects", "--format", "resp", "--json"]);
    assert_eq!(ended.exit, 2, "two formats");
}

#[test]
fn a_follower_ends_with_the_server_and_says_so() {
    let mut server = Server::echo("");
    let follower = begin(&["effects", "--follow", "--admin", server.admin().to_str().unwrap()]);
    eventually("it reads", || server.status()["effects"]["readers"] == 1);
    assert!(server.stop(), "a follower holds nothing up");
    let ended = finish(follower);
    // The server may still be there to say that it stops, or be gone.
    assert!([5, 43].contains(&ended.exit), "{}: {}", ended.exit, ended.stderr);
    assert_eq!(ended.stdout, "");
}
