//! Where an upgrade stands, and what is to be done next.
//!
//! [`next`] is a pure function; [`super::driver`] performs the actions it returns and reports how
//! they ended as events. So every path can be tested without a library.
//!
//! ```text
//! Idle ──Asked──► Staging ──Staged──► Verifying ──Verified──► Loading ──Loaded──┬──► Idle
//!                    │                      └─► Shadow ─StepOver─▲ │             │      ▲
//!                    └──────Failed, Diverged, Abort──┴─────────────┴──► Idle    │      │
//!                                                                               ▼      │
//!                                           Canary 1 ──StepOver──► Canary 2 ─ … ─┴──────┘
//!                                              └───Worse, Abort────────────────────► Idle
//!
//! beside it, of the generation that serves:
//!
//! Probation ──ProbationOver, Finalize──► final
//!     │  ▲──Cleared── checked ◄──Suspect──┘
//!     └──Worse, a rollback──► the one before serves again, and is final
//!
//! and for each generation that was replaced and is not held ready to serve again:
//!
//! Draining ──GracePassed──► Unloading ──Unloaded──► gone
//! ```

use crate::refusal::Code;

/// Most replaced generations that may be loaded at a time, beside one that is held ready; while there
/// are so many, no upgrade begins. Each costs memory for its image; the second one lets an upgrade be
/// rolled back while a long batch still runs on the generation before. One more may be for a while,
/// when one that was held ready goes too.
pub const RETIRING_MAX: usize = 2;

/// Most libraries that may have hung while the server loaded them; then only those that have served
/// are loaded. Each costs a thread and its image until the server is restarted.
pub const HUNG_MAX: usize = 4;

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Another library.
    Upgrade(Course),
    /// A library that served before.
    Rollback(Target),
}

/// What an upgrade goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Course {
    /// Also to the library that is serving already, verified afresh.
    pub force: bool,
    /// Whether it first runs live commands beside what serves, and decides nothing.
    pub shadow: bool,
    /// Steps in which it serves some clients before it serves all.
    pub steps: u8,
    /// Whether it is on probation then.
    pub probation: bool,
}

/// What a rollback leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// A library that is kept.
    Kept,
    /// The generation before the one on probation, which is held ready.
    Standby,
    /// The library that serves, which was asked for by a number that it has or had.
    Current,
    /// There is none.
    Nothing,
}

/// Whose bytes were staged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bytes {
    /// Of the library that serves.
    Current,
    /// Of the one before it, which is held ready while that is on probation.
    Standby,
    /// Of another.
    Other,
}

/// What is being done for the one upgrade that may be under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Nothing.
    Idle,
    /// The library's bytes are copied and checked.
    Staging(Kind),
    /// They are tried out in a process of their own. The second says whose they are.
    Verifying(Kind, Bytes),
    /// They run some of the live commands in a process of their own, and are compared.
    Shadow(Course, Bytes),
    /// They are loaded and attached.
    Loading(Kind, Bytes),
    /// The library serves some clients: which, this step of its course says, the first being 0.
    Canary(Course, Bytes, u8),
}

impl Step {
    /// As it is shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Staging(_) => "staging",
            Self::Verifying(..) => "verifying",
            Self::Shadow(..) => "shadow",
            Self::Loading(..) => "loading",
            Self::Canary(..) => "canary",
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

/// The generation that serves has yet to prove itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Probation {
    /// The generation before it, held ready to serve again.
    pub standby: u64,
    /// It serves some clients again, to be compared with.
    pub is_checked: bool,
}

/// All that decides what happens next.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Phase {
    /// The upgrade under way.
    pub step: Step,
    /// The generation that serves.
    pub current: u64,
    /// The highest number of a generation that has served any client.
    pub newest: u64,
    /// Whether the current one is on probation.
    pub probation: Option<Probation>,
    /// Libraries that the server has given up on while it loaded them. They are still there.
    pub hung: usize,
    /// Replaced generations that are still loaded, oldest first.
    pub retiring: Vec<Retiree>,
}

