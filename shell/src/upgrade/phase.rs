//! Where an upgrade stands, and what is to be done next.
//!
//! [`next`] is a pure function; [`super::driver`] performs the actions it returns and reports how
//! they ended as events. So every path can be tested without a library.
//!
//! ```text
//! Idle ──Asked──► Staging ──Staged──► Verifying ──Verified──► Loading ──Loaded──► Idle
//!                    └──────────────────────┴───Failed───────────┴─────────────► Idle
//!
//! and beside it, for each generation that was replaced:
//!
//! Draining ──GracePassed──► Unloading ──Unloaded──► gone
//! ```

use crate::refusal::Code;

/// Most replaced generations that may be loaded at a time; while there are so many, no upgrade
/// begins. Each costs memory for its image; the second one lets an upgrade be rolled back while a
/// long batch still runs on the generation before.
pub const RETIRING_MAX: usize = 2;

/// Most libraries that may have hung while the server loaded them; then only those that have served
/// are loaded. Each costs a thread and its image until the server is restarted.
pub const HUNG_MAX: usize = 4;

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Another library. `force`: also one that is serving already, verified afresh.
    Upgrade {
        /// See above.
        force: bool,
    },
    /// A library that served before.
    Rollback(Target),
}

/// What a rollback leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// A library that is kept.
    Kept,
    /// The library that serves, which was asked for by a number that it has or had.
    Current,
    /// There is none.
    Nothing,
}

/// What is being done for the one upgrade that may be under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Nothing.
    Idle,
    /// The library's bytes are copied and checked.
    Staging(Kind),
    /// They are tried out in a process of their own.
    Verifying(Kind),
    /// They are loaded and attached.
    Loading(Kind),
}

impl Step {
    /// As it is shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Staging(_) => "staging",
            Self::Verifying(_) => "verifying",
            Self::Loading(_) => "loading",
        }
    }
}

/// A replaced generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Retiree {
    /// Its number.
    pub number: u64,
    /// Its grace period is over; it is being unloaded.
    pub unloading: bool,
}

/// All that decides what happens next.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Phase {
    /// The upgrade under way.
    pub step: Step,
    /// The generation that serves.
    pub current: u64,
    /// Libraries that the server has given up on while it loaded them. They are still there.
    pub hung: usize,
    /// Replaced generations that are still loaded, oldest first.
    pub retiring: Vec<Retiree>,
}

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// Somebody wants an upgrade or a rollback.
    Asked(Kind),
    /// The bytes are there. `is_current`: they are those of the current generation.
    Staged {
        /// See above.
        is_current: bool,
    },
    /// The library passed its trial.
    Verified,
    /// The library is attached and has a scratch for every lane.
    Loaded,
    /// The step under way failed.
    Failed(Code),
    /// No lane uses this replaced generation any more.
    GracePassed(u64),
    /// This replaced generation has been unloaded, or is pinned.
    Unloaded(u64),
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Copy and check the bytes of the library asked for.
    Stage,
    /// Get the kept library ready that the rollback leads to.
    StageKept,
    /// Try the staged bytes out. `fresh`: even if the same bytes passed before.
    Verify {
        /// See above.
        fresh: bool,
    },
    /// Load them as the generation with this number.
    Load(u64),
    /// Make this loaded generation the current one.
    Commit(u64),
    /// Report when the grace period of this replaced generation is over.
    Watch(u64),
    /// Unload this one.
    Unload(u64),
    /// Tell who asked last that it is not done. The upgrade under way, if any, goes on.
    Refuse(Code),
    /// Tell who asked for the upgrade under way that it failed, and drop what was staged for it.
    Abandon(Code),
}

impl Phase {
    /// The state after the first library has been published.
    pub fn first(number: u64) -> Self {
        Self { step: Step::Idle, current: number, hung: 0, retiring: Vec::new() }
    }
}

/// What follows from an event. One that does not fit the phase, such as the end of a step that is
/// not under way, changes nothing.
pub fn next(phase: Phase, event: Event) -> (Phase, Vec<Action>) {
    use Step::{Loading, Staging, Verifying};
    match (phase.step, event) {
        (_, Event::Asked(kind)) => asked(phase, kind),
        (Staging(Kind::Upgrade { force: false }), Event::Staged { is_current: true }) => {
            abandon(phase, Code::AlreadyRunning)
        }
        (Staging(kind), Event::Staged { .. }) => {
            let fresh = kind == Kind::Upgrade { force: true };
            (Phase { step: Verifying(kind), ..phase }, vec![Action::Verify { fresh }])
        }
        (Verifying(kind), Event::Verified) => {
            let number = phase.current + 1;
            (Phase { step: Loading(kind), ..phase }, vec![Action::Load(number)])
        }
        (Loading(_), Event::Loaded) => commit(phase),
        (Staging(_) | Verifying(_) | Loading(_), Event::Failed(code)) => abandon(phase, code),
        (_, Event::GracePassed(number)) => grace_passed(phase, number),
        (_, Event::Unloaded(number)) => unloaded(phase, number),
        (_, _) => (phase, vec![]),
    }
}

