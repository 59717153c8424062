use super::*;
use std::collections::{HashSet, VecDeque};

const PLAIN: Course = Course { force: false, shadow: false, steps: 0, probation: false };
const UPGRADE: Kind = Kind::Upgrade(PLAIN);
const FORCED: Kind = Kind::Upgrade(Course { force: true, ..PLAIN });
const PROVEN: Kind = Kind::Upgrade(Course { probation: true, ..PLAIN });
const FORCED_PROVEN: Kind = Kind::Upgrade(Course { force: true, probation: true, ..PLAIN });
const IN_STEPS: Kind = Kind::Upgrade(Course { probation: true, steps: 2, ..PLAIN });
const FORCED_IN_STEPS: Kind = Kind::Upgrade(Course { force: true, steps: 1, ..PLAIN });
const SHADOWED: Kind = Kind::Upgrade(Course { shadow: true, steps: 1, ..PLAIN });
const ROLLBACK: Kind = Kind::Rollback(Target::Kept);
const BACK: Kind = Kind::Rollback(Target::Standby);

/// Runs events from the first phase; returns the last phase and all actions in order.
fn run(events: &[Event]) -> (Phase, Vec<Action>) {
    run_from(Phase::first(1), events)
}

fn run_from(phase: Phase, events: &[Event]) -> (Phase, Vec<Action>) {
    let mut all = Vec::new();
    let phase = events.iter().fold(phase, |phase, event| {
        let (phase, actions) = next(phase, *event);
        all.extend(actions);
        phase
    });
    (phase, all)
}

const STAGED: Event = Event::Staged(Bytes::Other);

/// The events of an upgrade that nothing stands in the way of.
fn upgraded(kind: Kind) -> [Event; 4] {
    [Event::Asked(kind), STAGED, Event::Verified, Event::Loaded]
}

/// A phase with generation 2 on probation and generation 1 held ready.
fn on_probation() -> Phase {
    run(&upgraded(PROVEN)).0
}

#[test]
fn an_upgrade_goes_through_its_steps_and_retires_the_old_generation() {
    let (phase, actions) = run(&upgraded(UPGRADE));
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
    let events = [&upgraded(UPGRADE)[..], &upgraded(ROLLBACK)].concat();
    let (phase, actions) = run(&events);
    assert!(actions.contains(&Action::StageKept));
    assert_eq!(phase.current, 3);
}

