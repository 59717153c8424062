//! Metrics and a page for people, over TCP. Nothing can be asked for here but to look.
//!
//! ```text
//! GET /            the page
//! GET /metrics     Prometheus's text format
//! GET /v1/status   GET /v1/history    as the admin API has them
//! GET /events      the same, once a second, as server-sent events
//! ```

use std::convert::Infallible;
use std::io;
use std::net::TcpListener as StdListener;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use abi::host::HostRef;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use hyper::body::{Bytes, Frame};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::upgrade::board::{Board, Status};
use crate::upgrade::{carried, history};

/// Connections at a time; more are not answered.
const CONNECTIONS_MAX: usize = 64;
/// Of those, how many may follow events.
const FOLLOWERS_MAX: usize = 16;
/// A request that is not there by then is not waited for.
const REQUEST_MAX: Duration = Duration::from_secs(10);
/// From one event to the next.
const EVENT: Duration = Duration::from_secs(1);
/// After the system had no connection to give.
const PAUSE: Duration = Duration::from_millis(100);
/// Records of the history in an event.
const RECORDS_MAX: usize = 20;

const PAGE: &str = include_str!("page.html");
/// The page needs nothing from elsewhere, and gets nothing.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'";

#[derive(Clone)]
struct Context {
    board: Board,
    host: HostRef,
    followers: Arc<Semaphore>,
}

/// Serves for ever.
///
/// # Errors
/// If the runtime cannot use the socket.
pub async fn serve(listener: &StdListener, board: Board, host: HostRef) -> io::Result<()> {
    let listener = TcpListener::from_std(listener.try_clone()?)?;
    let followers = Arc::new(Semaphore::new(FOLLOWERS_MAX));
    let router = Router::new()
        .route("/", get(page))
        .route("/metrics", get(metrics))
        .route("/v1/status", get(status))
        .route("/v1/history", get(history))
        .route("/events", get(events))
        .with_state(Context { board, host, followers });
    let service = TowerToHyperService::new(router);
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    tracing::info!(address = %listener.local_addr()?, "metrics are served");
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Ok(permit) = Arc::clone(&connections).try_acquire_owned() {
                    tokio::spawn(converse(stream, service.clone(), permit));
                }
            }
            Err(error) => {
                tracing::warn!(%error, "metrics: cannot accept; trying again");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn converse(
    stream: TcpStream,
    service: TowerToHyperService<Router>,
    _permit: OwnedSemaphorePermit,
) {
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(REQUEST_MAX);
    if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "a connection for metrics has ended");
    }
}

async fn page() -> Response {
    let kind = (header::CONTENT_TYPE, "text/html; charset=utf-8");
    ([kind, (header::CONTENT_SECURITY_POLICY, POLICY)], PAGE).into_response()
}

async fn metrics(State(context): State<Context>) -> Response {
    let text = super::text(&status_of(&context), context.host);
    ([(header::CONTENT_TYPE, super::CONTENT_TYPE)], text).into_response()
}

async fn status(State(context): State<Context>) -> Json<Status> {
    Json(status_of(&context))
}

async fn history(State(context): State<Context>) -> Json<history::Shown> {
    Json(context.board.history())
}

fn status_of(context: &Context) -> Status {
    context.board.status(carried::count(context.host))
}

async fn events(State(context): State<Context>) -> Response {
    let Ok(permit) = Arc::clone(&context.followers).try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many follow events").into_response();
    };
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let _permit = permit;
        let mut every = tokio::time::interval(EVENT);
        loop {
            every.tick().await;
            if sender.send(event(&context)).await.is_err() {
                return;
            }
        }
    });
    let kind = (header::CONTENT_TYPE, "text/event-stream");
    ([kind, (header::CACHE_CONTROL, "no-store")], Body::new(Events(receiver))).into_response()
}

/// One event: the status and the last records.
fn event(context: &Context) -> Bytes {
    let mut records = context.board.history().records;
    records.drain(..records.len().saturating_sub(RECORDS_MAX));
    let event = serde_json::json!({ "status": status_of(context), "records": records });
    format!("data: {event}\n\n").into()
}

struct Events(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|event| Some(Ok(Frame::data(event?))))
    }
}
