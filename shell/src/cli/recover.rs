//! `shell recover`: a server that is stuck is started again on its memory.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::asked::Server;
use super::output;
use crate::refusal::{Code, Refusal};
use crate::server::stuck::{Recovering, Request};
use crate::upgrade::board::Status;

/// How long it is waited for the server that goes on.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);

/// Arguments of the verb.
#[derive(clap::Args)]
pub struct Args {
    /// With the logic that served before the one that does.
    #[arg(long)]
    with_previous: bool,
    #[command(flatten)]
    server: Server,
}

/// Runs the verb.
pub fn run(args: &Args) -> ExitCode {
    match recover(args) {
        Ok(status) => {
            output::print(args.server.json, &status, |status| {
                let serving = status.current.as_ref().map(|shown| shown.identity.label());
                format!("goes on as process {}, with {}", status.pid, serving.unwrap_or_default())
            });
            ExitCode::SUCCESS
        }
        Err(refusal) => output::refuse(args.server.json, &refusal),
    }
}

/// Asks for it, and waits until another process serves.
fn recover(args: &Args) -> Result<Status, Refusal> {
    let client = args.server.client();
    let request = Request { with_previous: args.with_previous };
    let asked: Recovering = client.post_value("/v1/recover", &request)?;
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        std::thread::sleep(LOOK);
        let status = client.get::<Status>("/v1/status");
        if let Ok(status) = status
            && status.pid as i64 != i64::from(asked.pid)
        {
            return Ok(status);
        }
    }
    Err(Refusal::new(Code::NoAnswer, "no other server has answered within a minute"))
}
