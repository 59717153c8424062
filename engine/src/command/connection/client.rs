//! `CLIENT`: the connection itself, and the end of others.

use abi::client::{ClientGuarded, ClientShared, flag};

use crate::exec::argument::{Argument, integer, one_of, string, token};
use crate::exec::context::ClientCtx;
use crate::exec::options::{GivenOption, Options, Token};
use crate::session::clients::{self, Kind, Text};
use base::args::Args;
use base::bytes;
use base::core::Core;
use base::error::{self, Done, Error};

/// What `CLIENT HELP` tells; its last two lines are about itself.
pub const HELP: &[&str] = &[
    "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CACHING (YES|NO)",
    "    Whether keys that the next command or transaction reads are tracked.",
    "GETNAME",
    "    The name of this connection.",
    "GETREDIR",
    "    The connection that gets this one's invalidation messages; 0 for none, -1 without tracking.",
    "ID",
    "    The number of this connection.",
    "INFO",
    "    This connection, described in a line.",
    "KILL <ip:port>",
    "    Close the connection from that address.",
    "KILL <option> <value> [<option> <value> [...]]",
    "    Close all connections that fit: ID <id>, TYPE (NORMAL|MASTER|REPLICA|PUBSUB),",
    "    USER <name>, ADDR <ip:port>, LADDR <ip:port>, SKIPME (YES|NO).",
    "LIST [TYPE (NORMAL|MASTER|REPLICA|PUBSUB)] [ID <id> [<id> ...]]",
    "    Connections, described in a line each.",
    "NO-EVICT (ON|OFF)",
    "    Whether this connection is kept when memory is short.",
    "PAUSE <timeout> [WRITE|ALL]",
    "    Put off the commands of all clients for so many milliseconds.",
    "REPLY (ON|OFF|SKIP)",
    "    Whether this connection gets replies.",
    "SETNAME <name>",
    "    Name this connection.",
    "TRACKING (ON|OFF) [REDIRECT <id>] [PREFIX <prefix> [PREFIX <prefix> [...]]] [BCAST]",
    "         [OPTIN] [OPTOUT] [NOLOOP]",
    "    Whether this connection hears of changes to keys that it has read, or that begin so.",
    "TRACKINGINFO",
    "    How keys are tracked for this connection.",
    "UNBLOCK <id> [TIMEOUT|ERROR]",
    "    End the wait of a client that a command has blocked.",
    "UNPAUSE",
    "    End the pause.",
    "HELP",
    "    Print this help.",
];

pub fn help(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    cx.out.simple_lines(HELP);
    Ok(())
}

pub fn id(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    let id = cx.session.id();
    cx.out.integer(id as i64);
    Ok(())
}

pub fn getname(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    let guarded = cx.session.state().guarded.lock(cx.data.keys.core.locker());
    match bytes::slice(&guarded.name) {
        [] => cx.data.out.null(),
        name => cx.data.out.bulk(name),
    }
    Ok(())
}

pub fn setname(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    clients::check_name(args.at(2))?;
    clients::set_text(cx.data.keys.core, cx.session.state_mut(), Text::Name, args.at(2));
    cx.out.ok();
    Ok(())
}

/// `ON` or `OFF`.
pub const ENABLED: Argument = one_of("enabled", &[token("ON"), token("OFF")]);

/// `ON` or `OFF` for a bit of the client's flags.
pub fn switch(cx: &mut ClientCtx<'_>, args: Args<'_>, bit: u64) -> Done {
    let on = ENABLED.choose(args, 2, [true, false]).ok_or(error::SYNTAX)?;
    cx.session.put(bit, on);
    cx.out.ok();
    Ok(())
}

pub fn no_evict(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    switch(cx, args, flag::NO_EVICT)
}

/// Whether replies are wanted.
pub const REPLY: Argument = one_of("on_off_skip", &[token("ON"), token("OFF"), token("SKIP")]);

pub fn reply(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let set = [0, flag::REPLY_OFF, flag::REPLY_SKIP_NEXT];
    match REPLY.choose(args, 2, set).ok_or(error::SYNTAX)? {
        0 => {
            cx.session.clear(flag::REPLY_OFF | flag::REPLY_SKIP);
            cx.out.ok();
        }
        flag::REPLY_SKIP_NEXT if cx.session.has(flag::REPLY_OFF) => {}
        bit => cx.session.set(bit),
    }
    Ok(())
}

