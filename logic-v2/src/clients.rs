//! `CLIENT LIST` and `CLIENT KILL` with the filters of Valkey 9, and lines with the fields of Redis 8.
//!
//! What both servers take is refused with the errors of Redis.
#![forbid(unsafe_code)]

use core::sync::atomic::Ordering::Relaxed;

use abi::client::{ClientGuarded, ClientShared};
use engine::base::args::{Args, parse_integer};
use engine::base::bytes;
use engine::base::core::Core;
use engine::base::error::{self, Done, Error};
use engine::command::connection;
use engine::exec::argument::{Argument, integer, one_of, string, token};
use engine::exec::context::ClientCtx;
use engine::exec::options::{GivenOption, Options, Token};
use engine::session::acl;
use engine::session::clients::{self, Fields, Kind};
use engine::session::watch;

const NOT_A_CLIENT_ID: Error = Error::new("ERR Invalid client ID");
const ID_NOT_POSITIVE: Error = Error::new("ERR client-id should be greater than 0");

/// The letters that may stand for a flag in `CLIENT LIST` of any server of this kind.
const FLAGS: &[u8] = b"ABEIMNOPRSTUbcdeirtux";

const TYPES: &[Argument] = &[token("NORMAL"), token("MASTER"), token("REPLICA"), token("PUBSUB")];
/// What `SKIPME` takes.
const SKIPPING: Argument =
    one_of("skipme", &[token("YES"), token("NO")]).token("SKIPME").optional();

/// The arguments of `CLIENT LIST`: what a connection has to be, and what not.
pub const LIST: &[Argument] = &[
    one_of("client-type", TYPES).token("TYPE").optional().since("5.0.0"),
    integer("client-id").token("ID").multiple().optional().since("6.2.0"),
    string("username").token("USER").optional(),
    string("addr").token("ADDR").optional(),
    string("laddr").token("LADDR").optional(),
    SKIPPING,
    integer("maxage").token("MAXAGE").optional(),
    string("name").token("NAME").optional(),
    integer("idle").token("IDLE").optional(),
    string("flags").token("FLAGS").optional(),
    string("lib-name").token("LIB-NAME").optional(),
    string("lib-ver").token("LIB-VER").optional(),
    integer("db").token("DB").optional(),
    string("ip").token("IP").optional(),
    one_of("not-client-type", TYPES).token("NOT-TYPE").optional(),
    integer("not-client-id").token("NOT-ID").multiple().optional(),
    string("not-username").token("NOT-USER").optional(),
    string("not-addr").token("NOT-ADDR").optional(),
    string("not-laddr").token("NOT-LADDR").optional(),
    string("not-name").token("NOT-NAME").optional(),
    string("not-flags").token("NOT-FLAGS").optional(),
    string("not-lib-name").token("NOT-LIB-NAME").optional(),
    string("not-lib-ver").token("NOT-LIB-VER").optional(),
    integer("not-db").token("NOT-DB").optional(),
    string("not-ip").token("NOT-IP").optional(),
];
/// The arguments of `CLIENT KILL`: an address, or as [`LIST`].
pub const KILL: &[Argument] = &[one_of(
    "filter",
    &[string("old-format").deprecated_since("2.8.12"), one_of("new-format", LIST).multiple()],
)];

// How many ids there are is found out where they stand.
const FILTERS: &[Argument; LIST.len()] = &{
    let mut filters = [LIST[0]; LIST.len()];
    let mut at = 0;
    while at < LIST.len() {
        filters[at] = LIST[at].once();
        at += 1;
    }
    filters
};
const OPTIONS: &Options<32> = &Options::of(FILTERS);
const TYPE: Token = OPTIONS.token("TYPE");
const ID: Token = OPTIONS.token("ID");
const USER: Token = OPTIONS.token("USER");
const ADDR: Token = OPTIONS.token("ADDR");
const LADDR: Token = OPTIONS.token("LADDR");
const MAXAGE: Token = OPTIONS.token("MAXAGE");
const NAME: Token = OPTIONS.token("NAME");
const IDLE: Token = OPTIONS.token("IDLE");
const FLAGS_OF: Token = OPTIONS.token("FLAGS");
const LIB_NAME: Token = OPTIONS.token("LIB-NAME");
const LIB_VER: Token = OPTIONS.token("LIB-VER");
const DB: Token = OPTIONS.token("DB");
const IP: Token = OPTIONS.token("IP");
const NOT_TYPE: Token = OPTIONS.token("NOT-TYPE");
const NOT_ID: Token = OPTIONS.token("NOT-ID");
const NOT_USER: Token = OPTIONS.token("NOT-USER");
const NOT_ADDR: Token = OPTIONS.token("NOT-ADDR");
const NOT_LADDR: Token = OPTIONS.token("NOT-LADDR");
const NOT_NAME: Token = OPTIONS.token("NOT-NAME");
const NOT_FLAGS: Token = OPTIONS.token("NOT-FLAGS");
const NOT_LIB_NAME: Token = OPTIONS.token("NOT-LIB-NAME");
const NOT_LIB_VER: Token = OPTIONS.token("NOT-LIB-VER");
const NOT_DB: Token = OPTIONS.token("NOT-DB");
const NOT_IP: Token = OPTIONS.token("NOT-IP");

