//! A command's row: everything about it but its code.

use crate::exec::argument::Argument;
use crate::exec::context::{ClientCtx, Ctx, Ready};
pub use crate::exec::key_spec::{Begin, Find, KeySpec, access};
use crate::exec::secrets::Secrets;
pub use abi::capture::rule;
use base::args::Args;
use base::error::{Done, Error};
use base::text::equal;

/// The code of a command that works on keys: it sees no client, and so can be run on behalf of one
/// of another lane.
pub type Run = fn(&mut Ctx<'_>, Args<'_>) -> Done;

/// The code of a command that concerns the client that sent it, or how commands are run.
pub type RunForClient = fn(&mut ClientCtx<'_>, Args<'_>) -> Done;

/// A command's code.
#[derive(Clone, Copy)]
pub enum Code {
    /// Works on keys.
    Keys(Run),
    /// Concerns its client.
    Client(RunForClient),
}

/// Bits of [`Spec::flags`]. The first ones are shown by `COMMAND INFO` under the names given.
pub mod flag {
    /// `write`: may change the keyspace.
    pub const WRITE: u32 = 1 << 0;
    /// `readonly`: reads keys, changes none.
    pub const READONLY: u32 = 1 << 1;
    /// `denyoom`: refused when memory is short.
    pub const DENYOOM: u32 = 1 << 2;
    /// `admin`
    pub const ADMIN: u32 = 1 << 3;
    /// `pubsub`
    pub const PUBSUB: u32 = 1 << 4;
    /// `noscript`
    pub const NOSCRIPT: u32 = 1 << 5;
    /// `blocking`: may block its client.
    pub const BLOCKING: u32 = 1 << 6;
    /// `loading`: allowed while data is loaded.
    pub const LOADING: u32 = 1 << 7;
    /// `stale`: allowed on a stale replica.
    pub const STALE: u32 = 1 << 8;
    /// `skip_monitor`
    pub const SKIP_MONITOR: u32 = 1 << 9;
    /// `skip_slowlog`
    pub const SKIP_SLOWLOG: u32 = 1 << 10;
    /// `asking`
    pub const ASKING: u32 = 1 << 11;
    /// `fast`: time does not depend on the data.
    pub const FAST: u32 = 1 << 12;
    /// `no_auth`: allowed before the password.
    pub const NO_AUTH: u32 = 1 << 13;
    /// Not `write`, and yet held back by `CLIENT PAUSE WRITE`. Not shown.
    pub const MAY_REPLICATE: u32 = 1 << 14;
    /// `no_async_loading`
    pub const NO_ASYNC_LOADING: u32 = 1 << 15;
    /// `no_multi`: not allowed in a transaction.
    pub const NO_MULTI: u32 = 1 << 16;
    /// `movablekeys`
    pub const MOVABLE_KEYS: u32 = 1 << 17;
    /// `allow_busy`
    pub const ALLOW_BUSY: u32 = 1 << 18;
    /// `no_mandatory_keys`
    pub const NO_MANDATORY_KEYS: u32 = 1 << 19;

    /// Runs with every shard locked: it may touch any key.
    pub const ALL_KEYS: u32 = 1 << 24;
    /// May touch any key if an argument has a star, which makes it a pattern, and else those that
    /// its row names.
    pub const KEYS_BY_PATTERN: u32 = 1 << 20;
    /// Changes more than the keys it names in its client's database: keys of another database, or of
    /// another server.
    pub const CHANGES_ELSEWHERE: u32 = 1 << 23;
    /// Runs a script: whether that writes is not known before.
    pub const RUNS_SCRIPT: u32 = 1 << 21;
    /// Forgets the keys that its client watches, for which it locks their shards.
    pub const UNWATCHES: u32 = 1 << 22;
    /// Run at once even between `MULTI` and `EXEC`.
    pub const NOT_QUEUED: u32 = 1 << 25;
    /// Allowed for a subscriber that speaks RESP2.
    pub const SUBSCRIBER: u32 = 1 << 26;
    /// Looks at many keys that it does not name, locking shard by shard.
    pub const LOCKS_ITSELF: u32 = 1 << 28;
    /// Runs other commands: locks what they need.
    pub const TRANSACTION: u32 = 1 << 27;
    /// Not allowed between `MULTI` and `EXEC`, though Redis allows it. Not shown.
    pub const REFUSED_IN_MULTI: u32 = 1 << 30;
    /// Documented as being for the server itself and for those who work on it.
    pub const SYSTEM: u32 = 1 << 29;
}

