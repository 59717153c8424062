//! `MODULE`: there are no modules, and none can be loaded.

use super::container::{HELP, container, is_allowed};
use crate::command::help;
use crate::exec::argument::{Argument, block, string};
use crate::exec::context::ClientCtx;
use crate::exec::spec::flag::*;
use crate::exec::spec::{Group, Spec};
use base::args::Args;
use base::error::{Done, Error};
use base::settings::setting;

const FLAGS: u32 = ADMIN | NOSCRIPT | NO_ASYNC_LOADING;

const OFF: Error = Error::new(
    "ERR MODULE command not allowed. If the enable-module-command option is set to \"local\", you \
     can run it from a local connection, otherwise you need to set this option in the \
     configuration file, and then restart the server.",
);

const LOAD: &[Argument] = &[string("path"), string("arg").optional().multiple()];
const LOADEX: &[Argument] = &[
    string("path"),
    block("configs", &[string("name"), string("value")])
        .token("CONFIG")
        .optional()
        .multiple()
        .multiple_token(),
    block("args", &[string("arg")]).token("ARGS").optional().multiple(),
];

/// `MODULE`
pub const MODULE: Spec = Spec::for_client("module", -2, Group::Server, container)
    .doc("4.0.0", "Depends on the subcommand", &[], "Holds the commands about modules.")
    .subcommands(&[
        Spec::for_client("module|help", 2, Group::Server, help::subcommands).flags(HELP).doc(
            "5.0.0",
            "O(1)",
            &[],
            "Lists the subcommands.",
        ),
        Spec::for_client("module|list", 2, Group::Server, list)
            .flags(ADMIN | NOSCRIPT)
            .tips(&["nondeterministic_output_order"])
            .doc("4.0.0", "O(N) where N is the number of modules", &[], "Lists the modules."),
        Spec::for_client("module|load", -3, Group::Server, load).flags(FLAGS).doc(
            "4.0.0",
            "O(1)",
            LOAD,
            "Loads a module.",
        ),
        Spec::for_client("module|loadex", -3, Group::Server, load).flags(FLAGS).doc(
            "7.0.0",
            "O(1)",
            LOADEX,
            "Loads a module with settings of its own.",
        ),
        Spec::for_client("module|unload", 3, Group::Server, unload).flags(FLAGS).doc(
            "4.0.0",
            "O(1)",
            &[string("name")],
            "Unloads a module.",
        ),
    ]);

fn list(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    cx.out.array(0);
    Ok(())
}

fn load(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    allowed(cx)?;
    Err(Error::new("ERR Error loading the extension. This server takes no modules."))
}

fn unload(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    allowed(cx)?;
    Err(Error::new("ERR Error unloading module: no such module with that name"))
}

fn allowed(cx: &ClientCtx<'_>) -> Done {
    if is_allowed(cx, setting::ENABLE_MODULE_COMMAND) { Ok(()) } else { Err(OFF) }
}
