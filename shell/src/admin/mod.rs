//! The admin API: HTTP and JSON over a Unix socket.
//!
//! ```text
//! POST /v1/upgrade   {"path", "force"?, "sha256"?, "build_id"?, "shadow"?, "shadow_time"?,
//!                     "divergences"?, "redact"?, "canary"?, "step"?, "probation"?, "guard"?,
//!                     "no_wait"?}                                 the report, or an error
//! POST /v1/rollback  {"to"?}                                      the same
//! POST /v1/abort, /v1/promote, /v1/finalize                       the same
//! POST /v1/replace   {"path"?, "rollback"?, "patience"?}          {"ticket"}, or an error
//! GET  /v1/replace                                                what became of the last
//! POST /v1/recover    {"with_previous"?}                         what ends, or an error
//! POST /v1/script/end                                             what ends, or an error
//! POST /v1/backup    {"dir"?, "keep"?, "compress"?}               its number, or an error
//! POST /v1/warm      POST /v1/warm/end   {"client"}               the same, or an error
//! GET  /v1/status    GET /v1/history   GET /v1/crashes   GET /v1/backups   GET /metrics
//! GET  /v1/record?percent=N&seconds=N&bytes_max=N&cost_percent=N    a recording
//! GET  /v1/effects?from=N&follow=true&hold=true&format=text|resp|json
//! ```
//!
//! With `Accept: application/x-ndjson` an upgrade answers with a line for every stage as it
//! passes, then the report or the error: `{"stage"}`, `{"done"}`, `{"error"}`. Effects are described
//! in docs/effects.md.
#![forbid(unsafe_code)]

mod lines;
pub mod recording;
pub mod script;
pub mod socket;
pub mod warming;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use abi::host::HostRef;
use axum::body::{Body, to_bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::Listener;
use axum::{Extension, Json, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::backup;
use crate::backup::shown::Shown;
use crate::crash::report;
use crate::effects::{self, follow};
use crate::metrics;
use crate::refusal::{Code, Refusal};
use crate::server::stuck;
use crate::upgrade::audit::Who;
use crate::upgrade::board::{Board, Status};
use crate::upgrade::phase::Order;
use crate::upgrade::{
    Ask, Handle, RollbackRequest, Update, UpgradeRequest, carried, history, replace,
};
use lines::Lines;
use socket::{Guarded, Socket};
use warming::Filler;

/// A request that is not there by then is not waited for.
const REQUEST_MAX: Duration = Duration::from_secs(10);
const BODY_BYTES_MAX: usize = 64 * 1024;
/// How often it is looked whether the socket is still there.
const LOOK: Duration = Duration::from_secs(1);

/// Media type of an answer a line at a time.
pub const NDJSON: &str = "application/x-ndjson";

/// What the routes need.
#[derive(Clone)]
pub struct Context {
    /// To ask for upgrades.
    pub handle: Handle,
    /// To ask for another build of the shell.
    pub replacing: replace::Handle,
    /// To read what happened.
    pub board: Board,
    /// To count what is there.
    pub host: HostRef,
    /// The folder of upgrades, where reports are kept.
    pub folder: PathBuf,
}

/// Serves for ever. A socket that somebody has removed is made again.
///
/// # Errors
/// If the runtime cannot use the socket.
pub async fn serve(socket: &mut Socket, context: Context) -> io::Result<()> {
    let router = router(context);
    let mut listener = Guarded(socket.listener()?, socket.allowed().to_vec());
    let mut look = tokio::time::interval(LOOK);
    tracing::info!(path = %socket.path().display(), "the admin API listens");
    loop {
        tokio::select! {
            (stream, ()) = listener.accept() => {
                let who = Extension(who_is(&stream));
                let service = TowerToHyperService::new(router.clone().layer(who));
                tokio::spawn(converse(stream, service));
            }
            _ = look.tick() => if socket.is_gone() {
                let path = socket.path().display().to_string();
                match socket.renew() {
                    Ok(()) => tracing::warn!(path, "the admin socket was removed; it is made again"),
                    Err(error) => tracing::warn!(path, %error, "the admin socket was removed"),
                }
                listener = Guarded(socket.listener()?, socket.allowed().to_vec());
            },
        }
    }
}

/// Who is at the other end.
fn who_is(stream: &UnixStream) -> Who {
    let peer = stream.peer_cred().ok();
    let (uid, pid) = (peer.map(|peer| peer.uid()), peer.and_then(|peer| peer.pid()));
    Who { via: "admin".to_owned(), uid, pid, client: None }
}

/// Answers one peer until it leaves, or sends a request slower than anybody needs to.
async fn converse(stream: UnixStream, service: TowerToHyperService<Router>) {
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(REQUEST_MAX);
    if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "a connection to the admin API has ended");
    }
}

