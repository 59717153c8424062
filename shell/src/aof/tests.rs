//! The log on a disk that fails at any call, and after the machine has lost its power.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use abi::aof::{Aof, state};

use super::commands::Commands;
use super::files::Files;
use super::manifest::Kind;
use super::rewriting::Log;
use super::session::{Policy, Session};
use crate::saving::faulty::{EINTR, EIO, ENOSPC, Fault, FaultyDisk};
use crate::saving::write::Unfinished;

/// Effects in a try, and after how many of them the log is rewritten.
const EFFECTS: u64 = 12;
const REWRITTEN_AFTER: [u64; 2] = [4, 8];
/// Turns after the last of them, in which what is left is done.
const TURNS_AFTER: u64 = 6;

fn place() -> (PathBuf, String) {
    (PathBuf::from("/data/log"), "a.aof".to_owned())
}

/// The effect with a number: what it says is that.
fn effect(number: u64) -> Vec<u8> {
    let digits = number.to_string();
    let command = format!("*2\r\n$3\r\nadd\r\n${}\r\n{digits}\r\n", digits.len());
    match number % 3 {
        0 => format!("*1\r\n$5\r\nMULTI\r\n{command}*1\r\n$4\r\nEXEC\r\n").into_bytes(),
        _ => command.into_bytes(),
    }
}

/// A log under way.
struct Try {
    disk: FaultyDisk,
    log: Log,
    session: Session,
    /// How many effects there are, and how many are said to be safe.
    effects: u64,
    safe: u64,
    /// Where each effect ends.
    ends: Vec<u64>,
}

impl Try {
    /// Begins one on a disk that fails at a call. None: it could not begin.
    fn begin(fault: Option<(usize, Fault)>, has_all: bool) -> Option<Self> {
        let disk = FaultyDisk::new(&[], fault);
        let told: &'static Aof = Box::leak(Box::default());
        let log = Log::new(Arc::new(disk.clone()), told, |_| ());
        log.turn_on(&place(), has_all).ok()?;
        let output = log.go_on().ok()?;
        log.join(0);
        let session = Session::new(output, 0, None);
        if !has_all {
            log.want_rewriting();
        }
        Some(Self { disk, log, session, effects: 0, safe: 0, ends: Vec::new() })
    }

    /// Another effect, as it comes out of the stream, and whatever is due.
    fn turn(&mut self, has_effect: bool) {
        if has_effect {
            self.effects += 1;
            let bytes = effect(self.effects);
            // In two pieces, as it may come.
            let (first, rest) = bytes.split_at(bytes.len() / 2);
            self.session.stamp(self.effects / 5 + 1);
            self.session.put(&self.log, first);
            self.session.write_all(&self.log);
            self.session.put(&self.log, rest);
            self.ends.push(self.session.position());
        }
        self.session.write_all(&self.log);
        self.session.look_for_mark(&self.log);
        self.session.repair(&self.log);
        if self.session.is_writing() && self.log.has_lost_first() {
            self.session.wait_for_first();
        }
        self.session.sync_as(&self.log, Policy::Always, false);
        if self.log.told().state.load(SeqCst) == state::ON {
            let safe = self.log.told().safe.load(SeqCst);
            self.safe = self.ends.iter().filter(|end| **end <= safe).count() as u64;
        }
        if self.log.told().wanted.swap(0, SeqCst) != 0 {
            self.rewrite();
        }
    }

    /// A rewriting, from its beginning to its end: the base has the number of effects so far.
    fn rewrite(&mut self) {
        if self.rewrite_or_fail().is_err() && self.log.told().state.load(SeqCst) != state::ON {
            self.log.told().wanted.store(1, SeqCst);
        }
    }

    fn rewrite_or_fail(&mut self) -> Result<(), String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let plan = self.log.begin_rewriting(&place(), "rdb", 0).map_err(|error| text(&error))?;
        self.log.set_mark(self.session.position());
        // Another effect comes before the base is whole.
        let base = self.effects.to_string();
        self.turn_without_rewriting();
        let written = Unfinished::create(&self.disk, plan).and_then(|mut file| {
            file.append(base.as_bytes())?;
            file.finish()
        });
        match written {
            Ok(()) => self.log.install(),
            Err(error) => {
                self.log.drop_rewriting();
                Err(error.to_string())
            }
        }
    }

    fn turn_without_rewriting(&mut self) {
        let wanted = self.log.told().wanted.load(SeqCst);
        self.log.told().wanted.store(0, SeqCst);
        self.turn(true);
        self.log.told().wanted.fetch_max(wanted, SeqCst);
    }

    /// All of it.
    fn run(&mut self) {
        while self.effects < EFFECTS {
            self.turn(true);
            if REWRITTEN_AFTER.contains(&self.effects) {
                self.rewrite();
            }
            self.check();
        }
        for _ in 0..TURNS_AFTER {
            self.turn(false);
        }
        self.check();
    }

    /// What is said to be safe is there after the power was lost at this moment, and nothing is there
    /// twice or out of order; and what is there if only the process ends is all that was written.
    fn check(&self) {
        for disk in [self.disk.after_loss(), self.disk.clone()] {
            let found = load(&disk);
            assert!(found >= self.safe, "{found} effects of {} that are safe", self.safe);
            assert!(found <= self.effects, "{found} effects of {}", self.effects);
        }
    }
}

