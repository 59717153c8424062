//! Finds a command by its name, for one release.

use std::borrow::Cow;
use std::sync::atomic::AtomicU64;

use abi::stats::CommandStat;

use crate::exec::argument::{Argument, Kind};
use crate::exec::spec::{Begin, Find, Group, KeySpec, Locate, Spec, flag};
use crate::session::stats::{Slots, counted, counters_of};
use base::args::Args;
use base::core::Core;
use base::error::{self, Error};
use base::heap::if_room;

/// How a command's keys are found when it is run.
#[derive(Clone, Copy, Debug)]
pub enum KeyRule {
    /// It has none.
    None,
    /// One, at this argument: nearly all commands.
    One(u8),
    /// Two, at these arguments, each found by a rule of its own.
    Two(u8, u8),
    /// From the first argument to the last (relative to the end), each `step`.
    Range {
        /// The first key.
        first: u8,
        /// The last key, from the end: 1 is the last argument.
        last: u8,
        /// From key to key.
        step: u8,
    },
    /// By the row's rules.
    Rules,
    /// By code of the command's own.
    Located(Locate),
    /// Any key if an argument is a pattern, else by the row's rules.
    Patterns,
    /// Any key.
    All,
}

/// A command as dispatch sees it.
pub struct Command {
    /// What clients call it: the name in its row, unless it has been renamed.
    name: Cow<'static, [u8]>,
    folded: Folded,
    /// Whether that says it all: at most eight letters.
    is_word: bool,
    /// Its row.
    pub spec: &'static Spec,
    /// Where it is in the index.
    pub at: u16,
    /// Its slot in the counters; [`NO_SLOT`] until [`Index::count`] has given it one.
    pub slot: u32,
    /// What this lane counts of it.
    pub stat: &'static CommandStat,
    /// How its keys are found.
    pub keys: KeyRule,
    /// How far behind its only key the argument mostly is that names a part of the value, a field or a
    /// member; 0 if none does.
    pub part: u8,
    /// Where its subcommands are in the index.
    subcommands: core::ops::Range<u16>,
}

/// The slot of a command that has none yet. One more is 0, which stands for none where slots are
/// kept.
pub const NO_SLOT: u32 = u32::MAX;

/// Where a command without a slot counts. Nobody looks there.
static NOWHERE: CommandStat = CommandStat {
    calls: AtomicU64::new(0),
    time_ns: AtomicU64::new(0),
    rejected: AtomicU64::new(0),
    failed: AtomicU64::new(0),
    histogram: AtomicU64::new(0),
    reserved: [const { AtomicU64::new(0) }; 3],
};

const TABLE: usize = 2048;
const NONE: u16 = u16::MAX;

/// All commands of a release.
pub struct Index {
    commands: Vec<Command>,
    table: Box<[u16; TABLE]>,
    top_level: usize,
    is_counted: bool,
}

/// A name as it is looked up: with a bit set in every byte that makes a letter lower-case.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Folded {
    /// The first eight bytes, from the lowest on.
    first: u64,
    /// The last eight; none of a shorter name.
    last: u64,
    len: usize,
}

impl Folded {
    #[inline]
    fn new(name: &[u8]) -> Self {
        const LOWER: u64 = 0x2020_2020_2020_2020;
        let last = name.last_chunk().map_or(0, |last| u64::from_le_bytes(*last));
        Self { first: first_bytes(name) | LOWER, last: last | LOWER, len: name.len() }
    }

    /// Where the search for the name begins.
    #[inline]
    fn place(self) -> usize {
        let mixed = self.first.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ self.last.rotate_left(29);
        let mixed = (mixed ^ self.len as u64).wrapping_mul(0xd6e8_feb8_6659_fd93);
        (mixed >> 53) as usize
    }
}

/// The first eight bytes, from the lowest on; zeros behind a shorter name.
#[inline]
fn first_bytes(name: &[u8]) -> u64 {
    // Both ends of what is shorter, which may overlap: a copy of so many bytes would be a call.
    match (name.first_chunk::<8>(), name.first_chunk::<4>(), name.first_chunk::<2>()) {
        (Some(all), ..) => u64::from_le_bytes(*all),
        (_, Some(first), _) => {
            let last = name.last_chunk::<4>().map_or(0, |last| u32::from_le_bytes(*last));
            u64::from(u32::from_le_bytes(*first)) | u64::from(last) << (8 * (name.len() - 4))
        }
        (.., Some(first)) => {
            let last = u64::from(name[name.len() - 1]);
            u64::from(u16::from_le_bytes(*first)) | last << (8 * (name.len() - 1))
        }
        _ => name.first().map_or(0, |first| u64::from(*first)),
    }
}

