//! A script that runs: what it may do, how it calls commands, and when it is ended.

use std::borrow::Cow;

use abi::client::flag as client_flag;
use abi::host::level;
use abi::script::running;
use abi::shared::debug;
use lua::{Host, ScriptError, flag as script_flag};

use crate::exec::call::{Call, are_keys_all, count_error};
use crate::exec::context::{ClientCtx, Mode};
use crate::exec::habits::{self, Expected};
use crate::exec::spec::{Spec, flag};
use crate::exec::{monitor, permissions, tracked, transaction};
use crate::maintenance::snapshot;
use crate::session::monitor as monitors;
use crate::session::scripts::slow;
use base::args::Args;
use base::clock::ticks;
use base::core::Core;
use base::counters::add;
use base::error::Error;
use base::heap::or_undo;
use base::lock::{ALL_SHARDS, ShardSet};
use base::settings::setting;
use keyspace::Undo;

const WRITES: Error =
    Error::new("ERR Can not execute a script with write flag using *_ro command.");
const NO_OOM: Error = Error::new(
    "OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'",
);

/// For how long a script may run beside others, that cannot be ended. One that runs for longer runs
/// again, with every shard.
const BESIDE_OTHERS_NS: u64 = 5_000_000;

/// A script about to run.
pub struct Task<'t> {
    /// Of which kind it is: see [`running`].
    pub kind: u32,
    /// The function's name, or the script's digest.
    pub name: &'t [u8],
    /// Bits of [`lua::flag`].
    pub flags: u32,
    /// Whether it is called by a command that only reads.
    pub reads_only: bool,
    /// That command.
    pub command: Args<'t>,
}

/// Shows the command that runs a script to those who watch all, before what the script calls.
#[inline]
pub fn show(cx: &mut ClientCtx<'_>, args: Args<'_>) {
    if monitors::is_on(cx.data.keys.core.roots) {
        let spec = cx.data.spec;
        monitor::feed_before(cx.data.keys.core, cx.session.state(), spec, args);
    }
}

/// A script that has run: how it ended, and whether it has chosen RESP3.
pub type Ran = (Result<(), ScriptError>, bool);

/// Runs a script, whose machine is entered by `enter`. Tells nothing if it is to run again.
///
/// It has every shard, or those of its keys while nothing else is expected of it: see
/// [`crate::exec::habits`]. Then what it has changed is put back if it is to run again.
pub fn run(
    cx: &mut ClientCtx<'_>,
    task: &Task<'_>,
    enter: impl FnOnce(&mut dyn Host) -> Result<(), ScriptError>,
) -> Result<Option<Ran>, Error> {
    let is_short = is_short_of_memory(cx);
    check(cx.data.keys.core, task, is_short)?;
    let (spec, mode, db) = (cx.data.spec, cx.data.mode, cx.session.db());
    let speaks_resp3 = cx.data.out.resp3;
    let is_within = cx.data.keys.core.effects.is_in_transaction();
    if !is_within {
        cx.data.keys.core.effects.begin_transaction();
    }
    let watched = own_shards(cx, task);
    let has_all = cx.data.keys.core.locked() == ALL_SHARDS;
    if has_all {
        slow::begin(cx.data.keys.core, task.kind);
    } else {
        add(&cx.data.keys.core.stats.scripts_beside, 1);
        cx.data.keys.core.reads_change_nothing = true;
    }
    cx.data.mode = Mode::Script;
    let begun = ticks(cx.data.keys.core.host);
    let mark = cx.data.out.len();
    let mut caller = Caller {
        task,
        spec,
        mark,
        begun,
        threshold_ms: cx.data.keys.core.get(setting::BUSY_REPLY_THRESHOLD),
        watched,
        has_all,
        has_strayed: false,
        runs_again: false,
        undo: Undo::default(),
        reads_only: task.reads_only || task.has(script_flag::NO_WRITES),
        refuses_growth: is_short && !task.has(script_flag::ALLOW_OOM),
        speaks_resp3: false,
        has_written: false,
        is_silent: false,
        is_slow: false,
        cx,
    };
    let outcome = or_undo(&mut caller, |caller| enter(caller), |caller| caller.end());
    caller.end();
    if caller.runs_again {
        caller.undo();
    }
    let chose_resp3 = caller.speaks_resp3;
    let (has_strayed, runs_again) = (caller.has_strayed, caller.runs_again);
    // One that keeps to a habit has nothing new to teach.
    if watched.is_some() && (has_all || has_strayed) {
        cx.exec.habits.learn(cx.data.keys.core, task.called(), has_strayed);
    }
    if db != cx.session.db() {
        cx.session.select(db);
    }
    cx.data.keys.db = db;
    (cx.data.spec, cx.data.mode) = (spec, mode);
    cx.data.out.resp3 = speaks_resp3;
    cx.data.out.truncate(mark);
    if !is_within {
        cx.data.keys.core.effects.end_transaction();
    }
    if runs_again {
        add(&cx.data.keys.core.stats.scripts_again, 1);
        cx.exec.runs_again = true;
        cx.session.set(client_flag::POSTPONED);
        return Ok(None);
    }
    Ok(Some((outcome, chose_resp3)))
}

