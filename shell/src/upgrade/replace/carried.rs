//! What a server tells the next one in words: what is not in the arena and yet outlives it.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use rustix::fs::MemfdFlags;
use serde::{Deserialize, Serialize};

use super::super::board::{Board, COUNTERS};
use super::super::builds::{Build, Builds};
use super::super::history::{Record, Stage};
use crate::keeper::board::{self, Own};
use crate::logic::verify::Verdict;
use crate::refusal::{Code, Refusal};

/// The client that has asked by a command, and which wait of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asker {
    /// [`abi::client_ref::ClientRef`]
    pub client: u64,
    /// What the wait is known by.
    pub detail: u64,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Carried {
    /// Which replacement this is about.
    pub ticket: u64,
    /// Whether it goes back.
    pub rollback: bool,
    /// When it was asked for, Unix ms.
    pub at_ms: u64,
    /// The builds.
    pub builds: Builds,
    /// Steps passed.
    pub stages: Vec<Stage>,
    /// Who waits for the outcome.
    pub asker: Option<Asker>,
    /// What the new program thinks of the library that serves.
    pub verdict: Verdict,
    /// The file of that library.
    pub source: PathBuf,
    /// The text of the signature that lay beside it.
    pub signature: Option<String>,
    /// The number of the generation that serves.
    pub generation: u64,
    /// What happened.
    pub history: Vec<Record>,
    /// Swaps, swaps back, requests refused, canaries withdrawn.
    pub counters: [u64; 4],
}

impl Carried {
    /// What there is now, with nothing of a replacement.
    pub(super) fn of_now(board: &Board, verdict: Verdict) -> Self {
        let content = board.lock();
        let image = content.image.clone();
        let read =
            [&COUNTERS.upgrades, &COUNTERS.rollbacks, &COUNTERS.refused, &COUNTERS.withdrawn];
        Self {
            ticket: 0,
            rollback: false,
            at_ms: 0,
            builds: Builds { from: Build::default(), to: Build::default() },
            stages: Vec::new(),
            asker: None,
            verdict,
            source: image.as_ref().map(|image| image.source().to_owned()).unwrap_or_default(),
            signature: image.and_then(|image| image.signature().map(str::to_owned)),
            generation: COUNTERS.generation.load(Ordering::Relaxed),
            history: Vec::new(),
            counters: read.map(|counter| counter.load(Ordering::Relaxed)),
        }
    }

    /// Has counters go on from here.
    pub fn count_on(&self) {
        let all = [&COUNTERS.upgrades, &COUNTERS.rollbacks, &COUNTERS.refused, &COUNTERS.withdrawn];
        all.iter().zip(self.counters).for_each(|(to, count)| to.store(count, Ordering::Relaxed));
    }
}

/// Writes it down for the next server.
///
/// # Errors
/// `io`.
pub(super) fn write(carried: &Carried) -> Result<OwnedFd, Refusal> {
    let io = |error: std::io::Error| {
        Refusal::new(Code::Io, format!("cannot tell what is known: {error}"))
    };
    let memory = rustix::fs::memfd_create("carried", MemfdFlags::CLOEXEC);
    let mut memory = memory.map(File::from).map_err(|error| io(error.into()))?;
    let text = serde_json::to_vec(carried).map_err(|error| io(error.into()))?;
    memory.write_all(&text).map_err(io)?;
    Ok(memory.into())
}

/// What the server before has told, if it has.
pub fn read() -> Option<Carried> {
    let memory = board::get()?.own(Own::Carried)?;
    let number = rustix::fd::AsRawFd::as_raw_fd(&memory);
    let mut text = Vec::new();
    // A descriptor of its own, to read from the beginning.
    File::open(format!("/proc/self/fd/{number}")).ok()?.read_to_end(&mut text).ok()?;
    let read = serde_json::from_slice(&text);
    read.inspect_err(|error| tracing::error!(%error, "what the server before has told is lost"))
        .ok()
}
