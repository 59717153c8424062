//! The admin API: HTTP and JSON over a Unix socket.
//!
//! ```text
//! POST /v1/upgrade   {"path", "force"?, "build_id"?}   the report, or an error
//! POST /v1/rollback                                    the same
//! GET  /v1/status    GET /v1/history   GET /metrics
//! GET  /v1/effects?from=N&follow=true&hold=true&format=text|resp|json
//! ```
//!
//! With `Accept: application/x-ndjson` an upgrade answers with a line for every stage as it
//! passes, then the report or the error: `{"stage"}`, `{"done"}`, `{"error"}`. Effects are described
//! in docs/effects.md.
#![forbid(unsafe_code)]

mod lines;
pub mod socket;

use abi::host::HostRef;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};

use crate::effects::{self, follow};
use crate::metrics;
use crate::refusal::{Code, Refusal};
use crate::upgrade::board::{Board, Status};
use crate::upgrade::history::Record;
use crate::upgrade::{Ask, Handle, UpgradeRequest, carried};
use lines::Lines;

/// Media type of an answer a line at a time.
pub const NDJSON: &str = "application/x-ndjson";

/// What the routes need.
#[derive(Clone)]
pub struct Context {
    /// To ask for upgrades.
    pub handle: Handle,
    /// To read what happened.
    pub board: Board,
    /// To count what is there.
    pub host: HostRef,
}

/// Serves for ever.
///
/// # Errors
/// If the runtime cannot use the socket.
pub async fn serve(socket: &socket::Socket, context: Context) -> std::io::Result<()> {
    let listener = socket::Guarded(socket.listener()?);
    tracing::info!(path = %socket.path().display(), "the admin API listens");
    axum::serve(listener, router(context)).await
}

fn router(context: Context) -> Router {
    Router::new()
        .route("/v1/upgrade", post(upgrade))
        .route("/v1/rollback", post(rollback))
        .route("/v1/status", get(status))
        .route("/v1/history", get(history))
        .route("/v1/effects", get(follow_effects))
        .route("/metrics", get(show_metrics))
        .with_state(context)
}

async fn upgrade(
    State(context): State<Context>,
    headers: HeaderMap,
    request: Result<Json<UpgradeRequest>, JsonRejection>,
) -> Response {
    match request {
        Ok(Json(request)) => carry_out(&context, &headers, Ask::Upgrade(request)).await,
        Err(rejection) => refused(&Refusal::new(Code::BadRequest, rejection.body_text())),
    }
}

async fn rollback(State(context): State<Context>, headers: HeaderMap) -> Response {
    carry_out(&context, &headers, Ask::Rollback).await
}

async fn carry_out(context: &Context, headers: &HeaderMap, ask: Ask) -> Response {
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    if accepted.is_some_and(|value| value.contains(NDJSON)) {
        let body = axum::body::Body::new(Lines::new(context.handle.ask(ask)));
        return ([(header::CONTENT_TYPE, NDJSON)], body).into_response();
    }
    match context.handle.outcome(ask).await {
        Ok(report) => Json(report).into_response(),
        Err(refusal) => refused(&refusal),
    }
}

fn refused(refusal: &Refusal) -> Response {
    let status = match refusal.code {
        Code::AlreadyRunning | Code::Busy | Code::NoPrevious | Code::TooManyReaders => {
            StatusCode::CONFLICT
        }
        Code::NoSuchPosition => StatusCode::GONE,
        Code::BadRequest => StatusCode::BAD_REQUEST,
        Code::Io | Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        Code::ShuttingDown | Code::Stuck => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    (status, Json(refusal.to_json())).into_response()
}

async fn status(State(context): State<Context>) -> Json<Status> {
    Json(context.board.status(carried::count(context.host)))
}

async fn history(State(context): State<Context>) -> Json<Vec<Record>> {
    Json(context.board.history())
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
        Ok(pieces) => axum::body::Body::new(pieces).into_response(),
        Err(error) => refused(&Refusal::from(&error)),
    }
}

async fn show_metrics(State(context): State<Context>) -> Response {
    let status = context.board.status(carried::count(context.host));
    let text = metrics::text(&status, context.host);
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response()
}
