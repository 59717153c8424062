//! Workers that do not come back from what they run, and what that is.

use std::fmt;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::clock::Clock;
use super::shared::{self, ServerShared};
use crate::logic::roster;

/// A worker that has been at one turn for this long is told.
const TOLD_FROM_MS: u64 = 1000;

/// A worker that is held up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldUp {
    /// Which.
    pub worker: u32,
    /// Milliseconds since it last looked for something else to do.
    pub for_ms: u64,
    /// The command it runs, or waits to run while another lane has its keys; none outside of
    /// commands.
    pub command: Option<String>,
    /// The client whose command it is.
    pub client: Option<u64>,
    /// The generation whose code runs.
    pub generation: Option<u64>,
    /// Clients of the worker.
    pub clients: u32,
    /// Whether they are served meanwhile, as far as what the worker is at allows; else they wait.
    pub serves_others: bool,
}

/// The workers that are held up; none where there is no server.
pub fn all() -> Vec<HeldUp> {
    let Some(server) = shared::get() else { return Vec::new() };
    let now_ms = Clock::new().monotonic_ms();
    (0..server.workers()).filter_map(|worker| look_at(server, worker, now_ms)).collect()
}

/// Whether no worker has been at one turn for so long without serving others meanwhile.
pub fn none_for(server: &ServerShared, limit: Duration) -> bool {
    let now_ms = Clock::new().monotonic_ms();
    (0..server.workers()).map(|worker| server.mailbox(worker)).all(|mailbox| {
        let is_long =
            mailbox.at_work_for_ms(now_ms).is_some_and(|ms| u128::from(ms) > limit.as_millis());
        !is_long || mailbox.works_beside(now_ms)
    })
}

fn look_at(server: &ServerShared, worker: u32, now_ms: u64) -> Option<HeldUp> {
    let mailbox = server.mailbox(worker);
    let for_ms = mailbox.at_work_for_ms(now_ms).filter(|ms| *ms >= TOLD_FROM_MS)?;
    let runs = server.runs(worker);
    Some(HeldUp {
        worker,
        for_ms,
        client: runs.as_ref().map(|runs| runs.client),
        command: runs.and_then(|runs| runs.command),
        generation: roster::used_by(worker),
        clients: mailbox.clients().load(Relaxed),
        serves_others: mailbox.works_beside(now_ms),
    })
}

impl fmt::Display for HeldUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { worker, for_ms, command, client, generation, clients, serves_others } = self;
        write!(f, "worker {worker} has been at ")?;
        match command {
            Some(name) => write!(f, "{}", name.to_uppercase().replace('|', " "))?,
            None => f.write_str("work outside of commands")?,
        }
        write!(f, " for {}.{} s", for_ms / 1000, for_ms % 1000 / 100)?;
        if let Some(generation) = generation {
            write!(f, " in generation {generation}")?;
        }
        if let Some(client) = client {
            write!(f, " for client {client}")?;
        }
        let how = if *serves_others { "are served meanwhile" } else { "wait for it" };
        write!(f, "; clients that {how}: {clients}")
    }
}

/// Each in its own words, one after another.
pub fn told(held_up: &[HeldUp]) -> String {
    held_up.iter().map(HeldUp::to_string).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_a_worker_up_is_told_as_far_as_it_is_known() {
        let known = HeldUp {
            worker: 1,
            for_ms: 12_345,
            command: Some("client|list".into()),
            client: Some(7),
            generation: Some(2),
            clients: 3,
            serves_others: false,
        };
        let expected = "worker 1 has been at CLIENT LIST for 12.3 s in generation 2 for client 7; \
                        clients that wait for it: 3";
        assert_eq!(known.to_string(), expected);
        let serving = HeldUp { serves_others: true, ..known.clone() };
        assert!(serving.to_string().ends_with("; clients that are served meanwhile: 3"));
        let unknown = HeldUp { command: None, client: None, generation: None, ..known };
        let expected =
            "worker 1 has been at work outside of commands for 12.3 s; clients that wait for it: 3";
        assert_eq!(unknown.to_string(), expected);
    }
}