/// The shards of the keys that the call names, if it is to be seen whether the script keeps to them.
fn own_shards(cx: &mut ClientCtx<'_>, task: &Task<'_>) -> Option<ShardSet> {
    let core = &*cx.data.keys.core;
    match core.locked() {
        ALL_SHARDS if cx.data.mode != Mode::Direct || !habits::is_learnt(core) => None,
        ALL_SHARDS => (cx.exec.habits.expected(core, task.called()) != Expected::Strays)
            .then(|| habits::own_shards(core, task.command)),
        own => Some(own),
    }
}

/// Whether memory is short, and the client one whom that concerns.
fn is_short_of_memory(cx: &ClientCtx<'_>) -> bool {
    let core = &cx.data.keys.core;
    core.settings.maxmemory != 0 && cx.exec.is_short_of_memory && !core.applies_effects
}

/// Whether a script may run: one that says what it does.
fn check(core: &Core, task: &Task<'_>, is_short: bool) -> Result<(), Error> {
    if task.flags & script_flag::UNSAID != 0 {
        return Ok(());
    }
    if task.reads_only && !task.has(script_flag::NO_WRITES) {
        return Err(WRITES);
    }
    if is_short && !task.has(script_flag::ALLOW_OOM | script_flag::NO_WRITES) {
        return Err(NO_OOM);
    }
    match snapshot::refusal(core) {
        Some(error) if !task.has(script_flag::NO_WRITES) => Err(error),
        _ => Ok(()),
    }
}

impl Task<'_> {
    /// The word that names it in its call.
    fn called(&self) -> &[u8] {
        self.command.get(1).unwrap_or_default()
    }

    /// Whether it has said so.
    fn has(&self, flag: u32) -> bool {
        self.flags & script_flag::UNSAID == 0 && self.flags & flag != 0
    }
}

/// Writes to the log what a script has to say.
pub(super) fn log(core: &Core, level: u8, text: &[u8]) {
    let level = match level {
        0 => level::DEBUG,
        3 => level::WARN,
        _ => level::INFO,
    };
    core.host.log()(level, String::from_utf8_lossy(text).as_ref().into());
}

/// What a script's commands are run by.
struct Caller<'c, 'a, 't> {
    cx: &'c mut ClientCtx<'a>,
    task: &'t Task<'t>,
    /// The command that runs it.
    spec: &'static Spec,
    /// Where the replies of its commands begin, one in the place of the other.
    mark: usize,
    /// When it began, in ticks.
    begun: u64,
    /// For how long it runs before others are told; 0: they are never.
    threshold_ms: u64,
    /// The shards of the keys that its call names, while it is to be seen whether it keeps to them.
    watched: Option<ShardSet>,
    /// Whether it has every shard.
    has_all: bool,
    /// Whether it has touched others than `watched`, or run for long.
    has_strayed: bool,
    /// Whether it is over, to run again with every shard, and what it has done to be undone.
    runs_again: bool,
    /// The keys it has changed, while it runs beside others.
    undo: Undo,
    reads_only: bool,
    /// Whether commands that may use more memory are refused, as long as it has not written.
    refuses_growth: bool,
    speaks_resp3: bool,
    has_written: bool,
    is_silent: bool,
    is_slow: bool,
}

