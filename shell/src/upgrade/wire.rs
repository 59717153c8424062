//! `SHELL` commands: what clients ask through logic, answered by message.

use std::sync::OnceLock;

use abi::client_ref::ClientRef;
use abi::host::HostRef;
use abi::message::kind;
use abi::status::Status;
use serde::Serialize;
use tokio::sync::mpsc;

use super::board::Board;
use super::{Ask, Handle, UpgradeRequest, carried};
use crate::backup;
use crate::refusal::Refusal;
use crate::worker::post;

/// Requests of clients that may wait.
const WAITING_MAX: usize = 256;

static SENDER: OnceLock<mpsc::Sender<WireRequest>> = OnceLock::new();

/// What a client wants.
enum Verb {
    Ask(Ask),
    Backup(backup::Request),
    Status,
    History,
}

struct WireRequest {
    client: ClientRef,
    detail: u64,
    verb: Verb,
}

/// Queues a request of a client's. See [`abi::host::Host::admin`].
pub fn admin(client: ClientRef, verb: &str, argument: &str, detail: u64) -> Status {
    let verb = match verb {
        "upgrade" | "upgrade-force" if !argument.is_empty() => {
            let (path, force) = (argument.into(), verb == "upgrade-force");
            Verb::Ask(Ask::Upgrade(UpgradeRequest { path, force, sha256: None, build_id: None }))
        }
        "rollback" if argument.is_empty() => Verb::Ask(Ask::Rollback { to: None }),
        "rollback" => match argument.parse() {
            Ok(generation) => Verb::Ask(Ask::Rollback { to: Some(generation) }),
            Err(_) => return Status::NOT_FOUND,
        },
        "backup" => match backup_of(argument) {
            Some(request) => Verb::Backup(request),
            None => return Status::NOT_FOUND,
        },
        "status" => Verb::Status,
        "history" => Verb::History,
        _ => return Status::NOT_FOUND,
    };
    let request = WireRequest { client, detail, verb };
    match SENDER.get().map(|sender| sender.try_send(request)) {
        Some(Ok(())) => Status::OK,
        _ => Status::REFUSED,
    }
}

/// Answers clients for ever. Once in the life of a process.
pub async fn run(handle: Handle, board: Board, host: HostRef) {
    let (sender, mut requests) = mpsc::channel(WAITING_MAX);
    if SENDER.set(sender).is_err() {
        tracing::error!("SHELL commands are served already");
        return;
    }
    while let Some(request) = requests.recv().await {
        let WireRequest { client, detail, verb } = request;
        match verb {
            Verb::Status => {
                post(host, client, detail, &json(&board.status(carried::count(host))));
            }
            Verb::History => post(host, client, detail, &json(&board.history())),
            Verb::Backup(request) => {
                tokio::spawn(async move {
                    let text = match backup::make(request).await {
                        Ok(record) => json(&record),
                        Err(refusal) => error(&refusal),
                    };
                    post(host, client, detail, &text);
                });
            }
            Verb::Ask(ask) => {
                let handle = handle.clone();
                tokio::spawn(async move {
                    let text = match handle.outcome(ask).await {
                        Ok(report) => json(&report),
                        Err(refusal) => error(&refusal),
                    };
                    post(host, client, detail, &text);
                });
            }
        }
    }
}

/// What a client asks for: how many are kept, whether it is compressed, the folder.
fn backup_of(argument: &str) -> Option<backup::Request> {
    let mut words = argument.splitn(3, ' ');
    let keep = words.next()?.parse().ok()?;
    let compresses = words.next()? == "1";
    let dir = words.next().filter(|dir| !dir.is_empty())?.into();
    Some(backup::Request { dir: Some(dir), keep: Some(keep), compress: compresses.then_some(true) })
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|e| format!("-ERR internal: {e}"))
}

/// One line, as an error reply must be.
fn error(refusal: &Refusal) -> String {
    let Refusal { code, message, hint } = refusal;
    format!("-ERR {}: {message}; {hint}", code.row().name).replace(['\r', '\n'], " ")
}

/// Posts a text as [`kind::ADMIN_REPLY`].
fn post(host: HostRef, client: ClientRef, detail: u64, text: &str) {
    if !post::post(host, client, kind::ADMIN_REPLY, detail, text.as_bytes()) {
        // The client is left waiting; its deadline or disconnect ends that.
        tracing::error!("no memory in the arena for the answer to a SHELL command");
    }
}
