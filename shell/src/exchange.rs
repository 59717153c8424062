//! Exchanges with other servers: logic has no sockets, and says what is to be sent and how much is to
//! come back. The control thread does that; clients hear of it by message.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use abi::client_ref::ClientRef;
use abi::host::{Exchange, HostRef};
use abi::message::{exchange_outcome, kind};
use abi::status::Status;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{sleep, timeout};

use crate::worker::post::post;

/// Exchanges that may be under way, and as many that may wait.
const UNDER_WAY_MAX: usize = 64;
/// Bytes that are sent before it is seen that time goes by.
const STEP_BYTES: usize = 64 << 10;
/// Bytes that a line may have on average; more is no answer.
const LINE_BYTES_MAX: usize = 4 << 10;

/// Pause before an outcome is posted again for which there was no memory.
const RETRY: Duration = Duration::from_millis(100);

static SENDER: OnceLock<mpsc::Sender<Request>> = OnceLock::new();

/// Exchanges that have begun and whose outcome has not been posted.
static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

/// Whether some client waits for the outcome of one.
pub fn is_under_way() -> bool {
    UNDER_WAY.load(Ordering::SeqCst) != 0
}

struct Request {
    client: ClientRef,
    detail: u64,
    host: String,
    port: u16,
    lines: usize,
    limit: Duration,
    bytes: Vec<u8>,
}

/// See [`abi::host::Host::exchange`].
pub extern "C" fn begin(client: ClientRef, exchange: &Exchange<'_>) -> Status {
    let request = Request {
        client,
        detail: exchange.detail,
        host: exchange.host.as_str().into(),
        // No server listens there.
        port: u16::try_from(exchange.port).unwrap_or(0),
        lines: exchange.lines as usize,
        limit: Duration::from_millis(exchange.timeout_ms),
        bytes: exchange.request.as_slice().to_vec(),
    };
    UNDER_WAY.fetch_add(1, Ordering::SeqCst);
    match SENDER.get().map(|sender| sender.try_send(request)) {
        Some(Ok(())) => Status::OK,
        _ => {
            UNDER_WAY.fetch_sub(1, Ordering::SeqCst);
            Status::REFUSED
        }
    }
}

/// Carries exchanges out for ever. Once in the life of a process.
pub async fn run(host: HostRef) {
    let (sender, mut requests) = mpsc::channel(UNDER_WAY_MAX);
    if SENDER.set(sender).is_err() {
        tracing::error!("exchanges with other servers are carried out already");
        return;
    }
    let places = Arc::new(Semaphore::new(UNDER_WAY_MAX));
    while let Some(request) = requests.recv().await {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        tokio::spawn(async move {
            let outcome = carry_out(&request).await;
            let Request { client, detail, .. } = request;
            drop(place);
            while !post(host, client, kind::EXCHANGE_REPLY, detail, &outcome) {
                // The arena is full. The client waits until it hears of the outcome.
                sleep(RETRY).await;
            }
            UNDER_WAY.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

/// The outcome of an exchange: a byte that says how it ended, and the lines that came back.
async fn carry_out(request: &Request) -> Vec<u8> {
    let mut stream = match timeout(request.limit, connect(request)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(outcome)) => return vec![outcome],
        Err(_) => return vec![exchange_outcome::NOT_CONNECTED],
    };
    for step in request.bytes.chunks(STEP_BYTES) {
        if !matches!(timeout(request.limit, stream.write_all(step)).await, Ok(Ok(()))) {
            return vec![exchange_outcome::NOT_SENT];
        }
    }
    receive(&mut stream, request).await
}

/// A connection to the server. One that is refused counts, as with Redis, as one to which nothing
/// could be sent.
async fn connect(request: &Request) -> Result<TcpStream, u8> {
    let addresses = lookup_host((request.host.as_str(), request.port)).await;
    let addresses: Vec<_> = addresses.map_err(|_| exchange_outcome::NOT_CONNECTED)?.collect();
    let stream = TcpStream::connect(addresses.as_slice()).await;
    stream.map_err(|_| exchange_outcome::NOT_SENT)
}

async fn receive(stream: &mut TcpStream, request: &Request) -> Vec<u8> {
    let (mut outcome, mut missing) = (vec![exchange_outcome::DONE], request.lines);
    let mut bytes = vec![0; STEP_BYTES];
    while missing > 0 && outcome.len() <= request.lines * LINE_BYTES_MAX {
        let Ok(Ok(len @ 1..)) = timeout(request.limit, stream.read(&mut bytes)).await else {
            break;
        };
        let lines = bytes[..len].iter().filter(|byte| **byte == b'\n').count();
        missing = missing.saturating_sub(lines);
        outcome.extend_from_slice(&bytes[..len]);
    }
    if missing > 0 {
        outcome[0] = exchange_outcome::NOT_ANSWERED;
    }
    outcome
}