impl Caller<'_, '_, '_> {
    fn core(&mut self) -> &mut Core {
        self.cx.data.keys.core
    }

    /// For how long it has run.
    fn elapsed_ns(&mut self) -> u64 {
        let begun = self.begun;
        let core = self.core();
        core.ticks.to_ns(ticks(core.host).wrapping_sub(begun))
    }

    /// It runs no longer.
    fn end(&mut self) {
        if self.is_silent {
            self.core().effects.silence(false);
        }
        if self.has_all {
            slow::end(self.core());
        }
        self.core().reads_change_nothing = false;
    }

    /// Puts back what it has changed, as if it had never run.
    #[cold]
    fn undo(&mut self) {
        self.core().effects.clear();
        self.undo.undo(&mut self.cx.data.keys);
    }

    /// Sees to it that the script has the shards that a command needs, and that what that changes can
    /// be undone unless it has all.
    fn keep_within(&mut self, call: &Call, args: Args<'_>) -> Result<(), Cow<'static, str>> {
        let Some(own) = self.watched else { return Ok(()) };
        let mut needed = habits::shards_within(self.core(), call, args);
        if needed & !own == 0 {
            if self.can_be_undone(call, args) {
                return Ok(());
            }
            needed = ALL_SHARDS;
        }
        self.has_strayed = true;
        if !self.lock_also(needed)
            || (!self.can_be_undone(call, args) && !self.lock_also(ALL_SHARDS))
        {
            return Err(self.run_again().into());
        }
        Ok(())
    }

    /// Whether what a command changes, whose shards are locked, can be undone: then it is remembered
    /// as it is, while the script runs beside others.
    fn can_be_undone(&mut self, call: &Call, args: Args<'_>) -> bool {
        if !call.spec.has(flag::WRITE) {
            return true;
        }
        let (keys, undo, has_all) = (&mut self.cx.data.keys, &mut self.undo, self.has_all);
        are_keys_all(call, args, |key| match has_all {
            true => keys.is_small(key),
            false => undo.remember(keys, key),
        })
    }

    /// Locks more shards, if nobody holds them. Tells whether it has them now.
    fn lock_also(&mut self, needed: ShardSet) -> bool {
        if self.has_all {
            return true;
        }
        if !self.core().try_lock_also(needed) {
            return false;
        }
        if !self.is_silent && !self.has_written {
            // Whoever has begun to read effects since has come by them already.
            self.core().effects.begin();
        }
        if self.core().locked() == ALL_SHARDS {
            self.has_all = true;
            self.undo.forget();
            self.core().reads_change_nothing = false;
            let kind = self.task.kind;
            slow::begin(self.core(), kind);
            if self.has_written {
                slow::has_written(self.core());
            }
        }
        true
    }

    /// Ends it, to run it again. Gives what it is told, which nobody else will hear.
    #[cold]
    fn run_again(&mut self) -> &'static str {
        (self.has_strayed, self.runs_again) = (true, true);
        "the script runs again"
    }

    /// The command that is meant, if it may be called.
    fn admitted(&mut self, args: Args<'_>) -> Result<Call, Cow<'static, str>> {
        let index = &self.cx.exec.index;
        let found = index.find(args.at(0)).and_then(|at| index.meant(at, args).ok());
        let Some(found) = found else {
            return Err(self.refused("Unknown Redis command called from script".into(), None));
        };
        let call = Call::from(found);
        let why: Cow<'static, str> = match () {
            () if !call.spec.takes(args.len()) => {
                "Wrong number of args calling Redis command from script".into()
            }
            () if call.spec.has(flag::NOSCRIPT) && !self.may_call_all() => {
                "This Redis command is not allowed from script".into()
            }
            () if let Err(error) = self.is_allowed(&call, args) => {
                let text = String::from_utf8_lossy(error.text()).into_owned();
                let plain = text.strip_prefix("ERR ").map(str::to_owned);
                plain.unwrap_or_else(|| format!("-{text}")).into()
            }
            () if self.reads_only && call.spec.has(flag::WRITE | flag::MAY_REPLICATE) => {
                "Write commands are not allowed from read-only scripts.".into()
            }
            () if call.spec.has(flag::WRITE)
                && let Some(error) = snapshot::refusal(self.core()) =>
            {
                format!("-{}", String::from_utf8_lossy(error.text())).into()
            }
            () if self.refuses_growth && !self.has_written && call.spec.has(flag::DENYOOM) => {
                "-OOM command not allowed when used memory > 'maxmemory'.".into()
            }
            () => return Ok(call),
        };
        Err(self.refused(why, Some(&call)))
    }

    /// Whether the client's user may run a command.
    fn is_allowed(&mut self, call: &Call, args: Args<'_>) -> Result<(), Error> {
        let cx = &mut *self.cx;
        if !cx.session.has(client_flag::RESTRICTED) {
            return Ok(());
        }
        let ClientCtx { data, session, exec } = cx;
        let client = session.state();
        permissions::check(data.keys.core, exec, client, (call, args), permissions::At::Script)
    }

    /// Whether a test has asked that scripts may call what they otherwise may not.
    #[cold]
    fn may_call_all(&mut self) -> bool {
        self.core().has_switched(debug::ALL_FOR_SCRIPTS)
    }

    #[cold]
    fn refused(&mut self, why: Cow<'static, str>, call: Option<&Call>) -> Cow<'static, str> {
        if let Some(call) = call {
            add(&call.stat.rejected, 1);
        }
        let text = why.strip_prefix('-').map_or_else(|| format!("ERR {why}"), str::to_owned);
        count_error(self.core(), &Error::owned(text));
        why
    }

    #[cold]
    fn become_slow(&mut self, elapsed_ns: u64) {
        let task = self.task;
        let kill = if task.kind == running::SCRIPT { "SCRIPT KILL" } else { "FUNCTION KILL" };
        let text = format!(
            "a slow script is still running after {} ms; {kill} ends it. Its name is {}",
            elapsed_ns / 1_000_000,
            String::from_utf8_lossy(task.name)
        );
        let core = self.core();
        core.host.log()(level::WARN, text.as_str().into());
        base::heap::if_room(|| slow::tell(core, task.name, task.command, elapsed_ns));
        slow::refuse_others(core);
        self.is_slow = true;
    }
}