impl Index {
    /// The index of a release's tables. It changes nothing outside itself: the release may never
    /// serve. So only commands that have counted before have their slots in the arena's counters.
    ///
    /// A later table's row takes the place of an earlier one's of the same name.
    pub fn new(core: &Core, tables: &[&'static [Spec]]) -> Self {
        let mut rows: Vec<&'static Spec> = Vec::new();
        for spec in tables.iter().copied().flatten() {
            match rows.iter_mut().find(|row| row.name == spec.name) {
                Some(row) => *row = spec,
                None => rows.push(spec),
            }
        }
        let (table, top_level) = (Box::new([NONE; TABLE]), rows.len());
        let mut index = Self { commands: Vec::new(), table, top_level, is_counted: false };
        let mut slots = Slots::of(core);
        index.commands.extend(rows.iter().map(|spec| command(core, &mut slots, spec)));
        for (at, row) in rows.iter().enumerate() {
            let start = index.commands.len() as u16;
            index
                .commands
                .extend(row.subcommands.iter().map(|spec| command(core, &mut slots, spec)));
            index.commands[at].subcommands = start..index.commands.len() as u16;
        }
        drop(slots);
        (0..).zip(&mut index.commands).for_each(|(at, command)| command.at = at);
        index.is_counted = index.commands.iter().all(Command::is_counted);
        index.enter_all();
        index
    }

    /// Whether every command has its slot.
    #[inline]
    pub fn is_counted(&self) -> bool {
        self.is_counted
    }

    /// Gives every command that has none its slot and its counters. Only by the lane it is for,
    /// once its release serves there. When the arena is full the rest stays uncounted.
    #[cold]
    pub fn count(&mut self, core: &Core) {
        self.is_counted = true;
        let mut slots = Slots::of(core);
        for command in self.commands.iter_mut().filter(|command| !command.is_counted()) {
            if_room(|| {
                let slot = slots.slot(command.spec.name, command.spec.group as u32);
                (command.stat, command.slot) = (counters_of(core, core.stats, slot), slot);
            });
        }
    }

    /// Lets clients call a command by another name, or by none if that is empty. Nothing happens
    /// if there is no command of the old name, or one of the new.
    pub fn rename(&mut self, from: &[u8], to: &[u8]) {
        if let Some(at) = self.find(from)
            && self.find(to).is_none()
        {
            self.commands[at as usize].set_name(Cow::Owned(to.to_ascii_lowercase()));
            self.enter_all();
        }
    }

    fn enter_all(&mut self) {
        self.table.fill(NONE);
        for at in 0..self.top_level {
            if !self.commands[at].name.is_empty() {
                self.enter(at as u16);
            }
        }
    }

    fn enter(&mut self, at: u16) {
        let mut place = self.commands[at as usize].folded.place();
        while self.table[place] != NONE {
            place = (place + 1) % TABLE;
        }
        self.table[place] = at;
    }

    /// The command of this name, in any case.
    #[inline]
    pub fn find(&self, name: &[u8]) -> Option<u16> {
        let folded = Folded::new(name);
        let mut place = folded.place();
        loop {
            let at = self.table[place];
            if at == NONE {
                return None;
            }
            let command = &self.commands[at as usize];
            if command.folded == folded && (command.is_word || command.is_called(name)) {
                return Some(at);
            }
            place = (place + 1) % TABLE;
        }
    }

    /// The subcommand of this name, in any case.
    pub fn find_subcommand(&self, command: u16, name: &[u8]) -> Option<u16> {
        self[command]
            .subcommands
            .clone()
            .find(|&at| self[at].spec.short_name().as_bytes().eq_ignore_ascii_case(name))
    }

    /// The command of a full name such as `get` or `client|list`.
    pub fn find_full(&self, name: &[u8]) -> Option<u16> {
        match memchr::memchr(b'|', name) {
            None => self.find(name),
            Some(bar) => self.find_subcommand(self.find(&name[..bar])?, &name[bar + 1..]),
        }
    }

    /// The command that is meant by the arguments, down to the subcommand. `command` is where the
    /// first of them leads to.
    #[inline(always)]
    pub fn meant(&self, command: u16, args: Args<'_>) -> Result<&Command, Error> {
        if command == NONE {
            return Err(error::unknown_command(args.at(0), args.from(1)));
        }
        let found = &self[command];
        if found.spec.subcommands.is_empty() || args.len() < 2 {
            return Ok(found);
        }
        self.meant_below(command, args)
    }

    /// The subcommand that is meant by the arguments, of a command that has some.
    fn meant_below(&self, command: u16, args: Args<'_>) -> Result<&Command, Error> {
        let found = &self[command];
        match self.find_subcommand(command, args.at(1)) {
            Some(sub) => Ok(&self[sub]),
            None => Err(error::unknown_subcommand(found.spec.name, args.at(1))),
        }
    }

    /// The row of a command by its name and, if it has subcommands, that of the subcommand.
    pub fn find_spec(&self, args: Args<'_>) -> Option<&'static Spec> {
        let command = self.find(args.at(0))?;
        let found = self[command].spec;
        if found.subcommands.is_empty() || args.len() < 2 {
            return Some(found);
        }
        self.find_subcommand(command, args.at(1)).map(|sub| self[sub].spec)
    }

    /// Where the subcommands of a command are.
    pub fn subcommands(&self, at: u16) -> core::ops::Range<u16> {
        self[at].subcommands.clone()
    }

    /// All commands, subcommands left out.
    pub fn top_level(&self) -> &[Command] {
        &self.commands[..self.top_level]
    }

    /// All commands and subcommands.
    pub fn all(&self) -> &[Command] {
        &self.commands
    }
}

impl Command {
    /// The name in the arguments by which the command finds a part of its key's value, if it does.
    pub fn part_of<'a>(&self, args: Args<'a>) -> Option<&'a [u8]> {
        match self.keys {
            KeyRule::One(key) if self.part > 0 => args.get(key as usize + usize::from(self.part)),
            _ => None,
        }
    }

