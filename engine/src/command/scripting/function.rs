//! `FUNCTION`: libraries of functions.

use super::dump::{self, Policy};
use super::script::kill_kind;
use crate::command::help::{self, HELP, container};
use crate::exec::argument::{Argument, one_of, string, token};
use crate::exec::context::ClientCtx;
use crate::exec::functions::{add_library, compile_library, no_function_of};
use crate::exec::options::{Options, Token};
use crate::exec::spec::category::SCRIPTING;
use crate::exec::spec::flag::*;
use crate::exec::spec::{Group, RunForClient, Spec};
use crate::session::scripts::{self, LibraryText, slow};
use abi::script::running;
use abi::shared::debug;
use base::args::Args;
use base::core::Core;
use base::error::{self, Done, Error};
use base::glob;
use base::resp::write::Reply;

/// On all servers of a cluster that are no replicas.
pub(super) const EVERYWHERE: &[&str] =
    &["request_policy:all_shards", "response_policy:all_succeeded"];

const FLUSH: Argument = one_of("async", &[token("ASYNC"), token("SYNC")]);
const LIST: &[Argument] =
    &[string("library-name-pattern").token("LIBRARYNAME").optional(), token("WITHCODE").optional()];
const LIST_OPTIONS: &Options = &Options::of(LIST).once();
const LIBRARYNAME: Token = LIST_OPTIONS.token("LIBRARYNAME");
const NAME_MISSING: Error = Error::new("ERR library name argument was not given");
const POLICY: Argument = one_of("policy", &[token("FLUSH"), token("APPEND"), token("REPLACE")]);

const fn row(name: &'static str, arity: i16, run: RunForClient) -> Spec {
    Spec::for_client(name, arity, Group::Scripting, run).flags(NOSCRIPT).categories(SCRIPTING)
}

/// One that changes libraries: not while a function runs, and in one order with all that functions
/// do.
const fn change(name: &'static str, arity: i16, run: RunForClient) -> Spec {
    row(name, arity, run).flags(WRITE | ALL_KEYS).tips(EVERYWHERE)
}

/// `FUNCTION`
pub const FUNCTION: Spec = Spec::for_client("function", -2, Group::Scripting, container)
    .doc("7.0.0", "Depends on the subcommand", &[], "Holds the commands about functions.")
    .subcommands(&[
        change("function|delete", 3, delete).doc(
            "7.0.0",
            "O(1)",
            &[string("library-name")],
            "Removes a library of functions.",
        ),
        row("function|dump", 2, dump::dump).doc(
            "7.0.0",
            "O(N) where N is the number of functions",
            &[],
            "Gives all libraries as bytes that FUNCTION RESTORE takes.",
        ),
        change("function|flush", -2, flush).doc(
            "7.0.0",
            "O(N) where N is the number of functions removed",
            &[FLUSH.optional()],
            "Removes all functions.",
        ),
        Spec::for_client("function|help", 2, Group::Scripting, help::subcommands)
            .flags(HELP)
            .categories(SCRIPTING)
            .doc("7.0.0", "O(1)", &[], "Lists the subcommands."),
        row("function|kill", 2, kill)
            .flags(ALLOW_BUSY)
            .tips(&["request_policy:all_shards", "response_policy:one_succeeded"])
            .doc("7.0.0", "O(1)", &[], "Stops the function that runs."),
        row("function|list", -2, list).tips(&["nondeterministic_output_order"]).doc(
            "7.0.0",
            "O(N) where N is the number of functions",
            LIST,
            "Describes all functions.",
        ),
        change("function|load", -3, load).flags(DENYOOM).doc(
            "7.0.0",
            "O(1), the time to compile it left out",
            &[token("REPLACE").optional(), string("function-code")],
            "Adds a library of functions.",
        ),
        change("function|restore", -3, restore).flags(DENYOOM).doc(
            "7.0.0",
            "O(N) where N is the number of functions on the payload",
            &[string("serialized-value"), POLICY.optional()],
            "Adds all libraries of what FUNCTION DUMP has given.",
        ),
        row("function|stats", 2, stats)
            .flags(ALLOW_BUSY)
            .tips(&[
                "nondeterministic_output",
                "request_policy:all_shards",
                "response_policy:special",
            ])
            .doc("7.0.0", "O(1)", &[], "Tells which function runs, and what engines there are."),
    ]);

fn delete(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    if !scripts::remove_library(cx.keys.core, args.at(2)) {
        return Err(Error::new("ERR Library not found"));
    }
    cx.keys.count_changes(1);
    cx.out.ok();
    Ok(())
}

fn flush(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    match args.len() {
        2 => {}
        3 if FLUSH.choose(args, 2, [(); 2]).is_some() => {}
        3 => return Err(Error::new("ERR FUNCTION FLUSH only supports SYNC|ASYNC option")),
        _ => return Err(error::subcommand_syntax("function", args.at(1))),
    }
    let names = scripts::library_names(cx.keys.core);
    scripts::change(cx.keys.core, &names, &[]);
    cx.keys.count_changes(1);
    cx.out.ok();
    Ok(())
}

fn kill(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    kill_kind(cx, running::FUNCTION)
}