/// What an operator may want of a version that is being proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Order {
    /// The canary is to serve nobody any more.
    Abort,
    /// The canary is to serve all now.
    Promote,
    /// The probation is to end now, and well.
    Finalize,
}

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// Somebody wants an upgrade or a rollback.
    Asked(Kind),
    /// Somebody wants this of the version that is being proven.
    Ordered(Order),
    /// The bytes are there.
    Staged(Bytes),
    /// The library passed its trial.
    Verified,
    /// The library is attached and has a scratch for every lane.
    Loaded,
    /// The step under way failed.
    Failed(Code),
    /// The time of a canary's step is over, or that of the shadow.
    StepOver,
    /// The shadow has done otherwise than what serves, or has broken off.
    Diverged(Code),
    /// The time of the probation is over.
    ProbationOver,
    /// What serves on probation looks worse than what served before.
    Suspect,
    /// Side by side it does not.
    Cleared,
    /// What is being proven does worse than what it is compared with.
    Worse,
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
    /// Let them run some of the live commands, beside what serves.
    Shadow,
    /// No longer.
    StopShadow,
    /// Load them as the generation with this number.
    Load(u64),
    /// Let the loaded generation serve the clients of a step of its course.
    Share(u8),
    /// Make the loaded generation, which has this number, the current one.
    Commit(u64),
    /// Let nobody be served by the canary, which has this number.
    Withdraw(u64),
    /// Let the generation held ready serve all clients again, under this number.
    PutBack(u64),
    /// Hold this replaced generation ready to serve again.
    Hold(u64),
    /// Hold it no longer: what serves is final.
    Release(u64),
    /// Let the generation held ready serve some clients, to compare.
    Compare,
    /// Let it serve nobody again.
    StopComparing,
    /// Report when the grace period of this replaced generation is over.
    Watch(u64),
    /// Unload this one.
    Unload(u64),
    /// Tell who asked last that it is done.
    Confirm,
    /// Tell who asked last that it is not done. The upgrade under way, if any, goes on.
    Refuse(Code),
    /// Tell who asked for the upgrade under way that it failed, and drop what was staged for it.
    Abandon(Code),
}

impl Phase {
    /// The state after the first library has been published.
    pub fn first(number: u64) -> Self {
        Self {
            step: Step::Idle,
            current: number,
            newest: number,
            probation: None,
            hung: 0,
            retiring: Vec::new(),
        }
    }

    /// As it is shown.
    pub fn name(&self) -> &'static str {
        match (self.step, self.probation) {
            (Step::Idle, Some(Probation { is_checked: true, .. })) => "comparing",
            (Step::Idle, Some(_)) => "probation",
            (step, _) => step.name(),
        }
    }
}

/// What follows from an event. One that does not fit the phase, such as the end of a step that is
/// not under way, changes nothing.
pub fn next(phase: Phase, event: Event) -> (Phase, Vec<Action>) {
    use Step::{Canary, Loading, Shadow, Staging, Verifying};
    match (phase.step, event) {
        (_, Event::Asked(kind)) => asked(phase, kind),
        (_, Event::Ordered(order)) => ordered(phase, order),
        (Staging(kind), Event::Staged(bytes)) => staged(phase, kind, bytes),
        (Verifying(Kind::Upgrade(course), bytes), Event::Verified) if course.shadow => {
            (Phase { step: Shadow(course, bytes), ..phase }, vec![Action::Shadow])
        }
        (Verifying(kind, bytes), Event::Verified) => load(phase, kind, bytes),
        (Shadow(course, bytes), Event::StepOver) => end_shadow(phase, course, bytes),
        (Shadow(..), Event::Diverged(code)) => drop_shadow(phase, code),
        (Loading(kind, bytes), Event::Loaded) => loaded(phase, kind, bytes),
        (Staging(_) | Verifying(..) | Loading(..), Event::Failed(code)) => abandon(phase, code),
        (Canary(course, bytes, at), Event::StepOver) if at + 1 < course.steps => {
            let step = Canary(course, bytes, at + 1);
            (Phase { step, ..phase }, vec![Action::Share(at + 1)])
        }
        (Canary(course, bytes, _), Event::StepOver) => promoted(phase, course, bytes),
        (Canary(..), Event::Worse) => withdraw(phase, Code::DidWorse),
        (_, Event::Worse) => put_back(phase),
        (_, Event::Suspect) => compare(phase),
        (_, Event::Cleared) => stop_comparing(phase),
        (_, Event::ProbationOver) => finalize(phase),
        (_, Event::GracePassed(number)) => grace_passed(phase, number),
        (_, Event::Unloaded(number)) => unloaded(phase, number),
        (_, _) => (phase, vec![]),
    }
}