/// What a connection may have to be, or not to be; what is not said is not asked for.
#[derive(Default)]
struct Traits<'a> {
    kind: Option<Kind>,
    ids: Vec<u64>,
    user: Option<&'a [u8]>,
    addr: Option<&'a [u8]>,
    laddr: Option<&'a [u8]>,
    name: Option<&'a [u8]>,
    flags: Option<&'a [u8]>,
    lib_name: Option<&'a [u8]>,
    lib_version: Option<&'a [u8]>,
    db: Option<u32>,
    ip: Option<&'a [u8]>,
}

/// A connection to be looked at.
struct Seen<'a> {
    client: &'a ClientShared,
    guarded: &'a ClientGuarded,
    letters: &'a str,
}

impl Traits<'_> {
    /// For each trait that was said, whether the connection has it.
    fn answers(&self, seen: &Seen<'_>) -> impl Iterator<Item = bool> {
        let Seen { client, guarded, letters } = *seen;
        // A text that was never told is not even an empty one.
        let tells = |raw, text: &[u8]| !text.is_empty() && bytes::slice(raw) == text;
        let has_all = |flags: &[u8]| flags.iter().all(|flag| letters.as_bytes().contains(flag));
        [
            self.kind.map(|kind| kind == Kind::of(client)),
            (!self.ids.is_empty()).then(|| self.ids.contains(&client.id)),
            self.user.map(|user| user == acl::name_of(guarded)),
            self.addr.map(|addr| addr == bytes::slice(&client.peer)),
            self.laddr.map(|laddr| laddr == bytes::slice(&client.local)),
            self.name.map(|name| tells(&guarded.name, name)),
            self.flags.map(has_all),
            self.lib_name.map(|name| tells(&guarded.lib_name, name)),
            self.lib_version.map(|version| tells(&guarded.lib_version, version)),
            self.db.map(|db| db == client.db.load(Relaxed)),
            self.ip.map(|ip| ip == host_of(bytes::slice(&client.peer))),
        ]
        .into_iter()
        .flatten()
    }
}

/// An address without its port.
fn host_of(address: &[u8]) -> &[u8] {
    let port = address.iter().rposition(|byte| *byte == b':').unwrap_or(address.len());
    &address[..port]
}

/// What connections are meant.
struct Filter<'a> {
    is: Traits<'a>,
    is_not: Traits<'a>,
    age_s_min: u64,
    idle_s_min: u64,
    keeps_own: bool,
}

impl<'a> Filter<'a> {
    /// Reads all filters, from argument 2 on.
    fn read(core: &Core, args: Args<'a>, purpose: Purpose) -> Result<Self, Error> {
        let (is, is_not) = Default::default();
        let keeps_own = purpose == Purpose::Kill;
        let mut filter = Self { is, is_not, age_s_min: 0, idle_s_min: 0, keeps_own };
        let (mut next, mut unknown) = (2, error::SYNTAX);
        while next < args.len() {
            let option = OPTIONS.walk(args, next).next().ok_or(unknown)?;
            (next, unknown) = (option.index() + 1, error::SYNTAX);
            match option.token {
                ID | NOT_ID => {
                    let ids = purpose.read_ids(args, option.index())?;
                    next = option.index() + ids.len();
                    filter.traits_of(option.token).ids.extend(ids);
                    unknown = purpose.behind_ids();
                }
                _ => filter.add(core, args, &option)?,
            }
        }
        Ok(filter)
    }

    /// Those that an option is about.
    fn traits_of(&mut self, token: Token) -> &mut Traits<'a> {
        const POSITIVE: [Token; 11] =
            [TYPE, ID, USER, ADDR, LADDR, NAME, FLAGS_OF, LIB_NAME, LIB_VER, DB, IP];
        if POSITIVE.contains(&token) { &mut self.is } else { &mut self.is_not }
    }

    fn add(&mut self, core: &Core, args: Args<'a>, option: &GivenOption<'a>) -> Done {
        let (value, at) = (option.value(), option.index());
        let traits = self.traits_of(option.token);
        match option.token {
            TYPE | NOT_TYPE => traits.kind = Some(Kind::parse(value)?),
            USER | NOT_USER => {
                acl::check_is_known(core, value)?;
                traits.user = Some(value);
            }
            ADDR | NOT_ADDR => traits.addr = Some(value),
            LADDR | NOT_LADDR => traits.laddr = Some(value),
            NAME | NOT_NAME => traits.name = Some(value),
            FLAGS_OF => traits.flags = Some(known_flags("provided", value)?),
            NOT_FLAGS => traits.flags = Some(known_flags("NOT-FLAGS", value)?),
            LIB_NAME | NOT_LIB_NAME => traits.lib_name = Some(value),
            LIB_VER | NOT_LIB_VER => traits.lib_version = Some(value),
            DB => traits.db = Some(database(core, "DB", value)?),
            NOT_DB => traits.db = Some(database(core, "NOT-DB", value)?),
            IP | NOT_IP => traits.ip = Some(value),
            MAXAGE => self.age_s_min = positive("maxage", value)?,
            IDLE => self.idle_s_min = positive("idle", value)?,
            _ => {
                let keeps = SKIPPING.choose(args, at, [true, false]);
                self.keeps_own = keeps.ok_or(error::SYNTAX)?;
            }
        }
        Ok(())
    }

    fn fits(&self, core: &Core, seen: &Seen<'_>) -> bool {
        clients::age_s(core, seen.client) >= self.age_s_min
            && clients::idle_s(core, seen.client) >= self.idle_s_min
            && self.is.answers(seen).all(|has| has)
            && !self.is_not.answers(seen).any(|has| has)
    }
}

