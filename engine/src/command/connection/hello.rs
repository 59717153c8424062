//! Who a client is and which protocol it speaks.

use abi::client::flag;

use crate::exec::argument::{Argument, block, integer, string};
use crate::exec::context::ClientCtx;
use crate::exec::options::{Options, Token};
use crate::exec::secrets::Secrets;
use crate::session::clients;
use base::args::Args;
use base::error::{self, Done, Error};
use base::settings::setting;

const WRONG_PASS: Error =
    Error::new("WRONGPASS invalid username-password pair or user is disabled.");
const NO_PASSWORD: Error = Error::new(
    "ERR AUTH <password> called without any password configured for the default user. Are you \
     sure your configuration is correct?",
);
const NO_PROTOCOL: Error = Error::new("NOPROTO unsupported protocol version");
const NOT_A_PROTOCOL: Error = Error::new("ERR Protocol version is not an integer or out of range");
const HELLO_NO_AUTH: Error = Error::new(
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH \
     <user> <pass> option can be used to authenticate the client and select the \
     RESP protocol version at the same time",
);

/// The arguments of `HELLO`.
pub const HELLO: &[Argument] = &[block(
    "arguments",
    &[
        integer("protover"),
        block("username_password", &[string("username"), string("password")])
            .token("AUTH")
            .optional(),
        string("clientname").token("SETNAME").optional(),
    ],
)
.optional()];
const OPTIONS: &Options = &Options::of(HELLO);
const AUTH: Token = OPTIONS.token("AUTH");

/// The user and the password.
pub const SECRETS: Secrets = Secrets::Behind { words: &[("AUTH", 2)], from: 2 };

pub fn auth(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    match args.len() {
        2 if !cx.keys.core.settings.password => return Err(NO_PASSWORD),
        2 => authenticate(cx, b"default", args.at(1))?,
        3 => authenticate(cx, args.at(1), args.at(2))?,
        _ => return Err(base::error::SYNTAX),
    }
    cx.out.ok();
    Ok(())
}

/// Lets a client in as a user, if the password is right. There is one user, `default`.
fn authenticate(cx: &mut ClientCtx<'_>, user: &[u8], password: &[u8]) -> Done {
    let core = &mut *cx.keys.core;
    let right = user == b"default"
        && (!core.settings.password
            || equal_in_constant_time(&core.text(setting::REQUIREPASS), password));
    if !right {
        return Err(WRONG_PASS);
    }
    cx.session.set(flag::AUTHENTICATED);
    Ok(())
}

/// Compares without telling by the time it takes where the first difference is.
fn equal_in_constant_time(secret: &[u8], guess: &[u8]) -> bool {
    let differences = guess
        .iter()
        .enumerate()
        .fold(0, |all, (at, byte)| all | (byte ^ secret.get(at).copied().unwrap_or(!byte)));
    differences == 0 && secret.len() == guess.len()
}

pub fn hello(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let protocol = match args.get(1) {
        None => None,
        Some(_) => match args.integer_in(1, i64::MIN..=i64::MAX, NOT_A_PROTOCOL)? {
            version @ 2..=3 => Some(version as u32),
            _ => return Err(NO_PROTOCOL),
        },
    };
    let mut name = None;
    let mut options = OPTIONS.walk(args, 2);
    for option in options.by_ref() {
        match option.token {
            AUTH => authenticate(cx, option.value(), args.at(option.index() + 1))?,
            _ => {
                clients::check_name(option.value())?;
                name = Some(option.value());
            }
        }
    }
    if let Some(index) = options.rest() {
        return Err(error::with_quoted("ERR Syntax error in HELLO option ", args.at(index)));
    }
    if !cx.session.has(flag::AUTHENTICATED) {
        return Err(HELLO_NO_AUTH);
    }
    if let Some(name) = name {
        clients::set_text(cx.data.keys.core, cx.session.state_mut(), clients::Text::Name, name);
    }
    if let Some(protocol) = protocol {
        cx.session.set_resp(cx.data.keys.core, protocol);
        cx.out.resp3 = protocol == 3;
    }
    describe(cx);
    Ok(())
}

fn describe(cx: &mut ClientCtx<'_>) {
    let id = cx.session.id() as i64;
    let version = cx.exec.release.redis_version;
    let protocol = if cx.out.resp3 { 3 } else { 2 };
    let out = &mut cx.out;
    out.map(7);
    for (field, value) in [("server", "redis"), ("version", version)] {
        out.bulk(field.as_bytes());
        out.bulk(value.as_bytes());
    }
    for (field, value) in [("proto", protocol), ("id", id)] {
        out.bulk(field.as_bytes());
        out.integer(value);
    }
    for (field, value) in [("mode", "standalone"), ("role", "master")] {
        out.bulk(field.as_bytes());
        out.bulk(value.as_bytes());
    }
    out.bulk(b"modules");
    out.array(0);
}
