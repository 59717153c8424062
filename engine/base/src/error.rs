//! Error replies. Texts that more than one command gives are here and nowhere else.
#![forbid(unsafe_code)]

use std::borrow::Cow;

/// An error reply: its text, code first, without the leading `-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(Cow<'static, [u8]>);

impl Error {
    /// An error with a fixed text.
    pub const fn new(text: &'static str) -> Self {
        Self(Cow::Borrowed(text.as_bytes()))
    }

    /// An error with a text made for the occasion.
    pub fn owned(text: impl Into<Vec<u8>>) -> Self {
        Self(Cow::Owned(text.into()))
    }

    /// The text.
    pub fn text(&self) -> &[u8] {
        &self.0
    }
}

/// How a command ended. Its reply, if it ended well, has been written.
pub type Done = Result<(), Error>;

macro_rules! errors {
    ($($name:ident = $text:literal;)*) => {
        $(#[doc = concat!("`", $text, "`")] pub const $name: Error = Error::new($text);)*
    };
}

errors! {
    WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value";
    FAILED = "ERR";
    SYNTAX = "ERR syntax error";
    NOT_INTEGER = "ERR value is not an integer or out of range";
    NOT_FLOAT = "ERR value is not a valid float";
    NO_SUCH_KEY = "ERR no such key";
    OUT_OF_RANGE = "ERR value is out of range";
    NOT_POSITIVE = "ERR value is out of range, must be positive";
    INDEX_RANGE = "ERR index out of range";
    DB_INDEX = "ERR DB index is out of range";
    INVALID_DB = "ERR invalid DB index";
    OVERFLOW = "ERR increment or decrement would overflow";
    TOO_LONG = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";
    OOM = "OOM command not allowed when used memory > 'maxmemory'.";
    ARENA_FULL = "OOM command not carried out: the arena is full";
    TOO_LARGE_TO_TELL = "ERR command not carried out: what it would do is larger than the effects stream takes";
    LOADING = "LOADING Redis is loading the dataset in memory";
    NO_AUTH = "NOAUTH Authentication required.";
    EXEC_ABORT = "EXECABORT Transaction discarded because of previous errors.";
    NO_MULTI = "ERR Command not allowed inside a transaction";
    INTERNAL = "ERR internal error";
    INTERRUPTED = "INTERRUPTED the server ended while it ran this command, and goes on: it may or may not have been done";
    NEEDS_CLIENT = "ERR This command concerns the client that sends it and cannot be run for another";
    UNBLOCKED = "UNBLOCKED client unblocked via CLIENT UNBLOCK";
    TIMEOUT_NEGATIVE = "ERR timeout is negative";
    TIMEOUT_NOT_FLOAT = "ERR timeout is not a float or out of range";
}

/// `ERR wrong number of arguments for '…' command`
pub fn wrong_arity(name: &str) -> Error {
    Error::owned(format!("ERR wrong number of arguments for '{name}' command"))
}

/// The text for a transaction that ends because of an error.
pub fn exec_abort(because: &Error) -> Error {
    let text = because.text();
    let plain = text.strip_prefix(b"ERR ").unwrap_or(text);
    with_bytes("EXECABORT Transaction discarded because of: ", plain)
}

/// `ERR invalid expire time in '…' command`
pub fn invalid_expire(name: &str) -> Error {
    Error::owned(format!("ERR invalid expire time in '{name}' command"))
}

/// The text for an integer that is none of C's `int`.
pub fn out_of_int_range() -> Error {
    out_of_range(i32::MIN as i64, i32::MAX as i64)
}

/// `ERR value is out of range, value must between … and …`
pub fn out_of_range(min: i64, max: i64) -> Error {
    Error::owned(format!("ERR value is out of range, value must between {min} and {max}"))
}

/// A text that ends with what the client sent.
pub fn with_bytes(text: &str, bytes: &[u8]) -> Error {
    Error::owned([text.as_bytes(), shown(bytes, usize::MAX)].concat())
}

/// As [`with_bytes`], with quotes around that.
pub fn with_quoted(text: &str, bytes: &[u8]) -> Error {
    Error::owned([text.as_bytes(), b"'", shown(bytes, usize::MAX), b"'"].concat())
}

/// As much of what a client sent as a text shows: like Redis, at most `max` bytes, up to a zero.
fn shown(sent: &[u8], max: usize) -> &[u8] {
    let end = memchr::memchr(0, sent).unwrap_or(sent.len());
    &sent[..end.min(max)]
}

/// Bytes that a text shows of what a client sent.
const SHOWN_MAX: usize = 128;

/// The text for a command that no row of the table has.
pub fn unknown_command(name: &[u8], rest: impl Iterator<Item = impl AsRef<[u8]>>) -> Error {
    let mut text = b"ERR unknown command '".to_vec();
    text.extend_from_slice(shown(name, SHOWN_MAX));
    text.extend_from_slice(b"', with args beginning with: ");
    let begin = text.len();
    for arg in rest {
        let room = SHOWN_MAX.saturating_sub(text.len() - begin);
        if room == 0 {
            break;
        }
        text.push(b'\'');
        text.extend_from_slice(shown(arg.as_ref(), room));
        text.extend_from_slice(b"' ");
    }
    Error::owned(text)
}

/// The text for a subcommand whose arguments make no sense, the subcommand as it was typed.
pub fn subcommand_syntax(command: &str, subcommand: &[u8]) -> Error {
    about_subcommand(
        "ERR unknown subcommand or wrong number of arguments for '",
        command,
        subcommand,
    )
}

/// The text for a subcommand that its command does not have.
pub fn unknown_subcommand(command: &str, subcommand: &[u8]) -> Error {
    about_subcommand("ERR unknown subcommand '", command, subcommand)
}

fn about_subcommand(text: &str, command: &str, subcommand: &[u8]) -> Error {
    let hint = format!("'. Try {} HELP.", command.to_uppercase());
    Error::owned([text.as_bytes(), shown(subcommand, SHOWN_MAX), hint.as_bytes()].concat())
}