const FILTERS: &[Argument] = &[
    integer("client-id").token("ID").optional().since("2.8.12"),
    one_of(
        "normal_master_slave_pubsub",
        &[
            token("NORMAL"),
            token("MASTER").since("3.2.0"),
            token("SLAVE"),
            token("REPLICA").since("5.0.0"),
            token("PUBSUB"),
        ],
    )
    .token("TYPE")
    .optional()
    .since("2.8.12"),
    string("username").token("USER").optional(),
    string("ip:port").token("ADDR").optional(),
    string("ip:port").token("LADDR").optional().since("6.2.0"),
    string("yes/no").token("SKIPME").optional(),
];
const KILL_OPTIONS: &Options = &Options::of(FILTERS);
const ID: Token = KILL_OPTIONS.token("ID");
const TYPE: Token = KILL_OPTIONS.token("TYPE");
const USER: Token = KILL_OPTIONS.token("USER");
const ADDR: Token = KILL_OPTIONS.token("ADDR");
const LADDR: Token = KILL_OPTIONS.token("LADDR");
const SKIPME: Token = KILL_OPTIONS.token("SKIPME");

/// The arguments of `CLIENT KILL`: an address, or options.
pub const KILL: &[Argument] = &[one_of(
    "filter",
    &[string("ip:port").deprecated_since("2.8.12"), one_of("new-format", FILTERS).multiple()],
)];

/// What connections `CLIENT KILL` is to close.
#[derive(Default)]
struct Filter<'a> {
    id: Option<u64>,
    kind: Option<Kind>,
    addr: Option<&'a [u8]>,
    laddr: Option<&'a [u8]>,
    keep_own: bool,
}

impl<'a> Filter<'a> {
    fn read(args: Args<'a>) -> Result<Self, Error> {
        let mut filter = Filter { keep_own: true, ..Default::default() };
        let mut options = KILL_OPTIONS.walk(args, 2);
        for option in options.by_ref() {
            filter.add(args, option)?;
        }
        options.finish()?;
        Ok(filter)
    }

    fn add(&mut self, args: Args<'a>, option: GivenOption<'a>) -> Result<(), Error> {
        const NOT_AN_ID: Error = Error::new("ERR client-id should be greater than 0");
        let value = option.value();
        match option.token {
            ID => self.id = Some(option.integer_in(1..=i64::MAX, NOT_AN_ID)? as u64),
            TYPE => self.kind = Some(Kind::parse(value)?),
            USER if value != b"default" => {
                return Err(error::with_quoted("ERR No such user ", args.at(option.index())));
            }
            ADDR => self.addr = Some(value),
            LADDR => self.laddr = Some(value),
            SKIPME => {
                self.keep_own = args.is(option.index(), "YES");
                if !self.keep_own && !args.is(option.index(), "NO") {
                    return Err(error::SYNTAX);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn fits(&self, client: &ClientShared) -> bool {
        self.id.is_none_or(|id| id == client.id)
            && self.kind.is_none_or(|kind| kind == Kind::of(client))
            && self.addr.is_none_or(|addr| addr == bytes::slice(&client.peer))
            && self.laddr.is_none_or(|laddr| laddr == bytes::slice(&client.local))
    }
}

pub fn kill(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    if args.len() == 3 {
        let filter = Filter { addr: Some(args.at(2)), ..Default::default() };
        if kill_all(cx, &filter) == 0 {
            return Err(Error::new("ERR No such client"));
        }
        cx.out.ok();
    } else {
        let filter = Filter::read(args)?;
        let killed = kill_all(cx, &filter);
        cx.out.count(killed);
    }
    Ok(())
}

fn kill_all(cx: &mut ClientCtx<'_>, filter: &Filter<'_>) -> usize {
    kill_those(cx, filter.keep_own, |_, client, _| filter.fits(client))
}

/// Closes the connections that fit, this one only if so asked and once its reply has been sent.
/// Returns how many.
pub fn kill_those(
    cx: &mut ClientCtx<'_>,
    keep_own: bool,
    fits: impl Fn(&Core, &ClientShared, &ClientGuarded) -> bool,
) -> usize {
    let own = cx.session.id();
    let mut own_too = false;
    let core = &*cx.keys.core;
    let killed = clients::kill_all(core, |client, guarded| {
        let fits = fits(core, client, guarded) && !(keep_own && client.id == own);
        own_too |= fits && client.id == own;
        fits && client.id != own
    });
    if own_too {
        cx.session.close_after_reply();
    }
    killed.len() + own_too as usize
}