fn load(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let mut replaces = false;
    for index in 2..args.len() - 1 {
        if !args.is(index, "REPLACE") {
            return Err(error::with_bytes("ERR Unknown option given: ", args.at(index)));
        }
        replaces = true;
    }
    let (source, release) = (args.at(args.len() - 1), cx.exec.release);
    let name = add_library(cx.data.keys.core, release, source, replaces)?;
    cx.keys.count_changes(1);
    cx.out.bulk(&name);
    Ok(())
}

fn restore(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    if args.len() > 4 {
        return Err(error::subcommand_syntax("function", args.at(1)));
    }
    let policies = [Policy::Flush, Policy::Append, Policy::Replace];
    let policy = match args.len() {
        4 => POLICY.choose(args, 3, policies).ok_or(Error::new(
            "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.",
        ))?,
        _ => Policy::Append,
    };
    let (core, release) = (&*cx.data.keys.core, cx.exec.release);
    let mut added: Vec<LibraryText> = Vec::new();
    let is_checked = !cx.keys.core.has_switched(debug::NO_CHECKSUMS);
    for source in dump::sources(args.at(2), is_checked)? {
        let library = compile_library(core, release, &source)?;
        if added.iter().any(|other| other.name == library.name) {
            let text = [b"ERR Library '", &library.name[..], b"' already exists"].concat();
            return Err(Error::owned(text));
        }
        no_function_of(&library, &added)?;
        added.push(library);
    }
    let removed = make_way(core, policy, &added)?;
    scripts::change(core, &removed, &added);
    cx.keys.count_changes(1);
    cx.out.ok();
    Ok(())
}

/// The libraries that go for others to come.
fn make_way(core: &Core, policy: Policy, added: &[LibraryText]) -> Result<Vec<Vec<u8>>, Error> {
    let there = scripts::libraries(core);
    let is_replaced = |library: &LibraryText| added.iter().any(|new| new.name == library.name);
    let (replaced, others): (Vec<_>, Vec<_>) = match policy {
        Policy::Flush => (there, Vec::new()),
        _ => there.into_iter().partition(is_replaced),
    };
    if policy == Policy::Append
        && let Some(library) = replaced.first()
    {
        let text = [b"ERR Library ", &library.name[..], b" already exists"].concat();
        return Err(Error::owned(text));
    }
    added.iter().try_for_each(|library| no_function_of(library, &others))?;
    Ok(replaced.into_iter().map(|library| library.name).collect())
}

fn list(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let mut options = LIST_OPTIONS.walk(args, 2);
    let (mut pattern, mut with_code) = (None, false);
    for option in options.by_ref() {
        match option.token {
            LIBRARYNAME => pattern = Some(option.value()),
            _ => with_code = true,
        }
    }
    match options.rest() {
        Some(index) if pattern.is_none() && args.is(index, "LIBRARYNAME") => {
            return Err(NAME_MISSING);
        }
        Some(index) => return Err(error::with_bytes("ERR Unknown argument ", args.at(index))),
        None => {}
    }
    let mut all = scripts::libraries(cx.keys.core);
    all.retain(|library| pattern.is_none_or(|by| glob::matches(by, &library.name, true)));
    cx.out.array(all.len());
    all.iter().for_each(|library| write_library(&mut cx.data.out, library, with_code));
    Ok(())
}

fn write_library(out: &mut Reply<'_>, library: &LibraryText, with_code: bool) {
    out.map(3 + with_code as usize);
    out.bulk(b"library_name");
    out.bulk(&library.name);
    out.bulk(b"engine");
    out.bulk(b"LUA");
    out.bulk(b"functions");
    out.array(library.functions.len());
    for function in &library.functions {
        out.map(3);
        out.bulk(b"name");
        out.bulk(&function.name);
        out.bulk(b"description");
        out.bulk_or_null(function.description.as_deref());
        out.bulk(b"flags");
        let said = lua::flag::NAMES.iter().filter(|(_, flag)| function.flags & flag != 0);
        out.set(said.clone().count());
        said.for_each(|(name, _)| out.simple(name));
    }
    if with_code {
        out.bulk(b"library_code");
        out.bulk(&library.source);
    }
}

fn stats(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    if slow::kind(cx.keys.core.roots) == running::SCRIPT {
        return Err(slow::error(running::SCRIPT));
    }
    let report = slow::report(cx.keys.core);
    let totals = scripts::Totals::now(cx.keys.core);
    let out = &mut cx.data.out;
    out.map(2);
    out.bulk(b"running_script");
    match report {
        Some(report) => {
            out.map(3);
            out.bulk(b"name");
            out.bulk(&report.name);
            out.bulk(b"command");
            out.array(report.command.len());
            report.command.iter().for_each(|arg| out.bulk(arg));
            out.bulk(b"duration_ms");
            out.integer(report.elapsed_ms as i64);
        }
        None => out.null(),
    }
    out.bulk(b"engines");
    out.map(1);
    out.bulk(b"LUA");
    out.map(2);
    out.bulk(b"libraries_count");
    out.integer(totals.libraries as i64);
    out.bulk(b"functions_count");
    out.integer(totals.functions as i64);
    Ok(())
}
