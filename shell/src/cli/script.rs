//! `shell end-script`.

use std::process::ExitCode;

use super::asked::Server;
use super::output;
use crate::admin::script::Asked;

/// Arguments of the verb.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    server: Server,
}

/// Runs the verb.
pub fn end(args: &Args) -> ExitCode {
    match args.server.client().post::<Asked>("/v1/script/end") {
        Ok(asked) => {
            output::print(args.server.json, &asked, |asked| format!("the {} ends\n", asked.ends));
            ExitCode::SUCCESS
        }
        Err(refusal) => output::refuse(args.server.json, &refusal),
    }
}