impl Host for Caller<'_, '_, '_> {
    fn call(&mut self, args: Args<'_>) -> Result<(), Cow<'static, str>> {
        if self.runs_again {
            return Err(self.run_again().into());
        }
        let call = self.admitted(args)?;
        self.keep_within(&call, args)?;
        if call.spec.has(flag::WRITE) && !self.has_written {
            self.has_written = true;
            if self.has_all {
                slow::has_written(self.core());
            }
        }
        let resp3 = self.speaks_resp3;
        let cx = &mut *self.cx;
        cx.data.out.resp3 = resp3;
        // What the script has done since is not part of the command.
        cx.data.keys.core.ended_at = None;
        transaction::run(cx, &call, args);
        if cx.session.has(client_flag::TRACKING) {
            tracked::remember_for_script(cx, &call, self.spec, self.task.command);
        }
        Ok(())
    }

    fn reply(&self) -> &[u8] {
        self.cx.data.out.since(self.mark)
    }

    fn end_reply(&mut self) {
        self.cx.data.out.truncate(self.mark);
    }

    fn may_call(&mut self, args: Args<'_>) -> Option<bool> {
        permissions::may_run(self.cx, args)
    }

    fn log(&mut self, level: u8, text: &[u8]) {
        log(self.core(), level, text);
    }

    fn set_protocol(&mut self, version: u8) {
        self.speaks_resp3 = version == 3;
    }

    fn tell_effects(&mut self, are_told: bool) {
        if self.is_silent == are_told {
            self.is_silent = !are_told;
            self.core().effects.silence(!are_told);
        }
    }

    fn is_to_end(&mut self) -> Option<&'static str> {
        if !self.has_all {
            let is_over = self.runs_again || self.elapsed_ns() >= BESIDE_OTHERS_NS;
            return is_over.then(|| self.run_again());
        }
        if !self.is_slow && self.threshold_ms != 0 {
            let elapsed_ns = self.elapsed_ns();
            if elapsed_ns / 1_000_000 >= self.threshold_ms {
                self.become_slow(elapsed_ns);
            }
        }
        if self.is_slow {
            // Somebody may ask for its end.
            self.core().host.serve_others()();
        }
        if !slow::is_to_end(self.core()) {
            return None;
        }
        let text = match self.task.kind {
            running::FUNCTION => "Script killed by user with FUNCTION KILL.",
            _ => "Script killed by user with SCRIPT KILL.",
        };
        log(self.core(), 2, format!("Lua {}", text.replacen('S', "s", 1)).as_bytes());
        Some(text)
    }
}