fn asked(phase: Phase, kind: Kind) -> (Phase, Vec<Action>) {
    match phase.step {
        Step::Canary(..) => return refuse(phase, Code::OnCanary),
        Step::Shadow(..) => return refuse(phase, Code::OnShadow),
        _ => {}
    }
    if phase.step != Step::Idle || phase.retiring.len() >= RETIRING_MAX {
        return refuse(phase, Code::Busy);
    }
    let stage = match kind {
        Kind::Rollback(Target::Nothing) => return refuse(phase, Code::NoPrevious),
        Kind::Rollback(Target::Current) => return refuse(phase, Code::AlreadyRunning),
        Kind::Rollback(Target::Standby) if phase.probation.is_some() => return put_back(phase),
        Kind::Rollback(Target::Kept | Target::Standby) => Action::StageKept,
        Kind::Upgrade(_) if phase.hung >= HUNG_MAX => return refuse(phase, Code::LoadHung),
        Kind::Upgrade(_) => Action::Stage,
    };
    (Phase { step: Step::Staging(kind), ..phase }, vec![stage])
}

fn ordered(phase: Phase, order: Order) -> (Phase, Vec<Action>) {
    match (order, phase.step) {
        (Order::Abort, Step::Canary(..)) => confirmed(withdraw(phase, Code::Aborted)),
        (Order::Promote, Step::Canary(course, bytes, _)) => {
            confirmed(promoted(phase, course, bytes))
        }
        (Order::Abort, Step::Shadow(..)) => confirmed(drop_shadow(phase, Code::Aborted)),
        (Order::Promote, Step::Shadow(course, bytes)) => {
            confirmed(end_shadow(phase, course, bytes))
        }
        (Order::Finalize, Step::Shadow(..)) => refuse(phase, Code::OnShadow),
        (Order::Finalize, Step::Idle) if phase.probation.is_some() => {
            let (phase, before) = stop_comparing(phase);
            let (phase, after) = finalize(phase);
            confirmed((phase, [before, after].concat()))
        }
        (Order::Finalize, Step::Canary(..)) => refuse(phase, Code::OnCanary),
        (Order::Finalize, _) if phase.step != Step::Idle => refuse(phase, Code::Busy),
        (Order::Abort | Order::Promote, _) if phase.probation.is_some() => {
            refuse(phase, Code::OnProbation)
        }
        _ => refuse(phase, Code::NothingToProve),
    }
}

fn confirmed((phase, mut actions): (Phase, Vec<Action>)) -> (Phase, Vec<Action>) {
    actions.push(Action::Confirm);
    (phase, actions)
}

/// While a version is on probation only the bytes before it, or its own again, take its place: of
/// three versions nobody could say which one did worse.
fn staged(phase: Phase, kind: Kind, bytes: Bytes) -> (Phase, Vec<Action>) {
    let fresh = match kind {
        Kind::Upgrade(Course { force: false, .. }) if bytes == Bytes::Current => {
            return abandon(phase, Code::AlreadyRunning);
        }
        Kind::Upgrade(_) if bytes == Bytes::Other && phase.probation.is_some() => {
            return abandon(phase, Code::OnProbation);
        }
        Kind::Upgrade(course) => course.force,
        Kind::Rollback(_) => false,
    };
    (Phase { step: Step::Verifying(kind, bytes), ..phase }, vec![Action::Verify { fresh }])
}

fn load(phase: Phase, kind: Kind, bytes: Bytes) -> (Phase, Vec<Action>) {
    let number = phase.newest + 1;
    (Phase { step: Step::Loading(kind, bytes), ..phase }, vec![Action::Load(number)])
}

/// The shadow has done well, or is not waited for any more: what comes next comes now.
fn end_shadow(phase: Phase, course: Course, bytes: Bytes) -> (Phase, Vec<Action>) {
    let (phase, after) = load(phase, Kind::Upgrade(course), bytes);
    (phase, [vec![Action::StopShadow], after].concat())
}

fn drop_shadow(phase: Phase, code: Code) -> (Phase, Vec<Action>) {
    let (phase, after) = abandon(phase, code);
    (phase, [vec![Action::StopShadow], after].concat())
}

fn loaded(phase: Phase, kind: Kind, bytes: Bytes) -> (Phase, Vec<Action>) {
    match kind {
        Kind::Rollback(_) => commit(phase, false, bytes),
        Kind::Upgrade(course) if course.steps == 0 => commit(phase, course.probation, bytes),
        Kind::Upgrade(course) => {
            let newest = phase.newest + 1;
            // A comparison would take clients that the canary is to have.
            let (phase, mut actions) = stop_comparing(phase);
            actions.push(Action::Share(0));
            (Phase { step: Step::Canary(course, bytes, 0), newest, ..phase }, actions)
        }
    }
}