/// Bits of [`Spec::categories`] that do not follow from the flags and the group.
pub mod category {
    /// `@dangerous`
    pub const DANGEROUS: u32 = 1 << 0;
    /// `@keyspace`
    pub const KEYSPACE: u32 = 1 << 1;
    /// `@connection`
    pub const CONNECTION: u32 = 1 << 2;
    /// `@transaction`
    pub const TRANSACTION: u32 = 1 << 3;
    /// `@scripting`
    pub const SCRIPTING: u32 = 1 << 4;
    /// `@set`, of a command of another group.
    pub const SET: u32 = 1 << 5;
    /// `@sortedset`, of a command of another group.
    pub const SORTED_SET: u32 = 1 << 6;
    /// `@list`, of a command of another group.
    pub const LIST: u32 = 1 << 7;
    /// `@admin`, of a command without that flag.
    pub const ADMIN: u32 = 1 << 8;
}

/// What kind of data a command is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of Redis's own groups")]
pub enum Group {
    Generic,
    String,
    List,
    Set,
    SortedSet,
    Hash,
    PubSub,
    Transactions,
    Connection,
    Server,
    Scripting,
    HyperLogLog,
    Cluster,
    Geo,
    Stream,
    Bitmap,
}

/// Tells which arguments are the keys of a command.
pub type Locate = fn(Args<'_>) -> core::ops::Range<usize>;

/// Which arguments of a command are channels that a client must be allowed to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channels {
    /// None.
    None,
    /// The first.
    First,
    /// All.
    All,
    /// All, and they are patterns.
    Patterns,
}

/// What a client hears who may not read all keys, if a command with these arguments reads keys that
/// it does not name.
pub type ReadsBeyond = fn(Args<'_>) -> Option<Error>;

/// What has taken the place of a command.
#[derive(Clone, Copy)]
pub struct Replaced {
    /// The version of Redis since when it has.
    pub since: &'static str,
    /// What to use, as Redis's documentation writes it.
    pub by: &'static str,
}

/// A command's row.
#[derive(Clone, Copy)]
pub struct Spec {
    /// Lower case; of a subcommand `command|subcommand`.
    pub name: &'static str,
    first_word: &'static str,
    /// Arguments, the name included; negative: at least as many.
    pub arity: i16,
    /// Its code.
    pub code: Code,
    /// Bits of [`flag`].
    pub flags: u32,
    /// Bits of [`category`].
    pub categories: u32,
    /// Where its keys are.
    pub keys: &'static [KeySpec],
    /// Finds the keys for whoever runs it, where the rules may be misled by other arguments.
    pub locate: Option<Locate>,
    /// Which of its arguments are channels.
    pub channels: Channels,
    /// Of a command that may read keys which it does not name.
    pub reads_beyond: Option<ReadsBeyond>,
    /// Of a command that may wait for what does not vanish with the first who gets it.
    pub ready: Option<Ready>,
    /// Hints for clients, as in Redis's documentation.
    pub tips: &'static [&'static str],
    /// How the replies of two versions are compared: one of [`rule`].
    pub compared: u8,
    /// What it is about.
    pub group: Group,
    /// The version of Redis that had it first.
    pub since: &'static str,
    /// Time complexity.
    pub complexity: &'static str,
    /// What it does, in a sentence.
    pub summary: &'static str,
    /// Its arguments, keys included, the name left out.
    pub arguments: &'static [Argument],
    /// Which of its arguments others are not shown.
    pub secrets: Secrets,
    /// What has taken its place, if something has.
    pub replaced: Option<Replaced>,
    /// What has changed about it since: in which version of Redis, and what.
    pub history: &'static [(&'static str, &'static str)],
    /// Its subcommands; the command itself then only tells that one is missing.
    pub subcommands: &'static [Spec],
}