/// How many effects a log has, from the first on.
fn load(disk: &FaultyDisk) -> u64 {
    let files =
        Files::open(Arc::new(FaultyDisk::clone(disk).after_nothing()), &place().0, &place().1);
    let files = files.expect("the manifest is whole");
    let mut next = 1;
    for part in files.manifest().live() {
        let path = files.path(&part.name);
        let bytes = disk.read(Path::new(&path)).unwrap_or_else(|| panic!("{} is there", part.name));
        match part.kind {
            Kind::Base => {
                let text = String::from_utf8(bytes).unwrap();
                next = text.parse::<u64>().expect("a base is whole") + 1;
            }
            _ => next = apply(&bytes, next),
        }
    }
    next - 1
}

/// Applies the commands of an increment, each of which must be the next. Returns the next.
fn apply(bytes: &[u8], mut next: u64) -> u64 {
    let mut commands = Commands::new(bytes, 0);
    loop {
        let some = commands.some(1).expect("commands");
        if some.is_empty() {
            return next;
        }
        for command in some {
            let words: Vec<&[u8]> = bytes[command.range].split(|byte| *byte == b'\n').collect();
            if words[2] == b"add\r" {
                let number: u64 =
                    std::str::from_utf8(words[4]).unwrap().trim_end().parse().unwrap();
                assert_eq!(number, next, "each effect once, in order");
                next += 1;
            }
        }
    }
}

/// Every call of a try fails once, each time in a new try.
fn check_with(fault: Fault, has_all: bool) {
    let calls = {
        let mut good = Try::begin(None, has_all).unwrap();
        good.run();
        assert_eq!(good.safe, good.effects);
        good.disk.calls().len()
    };
    for at in 0..calls {
        let Some(mut this) = Try::begin(Some((at, fault)), has_all) else { continue };
        this.run();
        assert_eq!(this.safe, this.effects, "call {at}, {fault:?}: it recovers");
        assert_eq!(this.log.told().errno.load(SeqCst), 0, "call {at}, {fault:?}");
    }
}

#[test]
fn whatever_call_fails_what_is_said_to_be_safe_survives_and_the_log_recovers() {
    for fault in [EIO, ENOSPC, EINTR, Fault::Short, Fault::Nothing] {
        check_with(fault, true);
        check_with(fault, false);
    }
}

#[test]
#[should_panic(expected = "that are safe")]
fn syncs_that_do_nothing_are_found_out() {
    let begun = Try::begin(None, true).unwrap().disk.calls().len();
    let mut this = Try::begin(Some((begun, Fault::Stubbed)), true).unwrap();
    this.run();
}

#[test]
fn a_sync_that_fails_is_not_tried_again_but_made_good_by_a_rewriting() {
    let mut good = Try::begin(None, true).unwrap();
    (0..2).for_each(|_| good.turn(true));
    let at = good.disk.calls().iter().rposition(|call| *call == "sync").unwrap();
    let mut this = Try::begin(Some((at, EIO)), true).unwrap();
    this.turn(true);
    assert_eq!((this.safe, this.log.told().errno.load(SeqCst)), (1, 0));
    this.turn(true);
    assert_eq!((this.safe, this.log.told().errno.load(SeqCst)), (1, 5), "it is told");
    let syncs = |this: &Try| this.disk.calls().iter().filter(|call| **call == "sync").count();
    let before = syncs(&this);
    this.session.sync_as(&this.log, Policy::Always, false);
    assert_eq!(syncs(&this), before, "of the same bytes");
    (0..TURNS_AFTER).for_each(|_| this.turn(false));
    assert_eq!((this.safe, this.log.told().errno.load(SeqCst)), (this.effects, 0));
    assert_eq!(load(&this.disk.after_loss()), this.effects);
}

#[test]
fn files_of_the_past_are_removed_and_the_manifest_names_what_is_there() {
    let mut this = Try::begin(None, false).unwrap();
    this.run();
    let names: Vec<String> = this
        .disk
        .names()
        .iter()
        .map(|path| path.file_name().unwrap().to_string_lossy().into())
        .collect();
    assert_eq!(names, ["a.aof.3.base.rdb", "a.aof.3.incr.aof", "a.aof.manifest"]);
}
