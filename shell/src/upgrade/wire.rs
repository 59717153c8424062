//! `SHELL` commands: what clients ask through logic, answered by message.

use std::sync::OnceLock;

use abi::client_ref::ClientRef;
use abi::host::HostRef;
use abi::status::Status;
use tokio::sync::mpsc;

use super::answer::{error, json, post};
use super::audit::Who;
use super::board::Board;
use super::phase::Order;
use super::replace::carried::Asker;
use super::{Ask, Handle, RollbackRequest, Update, UpgradeRequest, carried, replace};
use crate::backup;

/// Requests of clients that may wait.
const WAITING_MAX: usize = 256;

static SENDER: OnceLock<mpsc::Sender<WireRequest>> = OnceLock::new();

/// What a client wants.
enum Verb {
    Ask(Box<Ask>),
    Backup(backup::Request),
    Replace(replace::Request),
    Status,
    History,
}

impl Verb {
    fn ask(ask: Ask) -> Self {
        Self::Ask(Box::new(ask))
    }
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
            match upgrade_of(argument, verb == "upgrade-force") {
                Some(request) => Verb::ask(Ask::Upgrade(Box::new(request))),
                None => return Status::NOT_FOUND,
            }
        }
        "abort" => Verb::ask(Ask::Order(Order::Abort)),
        "promote" => Verb::ask(Ask::Order(Order::Promote)),
        "finalize" => Verb::ask(Ask::Order(Order::Finalize)),
        "rollback" => match rollback_of(argument) {
            Some(request) => Verb::ask(request.ask()),
            None => return Status::NOT_FOUND,
        },
        "backup" => match backup_of(argument) {
            Some(request) => Verb::Backup(request),
            None => return Status::NOT_FOUND,
        },
        "replace" => match replace_of(argument) {
            Some(request) => Verb::Replace(request),
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

/// The path, then options as on the command line, a zero byte between two words.
fn upgrade_of(argument: &str, force: bool) -> Option<UpgradeRequest> {
    let mut words = argument.split('\0');
    let path = words.next()?.into();
    let mut request = UpgradeRequest { path, force, ..UpgradeRequest::default() };
    while let Some(word) = words.next() {
        let mut value = || words.next().map(str::to_owned);
        match word {
            "--force" => request.force = true,
            "--no-wait" => request.no_wait = true,
            "--redact" => request.redact = true,
            "--shadow" => request.shadow = Some(value()?),
            "--shadow-time" => request.shadow_time = Some(value()?),
            "--divergences" => request.divergences = Some(value()?.parse().ok()?),
            "--sha256" => request.sha256 = Some(value()?),
            "--build-id" => request.build_id = Some(value()?),
            "--canary" => request.canary = Some(value()?),
            "--step" => request.step = Some(value()?),
            "--probation" => request.probation = Some(value()?),
            "--guard" => request.guard = Some(value()?),
            _ => return None,
        }
    }
    Some(request)
}

/// The number of a generation, if one is told, then options as on the command line, a zero byte between two
/// words.
fn rollback_of(argument: &str) -> Option<RollbackRequest> {
    let mut request = RollbackRequest::default();
    for word in argument.split('\0').filter(|word| !word.is_empty()) {
        match word {
            "--convert" => request.convert = true,
            "--yes" => request.yes = true,
            number => request.to = Some(number.parse().ok()?),
        }
    }
    Some(request)
}

/// The path of the program, or none, then options as on the command line, a zero byte between two words.
fn replace_of(argument: &str) -> Option<replace::Request> {
    let mut words = argument.split('\0');
    let path = words.next().filter(|path| !path.is_empty()).map(Into::into);
    let mut request = replace::Request { path, ..replace::Request::default() };
    while let Some(word) = words.next() {
        match word {
            "--rollback" => request.rollback = true,
            "--patience" => request.patience = Some(words.next()?.to_owned()),
            _ => return None,
        }
    }
    Some(request)
}

/// Answers clients for ever. Once in the life of a process.
pub async fn run(handle: Handle, replacing: replace::Handle, board: Board, host: HostRef) {
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
            Verb::Replace(request) => {
                let id = Some(client.id());
                let who = Who { via: "client".to_owned(), client: id, ..Who::default() };
                let asker = Asker { client: client.0, detail };
                let mut updates = replacing.ask(request, who, Some(asker));
                tokio::spawn(async move {
                    // If this process does not go on, the next one answers.
                    while let Some(update) = updates.recv().await {
                        if let Update::Error(refusal) = update {
                            post(host, client, detail, &error(&refusal));
                        }
                    }
                });
            }
            Verb::Ask(ask) => {
                let handle = handle.clone();
                let id = Some(client.id());
                let who = Who { via: "client".to_owned(), client: id, ..Who::default() };
                tokio::spawn(async move {
                    let text = match handle.outcome(*ask, who).await {
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