/// What stands before the first `|` of a name.
const fn first_word(name: &'static str) -> &'static str {
    let mut end = 0;
    while end < name.len() && name.as_bytes()[end] != b'|' {
        end += 1;
    }
    name.split_at(end).0
}

impl Spec {
    /// A row with what every command has; the rest is added by the methods below.
    pub const fn new(name: &'static str, arity: i16, group: Group, run: Run) -> Self {
        Self::with_code(name, arity, group, Code::Keys(run))
    }

    /// As [`Spec::new`], of a command that concerns its client.
    pub const fn for_client(
        name: &'static str,
        arity: i16,
        group: Group,
        run: RunForClient,
    ) -> Self {
        Self::with_code(name, arity, group, Code::Client(run))
    }

    const fn with_code(name: &'static str, arity: i16, group: Group, code: Code) -> Self {
        Self {
            name,
            first_word: first_word(name),
            arity,
            code,
            flags: 0,
            categories: 0,
            keys: &[],
            locate: None,
            channels: Channels::None,
            reads_beyond: None,
            ready: None,
            tips: &[],
            compared: rule::EXACT,
            group,
            since: "1.0.0",
            complexity: "O(1)",
            summary: "",
            arguments: &[],
            secrets: Secrets::None,
            replaced: None,
            history: &[],
            subcommands: &[],
        }
    }

    /// The row with other code, for a release that does a command differently.
    pub const fn run(mut self, run: Run) -> Self {
        self.code = Code::Keys(run);
        self
    }

    /// As [`Spec::run`], of a command that concerns its client.
    pub const fn run_for_client(mut self, run: RunForClient) -> Self {
        self.code = Code::Client(run);
        self
    }

    /// With another number of arguments, the name included: negative if that is the least.
    pub const fn arity(mut self, arity: i16) -> Self {
        self.arity = arity;
        self
    }

    /// The row with other arguments, for a release that adds some.
    pub const fn arguments(mut self, arguments: &'static [Argument]) -> Self {
        self.arguments = arguments;
        self
    }

    /// Keeps arguments out of what others are shown.
    pub const fn secrets(mut self, secrets: Secrets) -> Self {
        self.secrets = secrets;
        self
    }

    /// Sets bits of [`flag`].
    pub const fn flags(mut self, flags: u32) -> Self {
        self.flags |= flags;
        self
    }

    /// Clears bits of [`flag`], for a release in which they do not apply any more.
    pub const fn without(mut self, flags: u32) -> Self {
        self.flags &= !flags;
        self
    }

    /// Puts the command into a group other than its family's.
    pub const fn in_group(mut self, group: Group) -> Self {
        self.group = group;
        self
    }

    /// Sets bits of [`category`].
    pub const fn categories(mut self, categories: u32) -> Self {
        self.categories |= categories;
        self
    }

    /// Says where the keys are.
    pub const fn keys(mut self, keys: &'static [KeySpec]) -> Self {
        self.keys = keys;
        self
    }

    /// Says how the keys are found when the command is run.
    pub const fn located_by(mut self, locate: Locate) -> Self {
        self.locate = Some(locate);
        self
    }

    /// Says which arguments are channels.
    pub const fn channels(mut self, channels: Channels) -> Self {
        self.channels = channels;
        self
    }

    /// Says when it reads keys that it does not name.
    pub const fn reads_beyond(mut self, beyond: ReadsBeyond) -> Self {
        self.reads_beyond = Some(beyond);
        self
    }

    /// Says when it is worth while to run it for a client that waits.
    pub const fn ready(mut self, ready: Ready) -> Self {
        self.ready = Some(ready);
        self
    }

    /// Adds hints for clients.
    pub const fn tips(mut self, tips: &'static [&'static str]) -> Self {
        self.tips = tips;
        let mut at = 0;
        while at < tips.len() {
            if equal(tips[at].as_bytes(), b"nondeterministic_output") {
                self.compared = rule::SHAPE;
            } else if equal(tips[at].as_bytes(), b"nondeterministic_output_order") {
                self.compared = rule::UNORDERED;
            }
            at += 1;
        }
        self
    }

    /// Says how the replies of two versions are compared, where the hints for clients say too much:
    /// a captured command is run again at the same time, as far as clocks tell.
    pub const fn compared(mut self, rule: u8) -> Self {
        self.compared = rule;
        self
    }

    /// Documents the command: since when, complexity, arguments, what it does.
    pub const fn doc(
        mut self,
        since: &'static str,
        complexity: &'static str,
        arguments: &'static [Argument],
        summary: &'static str,
    ) -> Self {
        self.since = since;
        self.complexity = complexity;
        self.arguments = arguments;
        self.summary = summary;
        self
    }

    /// Says what has changed about it since it was first there: in which version, and what.
    pub const fn history(mut self, history: &'static [(&'static str, &'static str)]) -> Self {
        self.history = history;
        self
    }

    /// Says since when another command is to be used, and which.
    pub const fn replaced(mut self, since: &'static str, by: &'static str) -> Self {
        self.replaced = Some(Replaced { since, by });
        self
    }

    /// Adds subcommands.
    pub const fn subcommands(mut self, subcommands: &'static [Spec]) -> Self {
        self.subcommands = subcommands;
        self
    }

    /// Whether a flag is set.
    #[inline]
    pub fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// Whether it may change what keys hold, be it only what is remembered of a value.
    pub fn may_change_keys(&self) -> bool {
        self.has(flag::WRITE) || self.has(flag::READONLY) && self.has(flag::MAY_REPLICATE)
    }

    /// Whether this many arguments are as many as it takes.
    #[inline]
    pub fn takes(&self, arguments: usize) -> bool {
        if self.arity >= 0 {
            arguments == self.arity as usize
        } else {
            arguments >= -(self.arity as isize) as usize
        }
    }

    /// The name as a client types it: that of a subcommand without its command.
    pub fn short_name(&self) -> &'static str {
        self.name.rsplit('|').next().unwrap_or(self.name)
    }

    /// The first word of it: of a subcommand, the name of its command.
    #[inline]
    pub fn first_word(&self) -> &'static str {
        self.first_word
    }

    /// The indices of the arguments that may be keys: where a word that announces one is given more
    /// than once, of all of them. Where arguments make no sense to a rule, those of the others: the
    /// command may look at these before it says so.
    pub fn key_indices(&self, args: Args<'_>) -> Vec<usize> {
        if let Some(locate) = self.locate {
            return locate(args).collect();
        }
        let mut found = Vec::new();
        for rule in self.keys {
            let before = found.len();
            if rule.find_in(args, &mut found).is_none() {
                found.truncate(before);
            }
            rule.find_again(args, &mut found);
        }
        found
    }

    /// The indices of the arguments that are keys, as clients are told them, with what is done with
    /// each key: bits of [`access`]. `None` when the arguments make no sense.
    pub fn keys_with_access(&self, args: Args<'_>) -> Option<Vec<(usize, u16)>> {
        let mut found = Vec::new();
        for rule in self.keys {
            let mut indices = Vec::new();
            rule.find_in(args, &mut indices)?;
            found.extend(indices.into_iter().map(|index| (index, self.access_by(rule, args))));
        }
        Some(found)
    }

    /// What is done with the keys that a rule finds.
    fn access_by(&self, rule: &KeySpec, args: Args<'_>) -> u16 {
        let options = 1 + self.arguments.iter().take_while(|a| !a.is_optional).count();
        rule.access_with(args, options)
    }

    /// As [`Spec::key_indices`], with what is done with each key, and without names that are not
    /// keys. Of a command whose code finds the keys, with what is done with the first.
    pub fn all_keys_with_access(&self, args: Args<'_>) -> Vec<(usize, u16)> {
        let mut all = Vec::new();
        let rules = self.keys.iter().filter(|rule| rule.access & access::NOT_KEY == 0);
        for rule in rules.filter(|rule| rule.begin != Begin::Unknown("")) {
            let mut found = Vec::new();
            if rule.find_in(args, &mut found).is_none() {
                found.clear();
            }
            rule.find_again(args, &mut found);
            all.extend(found.into_iter().map(|index| (index, self.access_by(rule, args))));
        }
        // Scripts ask about commands that lack arguments, too.
        let locate = self.locate.filter(|_| self.takes(args.len()));
        if let (Some(locate), Some(rule)) = (locate, self.keys.first()) {
            let access = self.access_by(rule, args);
            let others = locate(args).filter(|at| all.iter().all(|(known, _)| known != at));
            let others: Vec<_> = others.map(|index| (index, access)).collect();
            all.extend(others);
        }
        all
    }
}
