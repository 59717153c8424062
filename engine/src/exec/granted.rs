//! A user's rules as they are looked up: which commands of this release they allow.

use std::collections::BTreeMap;

use abi::acl::reason;

use crate::exec::call::Call;
use crate::exec::categories::CATEGORIES;
use crate::exec::index::Index;
use crate::exec::spec::{Channels, Spec, access, flag};
use crate::exec::vocabulary::find;
use crate::session::acl::{Selector, User, permission};
use base::args::Args;

/// Why a command was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denial {
    /// See [`reason`].
    pub reason: u32,
    /// The argument that is to blame, if one is.
    pub at: usize,
}

/// The commands that rules allow, by their places in the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commands {
    allowed: Vec<bool>,
    /// First arguments with which a command is allowed that is not as a whole.
    pub first_arguments: BTreeMap<u16, Vec<Vec<u8>>>,
    /// Rules about what this release does not have.
    pub unknown: Vec<Vec<u8>>,
}

impl Commands {
    /// All commands, or none.
    pub fn all_or_none(index: &Index, all: bool) -> Self {
        let allowed = vec![all; index.all().len()];
        Self { allowed, first_arguments: BTreeMap::new(), unknown: Vec::new() }
    }

    /// What the rules of a selector allow.
    pub fn of(index: &Index, selector: &Selector) -> Self {
        let mut commands = Self::all_or_none(index, selector.allows_by_default());
        selector.commands.iter().for_each(|rule| commands.apply(index, rule));
        commands
    }

    /// Whether the command at a place in the index is allowed.
    pub fn has(&self, at: u16) -> bool {
        self.allowed[at as usize]
    }

    fn apply(&mut self, index: &Index, rule: &[u8]) {
        let (allows, name) = (rule[0] == b'+', &rule[1..]);
        match name {
            b"@all" => {}
            [b'@', category @ ..] => match category_of(category) {
                Some(has) => self.set_category(index, has, allows),
                None => self.unknown.push(rule.to_vec()),
            },
            _ => match find(index, name) {
                Some(at) => self.set(index, at, allows),
                None => self.add_first_argument(index, rule),
            },
        }
    }

    /// Allows a command and all of its subcommands, or forbids them.
    pub fn set(&mut self, index: &Index, at: u16, allows: bool) {
        for at in std::iter::once(at).chain(index.subcommands(at)) {
            self.allowed[at as usize] = allows;
            self.first_arguments.remove(&at);
        }
    }

    /// Allows the commands of a category, or forbids them.
    pub fn set_category(&mut self, index: &Index, has: fn(&Spec) -> bool, allows: bool) {
        for (at, command) in (0..).zip(index.all()) {
            if has(command.spec) {
                self.set(index, at, allows);
            }
        }
    }

    fn add_first_argument(&mut self, index: &Index, rule: &[u8]) {
        let bar = memchr::memrchr(b'|', rule).filter(|_| rule[0] == b'+');
        let at = bar.and_then(|bar| Some((bar, find(index, &rule[1..bar])?)));
        match at.filter(|(_, at)| index[*at].spec.subcommands.is_empty()) {
            Some((bar, at)) => {
                self.first_arguments.entry(at).or_default().push(rule[bar + 1..].to_vec());
            }
            None => self.unknown.push(rule.to_vec()),
        }
    }

    fn allows(&self, call: &Call, args: Args<'_>) -> bool {
        if self.has(call.at) || call.spec.has(flag::NO_AUTH) {
            return true;
        }
        let first = self.first_arguments.get(&call.at).zip(args.get(1));
        first.is_some_and(|(allowed, first)| {
            allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(first))
        })
    }
}

/// Whether a command belongs to the category of a name in lower case.
fn category_of(name: &[u8]) -> Option<fn(&Spec) -> bool> {
    let found = CATEGORIES.iter().find(|(category, _)| category.as_bytes() == name);
    found.map(|(_, has)| *has)
}

/// A user whose rules have been looked up.
pub struct Compiled {
    user: User,
    /// For each selector.
    commands: Vec<Commands>,
}

impl Compiled {
    /// Looks the rules of a user up.
    pub fn new(user: User, index: &Index) -> Self {
        let commands =
            user.selectors.iter().map(|selector| Commands::of(index, selector)).collect();
        Self { user, commands }
    }

    /// The user's name.
    pub fn name(&self) -> &[u8] {
        &self.user.name
    }

    /// Whether the user may run a command. If not, what is told is how far the selector came that
    /// came furthest.
    pub fn check(&self, call: &Call, args: Args<'_>) -> Result<(), Denial> {
        let mut furthest = Denial { reason: reason::COMMAND, at: 0 };
        let mut keys = None;
        for (selector, commands) in self.selectors() {
            match check_one(selector, commands, call, args, &mut keys) {
                Ok(()) => return Ok(()),
                Err(denial) if (denial.reason, denial.at) > (furthest.reason, furthest.at) => {
                    furthest = denial;
                }
                Err(_) => {}
            }
        }
        Err(furthest)
    }

    /// Whether the user may run a command by rules that allow to read all keys.
    pub fn may_read_all(&self, call: &Call, args: Args<'_>) -> bool {
        let mut keys = None;
        self.selectors().any(|(selector, commands)| {
            selector.allows_to_read_all()
                && check_one(selector, commands, call, args, &mut keys).is_ok()
        })
    }

    fn selectors(&self) -> impl Iterator<Item = (&Selector, &Commands)> {
        self.user.selectors.iter().zip(&self.commands)
    }
}

/// The keys of a command, with the permissions that are needed for each.
type Keys = Vec<(usize, u8)>;

fn check_one(
    selector: &Selector,
    commands: &Commands,
    call: &Call,
    args: Args<'_>,
    keys: &mut Option<Keys>,
) -> Result<(), Denial> {
    if !commands.allows(call, args) {
        return Err(Denial { reason: reason::COMMAND, at: 0 });
    }
    if !selector.all_keys && !call.spec.keys.is_empty() {
        let keys = keys.get_or_insert_with(|| keys_of(call.spec, args));
        let refused = keys.iter().find(|(at, needed)| !selector.allows_key(args.at(*at), *needed));
        if let Some((at, _)) = refused {
            return Err(Denial { reason: reason::KEY, at: *at });
        }
    }
    if selector.all_channels {
        return Ok(());
    }
    let (range, is_pattern) = match call.spec.channels {
        Channels::None => return Ok(()),
        Channels::First => (1..args.len().min(2), false),
        Channels::All => (1..args.len(), false),
        Channels::Patterns => (1..args.len(), true),
    };
    match range.into_iter().find(|at| !selector.allows_channel(args.at(*at), is_pattern)) {
        Some(at) => Err(Denial { reason: reason::CHANNEL, at }),
        None => Ok(()),
    }
}

/// The keys that a command may touch, and what is to be allowed for each.
fn keys_of(spec: &Spec, args: Args<'_>) -> Keys {
    let keys = spec.all_keys_with_access(args).into_iter();
    keys.map(|(at, access)| (at, needed(access))).collect()
}

fn needed(bits: u16) -> u8 {
    const CHANGES: u16 = access::INSERT | access::DELETE | access::UPDATE;
    let reads = if bits & access::ACCESS != 0 { permission::READ } else { 0 };
    reads | if bits & CHANGES != 0 { permission::WRITE } else { 0 }
}