/// What is done with the connections that are meant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    List,
    Kill,
}

impl Purpose {
    /// The ids from an argument on, as far as there are any.
    fn read_ids(self, args: Args<'_>, at: usize) -> Result<Vec<u64>, Error> {
        let ids: Vec<i64> = args.from(at).map_while(parse_integer).collect();
        match self {
            Self::List if ids.is_empty() => Err(NOT_A_CLIENT_ID),
            Self::Kill if ids.is_empty() || ids.iter().any(|id| *id < 1) => Err(ID_NOT_POSITIVE),
            // An id that no client can have is that of none.
            _ => Ok(ids.into_iter().map(|id| u64::try_from(id).unwrap_or(0)).collect()),
        }
    }

    /// What is told of what stands behind ids and is no option.
    fn behind_ids(self) -> Error {
        match self {
            Self::List => NOT_A_CLIENT_ID,
            Self::Kill => error::SYNTAX,
        }
    }
}

fn known_flags<'a>(filter: &str, flags: &'a [u8]) -> Result<&'a [u8], Error> {
    if flags.iter().all(|flag| FLAGS.contains(flag)) {
        return Ok(flags);
    }
    Err(error::with_bytes(&format!("ERR Unknown flags found in the {filter} filter: "), flags))
}

fn database(core: &Core, filter: &str, text: &[u8]) -> Result<u32, Error> {
    let db = integer_of(filter, text)?;
    let count = core.roots.databases();
    let known = u32::try_from(db).ok().filter(|db| *db < count);
    let range = || format!("ERR DB number should be between 0 and {}", count - 1);
    known.ok_or_else(|| Error::owned(range()))
}

fn integer_of(filter: &str, text: &[u8]) -> Result<i64, Error> {
    let refusal = || Error::owned(format!("ERR {filter} is not an integer or out of range"));
    parse_integer(text).ok_or_else(refusal)
}

/// A number of seconds, of which there is at least one.
fn positive(name: &str, text: &[u8]) -> Result<u64, Error> {
    match u64::try_from(integer_of(name, text)?) {
        Ok(number @ 1..) => Ok(number),
        _ => Err(Error::owned(format!("ERR {name} should be greater than 0"))),
    }
}

/// `CLIENT LIST`
pub fn list(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let filter = Filter::read(cx.keys.core, args, Purpose::List)?;
    let own = cx.session.id();
    connection::tell_all(cx, Fields::Redis8, |core, client, guarded, is_dirty| {
        let letters = clients::letters(client, is_dirty);
        let seen = Seen { client, guarded, letters: &letters };
        filter.fits(core, &seen) && !(filter.keeps_own && client.id == own)
    });
    Ok(())
}

/// `CLIENT INFO`
pub fn info(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    connection::tell_own(cx, Fields::Redis8);
    Ok(())
}

/// `CLIENT KILL`
pub fn kill(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    if args.len() == 3 {
        return connection::kill(cx, args);
    }
    let filter = Filter::read(cx.keys.core, args, Purpose::Kill)?;
    let asks_for_dirty = [&filter.is, &filter.is_not]
        .into_iter()
        .any(|traits| traits.flags.is_some_and(|flags| flags.contains(&b'd')));
    let dirty = match asks_for_dirty {
        true => watch::dirty_clients(cx.core()),
        false => Default::default(),
    };
    let killed = connection::kill_those(cx, filter.keeps_own, |core, client, guarded| {
        let letters = clients::letters(client, dirty.contains(&client.id));
        filter.fits(core, &Seen { client, guarded, letters: &letters })
    });
    cx.out.count(killed);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::host_of;

    #[test]
    fn hosts() {
        for (address, expect) in
            [("127.0.0.1:6379", "127.0.0.1"), ("[::1]:80", "[::1]"), ("/a/b.sock:0", "/a/b.sock")]
        {
            assert_eq!(host_of(address.as_bytes()), expect.as_bytes());
        }
    }
}