fn router(context: Context) -> Router {
    Router::new()
        .route("/v1/upgrade", post(upgrade))
        .route("/v1/rollback", post(rollback))
        .route("/v1/abort", post(|state, who, headers| order(state, who, headers, Order::Abort)))
        .route(
            "/v1/promote",
            post(|state, who, headers| order(state, who, headers, Order::Promote)),
        )
        .route(
            "/v1/finalize",
            post(|state, who, headers| order(state, who, headers, Order::Finalize)),
        )
        .route("/v1/replace", post(replace_shell).get(replacements))
        .route("/v1/script/end", post(end_script))
        .route("/v1/recover", post(recover))
        .route("/v1/backup", post(make_backup))
        .route("/v1/backups", get(backups))
        .route("/v1/warm", post(begin_warming))
        .route("/v1/warm/end", post(end_warming))
        .route("/v1/status", get(status))
        .route("/v1/history", get(history))
        .route("/v1/crashes", get(crashes))
        .route("/v1/effects", get(follow_effects))
        .route("/v1/record", get(record))
        .route("/metrics", get(show_metrics))
        .with_state(context)
}

async fn upgrade(
    State(context): State<Context>,
    Extension(who): Extension<Who>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match read::<UpgradeRequest>(body, "").await {
        Ok(request) => carry_out(&context, &headers, Ask::Upgrade(Box::new(request)), who).await,
        Err(refusal) => refused(&refusal),
    }
}

async fn rollback(
    State(context): State<Context>,
    Extension(who): Extension<Who>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match read::<RollbackRequest>(body, "{}").await {
        Ok(request) => carry_out(&context, &headers, request.ask(), who).await,
        Err(refusal) => refused(&refusal),
    }
}

/// What becomes of it the next process tells, so all there is to answer with is the number under which
/// it does.
async fn replace_shell(
    State(context): State<Context>,
    Extension(who): Extension<Who>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let request = match read::<replace::Request>(body, "{}").await {
        Ok(request) => request,
        Err(refusal) => return refused(&refusal),
    };
    let mut updates = context.replacing.ask(request, who, None);
    if wants_lines(&headers) {
        let body = Body::new(Lines::new(updates));
        return ([(header::CONTENT_TYPE, NDJSON)], body).into_response();
    }
    match updates.recv().await {
        Some(Update::Error(refusal)) => refused(&refusal),
        Some(update) => Json(update).into_response(),
        None => refused(&Refusal::new(Code::ShuttingDown, "the server is stopping")),
    }
}

async fn replacements(State(context): State<Context>) -> Json<replace::Shown> {
    Json(context.replacing.shown())
}

async fn order(
    State(context): State<Context>,
    Extension(who): Extension<Who>,
    headers: HeaderMap,
    order: Order,
) -> Response {
    carry_out(&context, &headers, Ask::Order(order), who).await
}

/// Reads a request's body, in time; an empty one stands for `otherwise`.
async fn read<T: DeserializeOwned>(body: Body, otherwise: &str) -> Result<T, Refusal> {
    let wrong = |what: String| Refusal::new(Code::BadRequest, what);
    let bytes = tokio::time::timeout(REQUEST_MAX, to_bytes(body, BODY_BYTES_MAX)).await;
    let bytes =
        bytes.map_err(|_| wrong(format!("no whole request came within {REQUEST_MAX:?}")))?;
    let bytes = bytes.map_err(|error| wrong(error.to_string()))?;
    let text = if bytes.is_empty() { otherwise.as_bytes() } else { &bytes[..] };
    serde_json::from_slice(text).map_err(|error| wrong(error.to_string()))
}