fn asked(phase: Phase, kind: Kind) -> (Phase, Vec<Action>) {
    if phase.step != Step::Idle || phase.retiring.len() >= RETIRING_MAX {
        return refuse(phase, Code::Busy);
    }
    let stage = match kind {
        Kind::Rollback(Target::Nothing) => return refuse(phase, Code::NoPrevious),
        Kind::Rollback(Target::Current) => return refuse(phase, Code::AlreadyRunning),
        Kind::Rollback(Target::Kept) => Action::StageKept,
        Kind::Upgrade { .. } if phase.hung >= HUNG_MAX => return refuse(phase, Code::LoadHung),
        Kind::Upgrade { .. } => Action::Stage,
    };
    (Phase { step: Step::Staging(kind), ..phase }, vec![stage])
}

fn refuse(phase: Phase, code: Code) -> (Phase, Vec<Action>) {
    (phase, vec![Action::Refuse(code)])
}

fn abandon(phase: Phase, code: Code) -> (Phase, Vec<Action>) {
    // A copy or a trial that takes too long holds nothing that a later load needs.
    let has_hung = code == Code::LoadHung && matches!(phase.step, Step::Loading(_));
    let hung = phase.hung + usize::from(has_hung);
    (Phase { step: Step::Idle, hung, ..phase }, vec![Action::Abandon(code)])
}

fn commit(phase: Phase) -> (Phase, Vec<Action>) {
    let (old, new) = (phase.current, phase.current + 1);
    let mut retiring = phase.retiring;
    retiring.push(Retiree { number: old, unloading: false });
    let phase = Phase { step: Step::Idle, current: new, retiring, ..phase };
    (phase, vec![Action::Commit(new), Action::Watch(old)])
}

fn grace_passed(mut phase: Phase, number: u64) -> (Phase, Vec<Action>) {
    let waits = |retiree: &&mut Retiree| retiree.number == number && !retiree.unloading;
    match phase.retiring.iter_mut().find(waits) {
        Some(retiree) => {
            retiree.unloading = true;
            (phase, vec![Action::Unload(number)])
        }
        None => (phase, vec![]),
    }
}

