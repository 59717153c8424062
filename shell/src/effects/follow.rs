//! A reader as the body of an answer: what it reads is handed out as the asker takes it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use abi::effects::{Policy, Stream};
use hyper::body::{Body, Bytes, Frame};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::frames::{Frames, NoEffect};
use super::{ReadError, Reader, shown};
use crate::refusal::{Code, Refusal};

/// Bytes read at a time.
const PIECE_BYTES: usize = 64 * 1024;

/// Pieces that wait for the asker; beyond, the reader falls behind.
const PIECES_AHEAD: usize = 4;

/// How long nothing new is waited for before another look.
const IDLE_PAUSE: Duration = Duration::from_millis(5);

/// How effects are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// A line each: position, database, quoted arguments.
    #[default]
    Text,
    /// The bytes of the stream as they are.
    Resp,
    /// A JSON object a line.
    #[value(skip)]
    Json,
}

/// What is asked for. Also the query of the admin API.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Request {
    /// Where to begin; without it at the end of the stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// Whether to go on when the end is reached.
    #[serde(default)]
    pub follow: bool,
    /// Whether writers wait for this reader when it is slow, instead of cutting it off.
    #[serde(default)]
    pub hold: bool,
    /// How effects are written.
    #[serde(default)]
    pub format: Format,
}

/// Begins to read on the current runtime.
///
/// # Errors
/// As [`Reader::join`].
pub fn start(stream: Stream<'static>, request: Request) -> Result<Pieces, ReadError> {
    let policy = if request.hold { Policy::Hold } else { Policy::CutOff };
    let reader = Reader::join(stream, "admin", policy, request.from)?;
    let (sender, pieces) = mpsc::channel(PIECES_AHEAD);
    let until = (!request.follow).then(|| stream.position());
    let writer = Writer::new(request.format, reader.position());
    tokio::spawn(pump(reader, writer, until, sender));
    Ok(Pieces(pieces))
}

/// Reads until `until`, or for ever; ends when the asker has gone.
async fn pump(
    mut reader: Reader,
    mut writer: Writer,
    until: Option<u64>,
    sender: mpsc::Sender<Result<Bytes, ReadError>>,
) {
    let mut buffer = vec![0; PIECE_BYTES];
    loop {
        let left = until.map_or(u64::MAX, |until| until.saturating_sub(reader.position()));
        if left == 0 {
            return;
        }
        let room = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let piece = match reader.take(&mut buffer[..room]) {
            Ok(0) => {
                let idle = tokio::time::timeout(IDLE_PAUSE, sender.closed()).await;
                if idle.is_ok() { return } else { continue }
            }
            Ok(len) => writer.write(&buffer[..len]),
            Err(error) => Err(error),
        };
        match piece {
            // An effect that is not all there yet makes no piece.
            Ok(piece) if piece.is_empty() => {}
            Ok(piece) => {
                if sender.send(Ok(piece.into())).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                // If the asker has gone, nobody needs to know.
                let _ = sender.send(Ok(writer.last_words(&error).into())).await;
                let _ = sender.send(Err(error)).await;
                return;
            }
        }
    }
}

/// Turns the stream's bytes into what was asked for.
struct Writer {
    format: Format,
    frames: Frames,
}

impl Writer {
    fn new(format: Format, position: u64) -> Self {
        Self { format, frames: Frames::at(position) }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<Vec<u8>, ReadError> {
        let show = match self.format {
            Format::Resp => return Ok(bytes.to_vec()),
            Format::Text => shown::text,
            Format::Json => shown::json,
        };
        self.frames.add(bytes);
        let mut lines = String::new();
        let no_effect = |NoEffect { position }| ReadError::NoEffect(position);
        while let Some(effect) = self.frames.next().map_err(no_effect)? {
            lines += &show(&effect);
        }
        Ok(lines.into_bytes())
    }

    /// What is left of a text that is cut short: a line of JSON, as a refusal is.
    fn last_words(&self, error: &ReadError) -> Vec<u8> {
        match self.format {
            Format::Resp => Vec::new(),
            Format::Text | Format::Json => format!("{}\n", Refusal::from(error).to_json()).into(),
        }
    }
}

impl From<&ReadError> for Refusal {
    fn from(error: &ReadError) -> Self {
        let code = match error {
            ReadError::TooMany => Code::TooManyReaders,
            ReadError::Gone { .. } | ReadError::NoEffect(_) => Code::NoSuchPosition,
            ReadError::NoMemory => Code::Io,
            ReadError::CutOff(_) => Code::CutOff,
        };
        Self::new(code, error.to_string())
    }
}

/// The body. It ends when nothing more is to come, and breaks off when the reader is cut off.
pub struct Pieces(mpsc::Receiver<Result<Bytes, ReadError>>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = ReadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ReadError>>> {
        self.0.poll_recv(context).map(|piece| Some(piece?.map(Frame::data)))
    }
}