async fn carry_out(context: &Context, headers: &HeaderMap, ask: Ask, who: Who) -> Response {
    if wants_lines(headers) {
        let body = Body::new(Lines::new(context.handle.ask(ask, who)));
        return ([(header::CONTENT_TYPE, NDJSON)], body).into_response();
    }
    match context.handle.outcome(ask, who).await {
        Ok(report) => Json(report).into_response(),
        Err(refusal) => refused(&refusal),
    }
}

fn wants_lines(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accepted.is_some_and(|value| value.contains(NDJSON))
}

fn refused(refusal: &Refusal) -> Response {
    let status = match refusal.code {
        Code::AlreadyRunning
        | Code::Busy
        | Code::NoPrevious
        | Code::TooManyReaders
        | Code::BackupUnderWay
        | Code::WarmingUnderWay
        | Code::OnProbation
        | Code::OnCanary
        | Code::NothingToProve
        | Code::DidWorse
        | Code::Diverged
        | Code::OnShadow
        | Code::CaptureUnderWay
        | Code::Aborted
        | Code::NotKept
        | Code::NoScript
        | Code::ScriptHasWritten => StatusCode::CONFLICT,
        Code::NoSuchPosition => StatusCode::GONE,
        Code::BadRequest => StatusCode::BAD_REQUEST,
        Code::Io | Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        Code::ShuttingDown | Code::Stuck => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    (status, Json(refusal.to_json())).into_response()
}

async fn end_script(State(context): State<Context>) -> Response {
    match script::end(context.host) {
        Ok(asked) => Json(asked).into_response(),
        Err(refusal) => refused(&refusal),
    }
}

async fn recover(body: Body) -> Response {
    let request = read::<stuck::Request>(body, "{}").await;
    match request.and_then(stuck::recover) {
        Ok(recovering) => Json(recovering).into_response(),
        Err(refusal) => refused(&refusal),
    }
}

async fn begin_warming(State(context): State<Context>, body: Body) -> Response {
    let begun = read::<Filler>(body, "").await;
    match begun.and_then(|filler| warming::begin(context.host, filler)) {
        Ok(filler) => Json(filler).into_response(),
        Err(refusal) => refused(&refusal),
    }
}

async fn end_warming(State(context): State<Context>, body: Body) -> Response {
    match read::<Filler>(body, "").await {
        Ok(filler) => Json(warming::end(context.host, filler)).into_response(),
        Err(refusal) => refused(&refusal),
    }
}

async fn make_backup(body: Body) -> Response {
    match read::<backup::Request>(body, "{}").await.and_then(backup::ask) {
        Ok(asked) => Json(asked).into_response(),
        Err(refusal) => refused(&refusal),
    }
}

async fn backups() -> Json<Shown> {
    Json(backup::shown())
}

async fn status(State(context): State<Context>) -> Json<Status> {
    Json(context.board.status(carried::count(context.host)))
}

async fn history(State(context): State<Context>) -> Json<history::Shown> {
    Json(context.board.history())
}

async fn crashes(State(context): State<Context>) -> Json<report::Shown> {
    Json(report::all(&context.folder))
}

async fn follow_effects(
    State(context): State<Context>,
    request: Result<Query<follow::Request>, QueryRejection>,
) -> Response {
    let Query(request) = match request {
        Ok(request) => request,
        Err(rejection) => return refused(&Refusal::new(Code::BadRequest, rejection.body_text())),
    };
    match follow::start(effects::stream(context.host), request) {
        Ok(pieces) => Body::new(pieces).into_response(),
        Err(error) => refused(&Refusal::from(&error)),
    }
}

async fn record(
    State(context): State<Context>,
    request: Result<Query<recording::Request>, QueryRejection>,
) -> Response {
    let begun = request
        .map_err(|rejection| Refusal::new(Code::BadRequest, rejection.body_text()))
        .and_then(|Query(request)| recording::start(&request, context.board.serving()));
    match begun {
        Ok(pieces) => Body::new(pieces).into_response(),
        Err(refusal) => refused(&refusal),
    }
}

async fn show_metrics(State(context): State<Context>) -> Response {
    let status = context.board.status(carried::count(context.host));
    let text = metrics::text(&status, context.host);
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response()
}
