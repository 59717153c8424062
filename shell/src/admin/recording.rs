//! Captured commands as the body of an answer: a recording, see docs/capture.md.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use abi::config::id;
use hyper::body::{Body, Bytes, Frame};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::capture::{Capture, VALUE_BYTES_MAX, Wanted};
use crate::client::limits::number;
use crate::refusal::{Code, Refusal};
use crate::replay::file::{Head, Tail};
use crate::worker::clock::unix_ms;
use crate::worker::shared;

/// How often records are fetched.
const TURN: Duration = Duration::from_millis(5);
/// Pieces that may wait for the asker.
const PIECES_MAX: usize = 16;
/// The longest recording: a day.
const SECONDS_MAX: u64 = 24 * 3600;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Of the commands, how many in a hundred.
    pub percent: f64,
    /// For how long.
    pub seconds: u64,
    /// The recording is to have no more bytes.
    pub bytes_max: u64,
    /// Of the workers' time, how much it may take, in percent.
    pub cost_percent: f64,
}

impl Request {
    fn check(&self) -> Result<(), Refusal> {
        let is_share = |percent: f64| percent > 0.0 && percent <= 100.0;
        let message = match () {
            () if !is_share(self.percent) => "a share is more than 0% and up to 100%",
            () if !is_share(self.cost_percent) => "what it may cost is more than 0% and up to 100%",
            () if !(1..=SECONDS_MAX).contains(&self.seconds) => "it takes a second to a day",
            () => return Ok(()),
        };
        Err(Refusal::new(Code::BadRequest, message))
    }
}

/// Begins a recording of what `served_by` serves, on the current runtime.
///
/// # Errors
/// `bad_request`; as [`Capture::begin`].
pub fn start(request: &Request, served_by: String) -> Result<Pieces, Refusal> {
    request.check()?;
    let wanted = Wanted {
        percent: request.percent,
        value_bytes_max: VALUE_BYTES_MAX,
        cost_percent: Some(request.cost_percent),
    };
    let capture = Capture::begin(&wanted)?;
    let databases = shared::get().map_or(16, |server| number(server.config(), id::DATABASES));
    let head = Head::new(served_by, databases as u32, request.percent, unix_ms());
    let (sender, pieces) = mpsc::channel(PIECES_MAX);
    tokio::spawn(pump(capture, head, request.clone(), sender));
    Ok(Pieces(pieces))
}

async fn pump(capture: Capture, head: Head, request: Request, sender: mpsc::Sender<Vec<u8>>) {
    let ends = Instant::now() + Duration::from_secs(request.seconds);
    let mut sent = head.to_line();
    let mut bytes = sent.len() as u64;
    let mut tail = Tail::default();
    capture.open();
    while !sender.is_closed() && Instant::now() < ends {
        if !sent.is_empty() && sender.send(std::mem::take(&mut sent)).await.is_err() {
            return;
        }
        if tokio::time::timeout(TURN, sender.closed()).await.is_ok() {
            return;
        }
        capture.take(&mut sent);
        bytes += sent.len() as u64;
        if bytes >= request.bytes_max {
            tail.cut_short = Some(format!("it has {bytes} bytes, as many as it may"));
            break;
        }
    }
    capture.close();
    capture.take(&mut sent);
    tail.counted = capture.counted();
    sent.extend(tail.to_bytes());
    // Whoever has gone needs no end.
    let _ = sender.send(sent).await;
}

/// The body.
pub struct Pieces(mpsc::Receiver<Vec<u8>>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.0.poll_recv(context);
        piece.map(|piece| piece.map(|bytes| Ok(Frame::data(bytes.into()))))
    }
}