fn refuse(phase: Phase, code: Code) -> (Phase, Vec<Action>) {
    (phase, vec![Action::Refuse(code)])
}

fn abandon(phase: Phase, code: Code) -> (Phase, Vec<Action>) {
    // A copy or a trial that takes too long holds nothing that a later load needs.
    let has_hung = code == Code::LoadHung && matches!(phase.step, Step::Loading(..));
    let hung = phase.hung + usize::from(has_hung);
    (Phase { step: Step::Idle, hung, ..phase }, vec![Action::Abandon(code)])
}

/// The canary, which has the newest number, is to serve all.
fn promoted(phase: Phase, course: Course, bytes: Bytes) -> (Phase, Vec<Action>) {
    let newest = phase.newest - 1;
    commit(Phase { newest, ..phase }, course.probation, bytes)
}

/// The next number serves all. What it replaces is held ready if it is on probation; what was held
/// until then goes, unless it is what served before other bytes than the new ones.
fn commit(phase: Phase, probation: bool, bytes: Bytes) -> (Phase, Vec<Action>) {
    let (old, new) = (phase.current, phase.newest + 1);
    let mut actions = vec![Action::Commit(new)];
    let mut retiring = phase.retiring;
    let mut retire = |number, actions: &mut Vec<Action>| {
        retiring.push(Retiree { number, unloading: false });
        actions.push(Action::Watch(number));
    };
    let held = phase.probation.map(|before| before.standby);
    let standby = match held {
        Some(held) if probation && bytes == Bytes::Current => {
            retire(old, &mut actions);
            Some(held)
        }
        held => {
            if let Some(held) = held {
                actions.push(Action::Release(held));
                retire(held, &mut actions);
            }
            if probation {
                actions.push(Action::Hold(old));
            } else {
                retire(old, &mut actions);
            }
            probation.then_some(old)
        }
    };
    let probation = standby.map(|standby| Probation { standby, is_checked: false });
    let (current, newest) = (new, new);
    (Phase { step: Step::Idle, current, newest, probation, retiring, ..phase }, actions)
}

/// The canary serves nobody any more.
fn withdraw(mut phase: Phase, code: Code) -> (Phase, Vec<Action>) {
    let canary = phase.newest;
    phase.retiring.push(Retiree { number: canary, unloading: false });
    let actions = vec![Action::Withdraw(canary), Action::Abandon(code), Action::Watch(canary)];
    (Phase { step: Step::Idle, ..phase }, actions)
}

/// What was held ready serves all again. Not while an upgrade is being prepared, which leads back
/// there too, or is asked for with force: whoever watches finds the same again.
fn put_back(mut phase: Phase) -> (Phase, Vec<Action>) {
    let is_idle = phase.step == Step::Idle;
    if phase.probation.take_if(|_| is_idle).is_none() {
        return (phase, vec![]);
    }
    let (left, number) = (phase.current, phase.newest + 1);
    phase.retiring.push(Retiree { number: left, unloading: false });
    let actions = vec![Action::PutBack(number), Action::Watch(left)];
    (Phase { current: number, newest: number, ..phase }, actions)
}

fn compare(mut phase: Phase) -> (Phase, Vec<Action>) {
    match &mut phase.probation {
        Some(probation) if phase.step == Step::Idle && !probation.is_checked => {
            probation.is_checked = true;
            (phase, vec![Action::Compare])
        }
        _ => (phase, vec![]),
    }
}

fn stop_comparing(mut phase: Phase) -> (Phase, Vec<Action>) {
    match &mut phase.probation {
        Some(probation) if probation.is_checked => {
            probation.is_checked = false;
            (phase, vec![Action::StopComparing])
        }
        _ => (phase, vec![]),
    }
}

/// The probation has ended well, unless something is still being looked at.
fn finalize(mut phase: Phase) -> (Phase, Vec<Action>) {
    let is_over = phase.step == Step::Idle && phase.probation.is_some_and(|p| !p.is_checked);
    let Some(Probation { standby, .. }) = phase.probation.take_if(|_| is_over) else {
        return (phase, vec![]);
    };
    phase.retiring.push(Retiree { number: standby, unloading: false });
    (phase, vec![Action::Release(standby), Action::Watch(standby)])
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
#[path = "phase_tests.rs"]
mod tests;