fn unloaded(mut phase: Phase, number: u64) -> (Phase, Vec<Action>) {
    phase.retiring.retain(|retiree| retiree.number != number || !retiree.unloading);
    (phase, vec![])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{HashSet, VecDeque};

    const UPGRADE: Kind = Kind::Upgrade { force: false };
    const FORCED: Kind = Kind::Upgrade { force: true };
    const ROLLBACK: Kind = Kind::Rollback(Target::Kept);

    /// Runs events from the first phase; returns the last phase and all actions in order.
    fn run(events: &[Event]) -> (Phase, Vec<Action>) {
        let mut all = Vec::new();
        let phase = events.iter().fold(Phase::first(1), |phase, event| {
            let (phase, actions) = next(phase, *event);
            all.extend(actions);
            phase
        });
        (phase, all)
    }

    const STAGED: Event = Event::Staged { is_current: false };
    const UPGRADED: [Event; 4] = [Event::Asked(UPGRADE), STAGED, Event::Verified, Event::Loaded];

    #[test]
    fn an_upgrade_goes_through_its_steps_and_retires_the_old_generation() {
        let (phase, actions) = run(&UPGRADED);
        let fresh = false;
        assert_eq!(
            actions,
            [
                Action::Stage,
                Action::Verify { fresh },
                Action::Load(2),
                Action::Commit(2),
                Action::Watch(1)
            ]
        );
        assert_eq!(phase.current, 2);
        let (phase, actions) = next(phase, Event::GracePassed(1));
        assert_eq!(actions, [Action::Unload(1)]);
        assert_eq!(next(phase, Event::Unloaded(1)).0.retiring, []);
    }

    #[test]
    fn a_rollback_is_a_generation_of_its_own() {
        let events = [&UPGRADED[..], &[Event::Asked(ROLLBACK)], &UPGRADED[1..]].concat();
        let (phase, actions) = run(&events);
        assert!(actions.contains(&Action::StageKept));
        assert_eq!(phase.current, 3);
    }

    #[test]
    fn running_bytes_are_refused_unless_forced() {
        let same = Event::Staged { is_current: true };
        let (phase, actions) = run(&[Event::Asked(UPGRADE), same]);
        assert_eq!(actions.last(), Some(&Action::Abandon(Code::AlreadyRunning)));
        assert_eq!(phase.step, Step::Idle);
        let (_, actions) = run(&[Event::Asked(FORCED), same]);
        assert_eq!(actions.last(), Some(&Action::Verify { fresh: true }));
        let current = Event::Asked(Kind::Rollback(Target::Current));
        assert_eq!(run(&[current]).1, [Action::Refuse(Code::AlreadyRunning)]);
    }

    #[test]
    fn what_cannot_begin_is_refused_without_disturbing_what_has() {
        let (phase, actions) = run(&[Event::Asked(UPGRADE), Event::Asked(FORCED)]);
        assert_eq!(actions[1..], [Action::Refuse(Code::Busy)]);
        assert_eq!(phase.step, Step::Staging(UPGRADE));
        let nothing = Event::Asked(Kind::Rollback(Target::Nothing));
        assert_eq!(run(&[nothing]).1, [Action::Refuse(Code::NoPrevious)]);
        let twice = [&UPGRADED[..], &UPGRADED[..], &[Event::Asked(UPGRADE)]].concat();
        assert_eq!(run(&twice).1.last(), Some(&Action::Refuse(Code::Busy)));
    }

    #[test]
    fn after_some_that_hung_only_what_has_served_is_loaded() {
        let late = [Event::Asked(UPGRADE), Event::Failed(Code::LoadHung)];
        let mut events = late.repeat(HUNG_MAX);
        assert_eq!(run(&events).0.hung, 0, "nothing was loaded");
        let hung = [Event::Asked(UPGRADE), STAGED, Event::Verified, Event::Failed(Code::LoadHung)];
        events.extend(hung.repeat(HUNG_MAX));
        let (phase, actions) = run(&events);
        assert_eq!(actions.last(), Some(&Action::Abandon(Code::LoadHung)));
        assert_eq!(phase.step, Step::Idle);
        let refused = vec![Action::Refuse(Code::LoadHung)];
        assert_eq!(next(phase.clone(), Event::Asked(UPGRADE)), (phase.clone(), refused));
        assert_eq!(next(phase, Event::Asked(ROLLBACK)).1, [Action::StageKept]);
    }

    fn events(phase: &Phase) -> Vec<Event> {
        let numbers = phase.current.saturating_sub(3)..=phase.current;
        let mut events = vec![
            Event::Asked(UPGRADE),
            Event::Asked(FORCED),
            Event::Asked(ROLLBACK),
            Event::Asked(Kind::Rollback(Target::Current)),
            Event::Asked(Kind::Rollback(Target::Nothing)),
            STAGED,
            Event::Staged { is_current: true },
            Event::Verified,
            Event::Loaded,
            Event::Failed(Code::Io),
            Event::Failed(Code::LoadHung),
        ];
        events.extend(numbers.clone().map(Event::GracePassed));
        events.extend(numbers.map(Event::Unloaded));
        events
    }

    /// What must hold of every transition.
    fn check(before: &Phase, event: Event, after: &Phase, actions: &[Action]) {
        let context = format!("{before:?} + {event:?} = {after:?}, {actions:?}");
        let commits = actions.iter().filter(|a| matches!(a, Action::Commit(_))).count() as u64;
        assert_eq!(after.current, before.current + commits, "{context}");
        assert!(after.retiring.len() <= RETIRING_MAX, "{context}");
        assert!(after.hung <= before.hung + 1, "{context}");
        assert!(after.retiring.iter().all(|r| r.number < after.current), "{context}");
        for action in actions {
            match *action {
                Action::Commit(n) => {
                    assert!(matches!(before.step, Step::Loading(_)), "{context}");
                    assert!(actions.contains(&Action::Watch(n - 1)), "{context}");
                }
                Action::Unload(n) => {
                    assert_eq!(event, Event::GracePassed(n), "{context}");
                    let draining = Retiree { number: n, unloading: false };
                    assert!(before.retiring.contains(&draining), "{context}");
                }
                Action::Abandon(_) => {
                    assert_ne!(before.step, Step::Idle, "{context}");
                }
                Action::Refuse(_) => assert_eq!(before, after, "{context}"),
                _ => {}
            }
        }
        let asked = matches!(event, Event::Asked(_));
        assert!(!asked || actions.len() == 1, "every request is begun or refused: {context}");
        let busy = |p: &Phase| p.step != Step::Idle;
        let told = |a: &Action| matches!(a, Action::Abandon(_) | Action::Commit(_));
        let ended = busy(before) && !busy(after);
        assert_eq!(ended, actions.iter().any(told), "every upgrade ends once: {context}");
    }

    #[test]
    fn every_event_in_every_reachable_phase_keeps_the_invariants() {
        let mut seen = HashSet::from([Phase::first(1)]);
        let mut queue = VecDeque::from([Phase::first(1)]);
        while let Some(before) = queue.pop_front() {
            for event in events(&before) {
                let (after, actions) = next(before.clone(), event);
                check(&before, event, &after, &actions);
                if after.current < 6 && after.hung <= HUNG_MAX && seen.insert(after.clone()) {
                    queue.push_back(after);
                }
            }
        }
        assert!(seen.len() > 200, "only {} phases were reached", seen.len());
    }
}
