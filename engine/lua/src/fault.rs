//! Errors that Rust code raises in a script.

use std::borrow::Cow;

/// What is raised.
pub(crate) enum Fault {
    /// A text behind the place in the script where it happened: what `luaL_error` raises.
    Here(Cow<'static, str>),
    /// A text alone.
    Plain(Cow<'static, str>),
    /// That an argument (counted from 1) is not what is expected.
    Argument(i32, Cow<'static, str>),
    /// That an argument is of another type than this one.
    Type(i32, &'static str),
    /// A table with the text as its `err`: how everything in `redis` fails.
    Redis(Cow<'static, str>),
    /// The value at the top of the stack.
    OnStack,
}

impl Fault {
    pub(crate) fn here(text: impl Into<Cow<'static, str>>) -> Self {
        Self::Here(text.into())
    }

    pub(crate) fn argument(number: i32, text: impl Into<Cow<'static, str>>) -> Self {
        Self::Argument(number, text.into())
    }

    pub(crate) fn redis(text: impl Into<Cow<'static, str>>) -> Self {
        Self::Redis(text.into())
    }
}

/// How Rust code that Lua calls ends: with how many results.
pub(crate) type Outcome = Result<i32, Fault>;
