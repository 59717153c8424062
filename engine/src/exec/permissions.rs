//! Whether a client may do what it asks for.
//!
//! A client whose user may do everything is never looked at: a bit of its flags says so. For others a
//! lane keeps what it has made of their users' rules, until users are changed.
#![forbid(unsafe_code)]

use core::sync::atomic::Ordering::Relaxed;
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use abi::acl::{Acl, context};
use abi::client::{ClientState, flag};

use crate::exec::call::Call;
use crate::exec::context::ClientCtx;
use crate::exec::granted::Compiled;
use crate::exec::index::Index;
use crate::exec::refusal::Refusal;
use crate::exec::thread::Exec;
use crate::session::acl::{self, Refused, User};
use crate::session::command_blob::Blob;
use base::args::Args;
use base::core::Core;
use base::error::{self, Error};

/// What a lane knows of the users.
#[derive(Default)]
pub struct KnownUsers {
    /// How often users had been changed when it was read.
    changes: Option<u64>,
    /// The users as the arena had them then.
    stored: Vec<u8>,
    by_number: BTreeMap<u64, Range<usize>>,
    by_name: BTreeMap<Vec<u8>, Range<usize>>,
    compiled: BTreeMap<u64, Rc<Compiled>>,
    /// Whether the configuration has had a line about the default user.
    pub default_is_configured: bool,
}

impl KnownUsers {
    /// Reads the users anew if they have changed.
    fn refresh(&mut self, core: &Core) {
        if self.changes != Some(acl::changes(core.roots)) {
            self.read(core, &acl::locked(core));
        }
    }

    #[cold]
    fn read(&mut self, core: &Core, acl: &Acl) {
        self.compiled.clear();
        self.by_number.clear();
        self.by_name.clear();
        self.stored = acl::stored(acl).to_vec();
        acl::for_each_stored(&self.stored, |blob, range| {
            let args = blob.args();
            let number = args.at(0).try_into().map_or(acl::NO_NUMBER, u64::from_le_bytes);
            self.by_number.insert(number, range.clone());
            self.by_name.insert(args.at(1).to_vec(), range);
        });
        self.changes = Some(acl::changes(core.roots));
    }

    fn decode(&self, range: &Range<usize>) -> User {
        User::from_words(Blob::read(&self.stored[range.clone()]).args().from(0))
    }

    /// The user of a name. It is the one that there is for as long as users stay locked.
    pub fn named(&mut self, core: &Core, users: &acl::Locked, name: &[u8]) -> Option<User> {
        if self.changes != Some(acl::changes(core.roots)) {
            self.read(core, users);
        }
        if self.stored.is_empty() && name == acl::DEFAULT {
            return Some(User::first());
        }
        self.by_name.get(name).map(|range| self.decode(range))
    }

    /// What the user of a number may do. None: it is gone.
    pub fn compiled(&mut self, core: &Core, index: &Index, number: u64) -> Option<Rc<Compiled>> {
        self.refresh(core);
        if let Some(known) = self.compiled.get(&number) {
            return Some(Rc::clone(known));
        }
        let made = Rc::new(Compiled::new(self.decode(self.by_number.get(&number)?), index));
        self.compiled.insert(number, Rc::clone(&made));
        Some(made)
    }
}

/// When a command is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// It has come from its client.
    Admission,
    /// It has been queued, and is to be run.
    Exec,
    /// A script calls it.
    Script,
}

/// Fails if a client's user may not do what a command does, and logs that.
#[cold]
pub fn check(
    core: &Core,
    exec: &mut Exec,
    client: &ClientState,
    (call, args): (&Call, Args<'_>),
    at: At,
) -> Result<(), Error> {
    // One whose user is gone is about to be closed.
    let user = exec.acl.compiled(core, &exec.index, client.user).ok_or(error::NO_AUTH)?;
    let in_multi = client.flags.load(Relaxed) & flag::MULTI != 0;
    let Err(denial) = user.check(call, args) else {
        let is_queued = at == At::Admission && in_multi;
        return if is_queued { Ok(()) } else { check_beyond(&user, call, args) };
    };
    let context = match at {
        At::Script => context::SCRIPT,
        At::Admission if !in_multi => context::TOP_LEVEL,
        At::Admission | At::Exec => context::MULTI,
    };
    let (name, release) = (user.name(), exec.release);
    let refusal = Refusal { denial, user: name, spec: call.spec, args, release };
    let (reason, object) = (denial.reason, refusal.object());
    acl::refused(core, client, Refused { reason, context, object, user: name });
    Err(match at {
        At::Admission => refusal.to_client(),
        At::Exec => refusal.in_transaction(),
        At::Script => refusal.in_script(),
    })
}

/// Whether a client's user may run a command. None: there is no such command.
pub fn may_run(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Option<bool> {
    let ClientCtx { data, session, exec } = cx;
    let index = &exec.index;
    let call = Call::from(index.find(args.at(0)).and_then(|at| index.meant(at, args).ok())?);
    if !session.has(flag::RESTRICTED) {
        return Some(true);
    }
    let user = exec.acl.compiled(data.keys.core, index, session.state().user);
    Some(user.is_some_and(|user| user.check(&call, args).is_ok()))
}

/// Fails if a command reads keys that it does not name, and the user may not read all.
fn check_beyond(user: &Compiled, call: &Call, args: Args<'_>) -> Result<(), Error> {
    match call.spec.reads_beyond.and_then(|beyond| beyond(args)) {
        Some(error) if !user.may_read_all(call, args) => Err(error),
        _ => Ok(()),
    }
}