#[test]
fn running_bytes_are_refused_unless_forced() {
    let same = Event::Staged(Bytes::Current);
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
    let twice = [&upgraded(UPGRADE)[..], &upgraded(UPGRADE), &[Event::Asked(UPGRADE)]].concat();
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

#[test]
fn a_canary_serves_more_with_each_step_and_then_all() {
    let (phase, actions) = run(&upgraded(IN_STEPS));
    assert_eq!(actions[2..], [Action::Load(2), Action::Share(0)]);
    assert_eq!((phase.current, phase.newest), (1, 2));
    let (phase, actions) = next(phase, Event::StepOver);
    assert_eq!(actions, [Action::Share(1)]);
    let (phase, actions) = next(phase, Event::StepOver);
    assert_eq!(actions, [Action::Commit(2), Action::Hold(1)]);
    assert_eq!(phase.probation, Some(Probation { standby: 1, is_checked: false }));
    let (phase, actions) = next(phase, Event::ProbationOver);
    assert_eq!(actions, [Action::Release(1), Action::Watch(1)]);
    assert_eq!(phase.probation, None);
}

#[test]
fn a_canary_that_does_worse_or_is_not_wanted_is_withdrawn() {
    let canary = run(&upgraded(IN_STEPS)).0;
    let end = |code| [Action::Withdraw(2), Action::Abandon(code), Action::Watch(2)];
    let (phase, actions) = next(canary.clone(), Event::Worse);
    assert_eq!(actions, end(Code::DidWorse));
    assert_eq!((phase.step, phase.current, phase.newest), (Step::Idle, 1, 2));
    let (phase, actions) = next(canary.clone(), Event::Ordered(Order::Abort));
    assert_eq!(actions, [&end(Code::Aborted)[..], &[Action::Confirm]].concat());
    let (_, actions) = run_from(phase, &upgraded(UPGRADE));
    assert!(actions.contains(&Action::Commit(3)), "its number is not given twice: {actions:?}");
    let (phase, actions) = next(canary.clone(), Event::Ordered(Order::Promote));
    assert_eq!(actions, [Action::Commit(2), Action::Hold(1), Action::Confirm]);
    assert_eq!(phase.current, 2);
    for asked in [Event::Asked(UPGRADE), Event::Asked(ROLLBACK), Event::Ordered(Order::Finalize)] {
        let refused = vec![Action::Refuse(Code::OnCanary)];
        assert_eq!(next(canary.clone(), asked), (canary.clone(), refused));
    }
}

#[test]
fn a_shadow_comes_before_anything_is_loaded_and_ends_well_or_not_at_all() {
    let (shadow, actions) = run(&[Event::Asked(SHADOWED), STAGED, Event::Verified]);
    assert_eq!((actions.last(), shadow.name()), (Some(&Action::Shadow), "shadow"));
    let (loading, actions) = next(shadow.clone(), Event::StepOver);
    assert_eq!(actions, [Action::StopShadow, Action::Load(2)]);
    assert_eq!(next(loading, Event::Loaded).1, [Action::Share(0)]);
    let (phase, actions) = next(shadow.clone(), Event::Diverged(Code::Diverged));
    assert_eq!(actions, [Action::StopShadow, Action::Abandon(Code::Diverged)]);
    assert_eq!(phase, Phase::first(1));
    let (_, actions) = next(shadow.clone(), Event::Ordered(Order::Abort));
    assert_eq!(actions, [Action::StopShadow, Action::Abandon(Code::Aborted), Action::Confirm]);
    let (_, actions) = next(shadow.clone(), Event::Ordered(Order::Promote));
    assert_eq!(actions, [Action::StopShadow, Action::Load(2), Action::Confirm]);
    for asked in [Event::Asked(UPGRADE), Event::Asked(ROLLBACK), Event::Ordered(Order::Finalize)] {
        let refused = vec![Action::Refuse(Code::OnShadow)];
        assert_eq!(next(shadow.clone(), asked), (shadow.clone(), refused));
    }
}

#[test]
fn what_does_worse_on_probation_is_put_back_by_itself_or_when_asked() {
    for event in [Event::Worse, Event::Asked(BACK)] {
        let (phase, actions) = next(on_probation(), event);
        assert_eq!(actions, [Action::PutBack(3), Action::Watch(2)], "{event:?}");
        assert_eq!((phase.current, phase.probation), (3, None));
    }
    assert_eq!(run(&[Event::Worse]).1, [], "what is final is not put back");
}

#[test]
fn a_suspicion_is_looked_into_before_anything_is_put_back() {
    let (checked, actions) = next(on_probation(), Event::Suspect);
    assert_eq!((actions, checked.name()), (vec![Action::Compare], "comparing"));
    let same = (checked.clone(), vec![]);
    assert_eq!(next(checked.clone(), Event::Suspect), same);
    assert_eq!(next(checked.clone(), Event::ProbationOver), same, "not while it is compared");
    let (cleared, actions) = next(checked.clone(), Event::Cleared);
    assert_eq!((actions, cleared), (vec![Action::StopComparing], on_probation()));
    assert_eq!(next(checked.clone(), Event::Worse).1[0], Action::PutBack(3));
    let (phase, actions) = next(checked, Event::Ordered(Order::Finalize));
    let expected = [Action::StopComparing, Action::Release(1), Action::Watch(1), Action::Confirm];
    assert_eq!((actions.as_slice(), phase.probation), (&expected[..], None));
}

#[test]
fn during_a_probation_only_what_leads_back_is_let_in() {
    let ask = |kind, bytes| {
        let events = [Event::Asked(kind), Event::Staged(bytes), Event::Verified, Event::Loaded];
        run_from(on_probation(), &events)
    };
    let (phase, actions) = ask(UPGRADE, Bytes::Other);
    assert_eq!(actions, [Action::Stage, Action::Abandon(Code::OnProbation)]);
    assert_eq!(phase, on_probation());
    let (phase, actions) = ask(PROVEN, Bytes::Standby);
    let end = [Action::Commit(3), Action::Release(1), Action::Watch(1), Action::Hold(2)];
    assert_eq!(actions[3..], end);
    assert_eq!(phase.probation, Some(Probation { standby: 2, is_checked: false }));
    let (phase, actions) = ask(FORCED_PROVEN, Bytes::Current);
    assert_eq!(actions[3..], [Action::Commit(3), Action::Watch(2)]);
    assert_eq!(phase.probation, Some(Probation { standby: 1, is_checked: false }));
    let (phase, actions) = ask(ROLLBACK, Bytes::Other);
    let end = [Action::Commit(3), Action::Release(1), Action::Watch(1), Action::Watch(2)];
    assert_eq!((&actions[3..], phase.probation), (&end[..], None));
}

#[test]
fn an_order_that_nothing_fits_is_refused() {
    for order in [Order::Abort, Order::Promote, Order::Finalize] {
        assert_eq!(run(&[Event::Ordered(order)]).1, [Action::Refuse(Code::NothingToProve)]);
    }
    for order in [Order::Abort, Order::Promote] {
        let actions = next(on_probation(), Event::Ordered(order)).1;
        assert_eq!(actions, [Action::Refuse(Code::OnProbation)]);
    }
}

fn events(phase: &Phase) -> Vec<Event> {
    let numbers = phase.newest.saturating_sub(3)..=phase.newest;
    let kinds = [
        UPGRADE,
        FORCED,
        PROVEN,
        FORCED_PROVEN,
        IN_STEPS,
        FORCED_IN_STEPS,
        SHADOWED,
        ROLLBACK,
        BACK,
        Kind::Rollback(Target::Current),
        Kind::Rollback(Target::Nothing),
    ];
    let mut events: Vec<Event> = kinds.map(Event::Asked).to_vec();
    events.extend([Order::Abort, Order::Promote, Order::Finalize].map(Event::Ordered));
    events.extend([Bytes::Current, Bytes::Standby, Bytes::Other].map(Event::Staged));
    events.extend([Event::Verified, Event::Loaded, Event::Diverged(Code::Diverged)]);
    events.extend([Code::Io, Code::LoadHung].map(Event::Failed));
    events.extend([Event::StepOver, Event::ProbationOver]);
    events.extend([Event::Suspect, Event::Cleared, Event::Worse]);
    events.extend(numbers.clone().map(Event::GracePassed));
    events.extend(numbers.map(Event::Unloaded));
    events
}

/// Generations that are loaded, as far as the phase knows.
fn live(phase: &Phase) -> Vec<u64> {
    let mut live: Vec<u64> = phase.retiring.iter().map(|retiree| retiree.number).collect();
    live.push(phase.current);
    live.extend(phase.probation.map(|probation| probation.standby));
    live.extend(matches!(phase.step, Step::Canary(..)).then_some(phase.newest));
    live.sort_unstable();
    live
}

/// What must hold of every transition.
fn check(before: &Phase, event: Event, after: &Phase, actions: &[Action]) {
    let context = format!("{before:?} + {event:?} = {after:?}, {actions:?}");
    let count = |is: fn(&Action) -> bool| actions.iter().filter(|action| is(action)).count();
    let swaps = count(|a| matches!(a, Action::Commit(_) | Action::PutBack(_)));
    assert!(swaps <= 1, "{context}");
    assert_eq!(after.current != before.current, swaps == 1, "{context}");
    assert!(after.newest >= before.newest && after.newest >= after.current, "{context}");
    assert!(after.retiring.len() <= RETIRING_MAX + 1, "{context}");
    assert!(after.hung <= before.hung + 1, "{context}");
    let mut once = live(after);
    once.dedup();
    assert_eq!(once, live(after), "no generation is in two places: {context}");
    for action in actions {
        match *action {
            Action::Commit(n) => {
                assert!(matches!(before.step, Step::Loading(..) | Step::Canary(..)), "{context}");
                assert_eq!((after.current, after.newest), (n, n), "{context}");
            }
            Action::PutBack(n) => {
                assert!(before.probation.is_some() && n == before.newest + 1, "{context}");
            }
            Action::Hold(n) => {
                assert_eq!(after.probation.map(|p| p.standby), Some(n), "{context}");
            }
            Action::Release(n) => {
                assert_eq!(before.probation.map(|p| p.standby), Some(n), "{context}");
                assert!(actions.contains(&Action::Watch(n)), "{context}");
            }
            Action::Watch(n) => {
                let draining = Retiree { number: n, unloading: false };
                assert!(after.retiring.contains(&draining), "{context}");
            }
            Action::Unload(n) => {
                assert_eq!(event, Event::GracePassed(n), "{context}");
                let draining = Retiree { number: n, unloading: false };
                assert!(before.retiring.contains(&draining), "{context}");
            }
            Action::Abandon(_) => assert_ne!(before.step, Step::Idle, "{context}"),
            Action::Refuse(_) => assert_eq!(before, after, "{context}"),
            _ => {}
        }
    }
    let is_shadow = |p: &Phase| matches!(p.step, Step::Shadow(..));
    let (begun, ended) = (count(|a| *a == Action::Shadow), count(|a| *a == Action::StopShadow));
    assert_eq!(
        (begun == 1, ended == 1),
        (!is_shadow(before) && is_shadow(after), is_shadow(before) && !is_shadow(after)),
        "a shadow begins and ends with its step: {context}"
    );
    let replies = count(|a| matches!(a, Action::Refuse(_) | Action::Confirm));
    let begun = count(|a| matches!(a, Action::Stage | Action::StageKept | Action::PutBack(_)));
    match event {
        Event::Asked(_) => assert_eq!(replies + begun, 1, "begun or refused: {context}"),
        Event::Ordered(_) => assert_eq!(replies, 1, "answered once: {context}"),
        _ => assert_eq!(replies, 0, "nobody asked: {context}"),
    }
    let is_compared = |p: &Phase| p.probation.is_some_and(|p| p.is_checked);
    if is_compared(after) {
        assert!(!matches!(after.step, Step::Canary(..)), "one comparison at a time: {context}");
    }
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
            if after.newest < 6 && after.hung <= 1 && seen.insert(after.clone()) {
                queue.push_back(after);
            }
        }
    }
    assert!(seen.len() > 1000, "only {} phases were reached", seen.len());
}