    fn is_counted(&self) -> bool {
        self.slot != NO_SLOT
    }

    fn set_name(&mut self, name: Cow<'static, [u8]>) {
        self.folded = Folded::new(&name);
        self.is_word = name.len() <= 8 && name.iter().all(u8::is_ascii_lowercase);
        self.name = name;
    }

    fn is_called(&self, name: &[u8]) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

impl core::ops::Index<u16> for Index {
    type Output = Command;
    #[inline]
    fn index(&self, at: u16) -> &Command {
        &self.commands[at as usize]
    }
}

fn command(core: &Core, slots: &mut Slots<'_>, spec: &'static Spec) -> Command {
    let known = slots.find(spec.name).and_then(|slot| Some((slot, counted(core.stats, slot)?)));
    let (slot, stat) = known.unwrap_or((NO_SLOT, &NOWHERE));
    let mut command = Command {
        name: Cow::Borrowed(b""),
        folded: Folded::new(b""),
        is_word: false,
        spec,
        at: 0,
        slot,
        stat,
        keys: keys(spec),
        part: part(spec),
        subcommands: 0..0,
    };
    command.set_name(Cow::Borrowed(spec.name.as_bytes()));
    command
}

/// How far behind the first argument, a key, is what a part of the value is found by, where no option is
/// given: as the row documents it.
fn part(spec: &Spec) -> u8 {
    let is_name = |argument: &Argument| {
        argument.kind == Kind::String && matches!(&*argument.name(), "field" | "member")
    };
    if spec.group == Group::Stream {
        return 0;
    }
    let needed = spec.arguments.iter().filter(|argument| !argument.is_optional);
    let mut words = needed.flat_map(|argument| match argument.kind {
        Kind::Block => argument.members,
        _ => std::slice::from_ref(argument),
    });
    words.position(is_name).map_or(0, |at| at as u8)
}

fn keys(spec: &Spec) -> KeyRule {
    if spec.has(flag::ALL_KEYS) {
        return KeyRule::All;
    }
    if let Some(locate) = spec.locate {
        return KeyRule::Located(locate);
    }
    if spec.has(flag::KEYS_BY_PATTERN) {
        return KeyRule::Patterns;
    }
    match spec.keys {
        [] => KeyRule::None,
        [one] => single(one).map(KeyRule::One).or_else(|| range(one)).unwrap_or(KeyRule::Rules),
        [a, b] => single(a).zip(single(b)).map_or(KeyRule::Rules, |(a, b)| KeyRule::Two(a, b)),
        _ => KeyRule::Rules,
    }
}

/// The argument that a rule finds, if it always finds one key at the same place.
fn single(spec: &KeySpec) -> Option<u8> {
    match (spec.begin, spec.find) {
        (Begin::Index(index), Find::Range { last: 0, .. }) => Some(index as u8),
        _ => None,
    }
}

/// The arguments that a rule finds, if they reach from one place to so many before the end.
fn range(spec: &KeySpec) -> Option<KeyRule> {
    match (spec.begin, spec.find) {
        (Begin::Index(first), Find::Range { last: last @ ..0, step, limit: 0 }) => {
            let (first, last) = (first as u8, last.unsigned_abs() as u8);
            Some(KeyRule::Range { first, last, step: step as u8 })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_are_those_of_a_copy() {
        let name: Vec<u8> = (0..20).map(|at| 0x81 + at * 5).collect();
        for len in 0..=name.len() {
            let mut padded = [0; 8];
            padded[..len.min(8)].copy_from_slice(&name[..len.min(8)]);
            assert_eq!(first_bytes(&name[..len]), u64::from_le_bytes(padded), "{len}");
        }
    }
}
