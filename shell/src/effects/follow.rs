//! A reader as the body of an answer: what it reads is handed out as the asker takes it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use abi::effects::{Policy, Stream};
use hyper::body::{Body, Bytes, Frame};
use serde::Deserialize;
use tokio::sync::mpsc;

use super::frames::{Frames, NoEffect};
use super::{ReadError, Reader, shown};
use crate::refusal::{Code, Refusal};

/// Bytes read at a time.
const PIECE_BYTES: usize = 64 * 1024;

/// Pieces that wait for the asker; beyond, the reader falls behind.
const PIECES_AHEAD: usize = 4;

/// Pause before another look when there was less than a piece: a reader that takes every effect as
/// it comes costs writers and itself more than the effects do.
const PAUSE: Duration = Duration::from_millis(2);

/// The time of a line that tells how much is written.
const RATE_OVER: Duration = Duration::from_secs(1);

/// How effects are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// A line each: position, database, quoted arguments.
    #[default]
    Text,
    /// The bytes of the stream as they are.
    Resp,
    /// No effects, but a line a second: the position, and how many bytes were written in it.
    Rate,
    /// A JSON object a line.
    #[value(skip)]
    Json,
}

/// What is asked for. Also the query of the admin API.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub struct Request {
    /// Where to begin; without it at the end of the stream.
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
            if let Some(line) = writer.end() {
                // If the asker has gone, nobody needs to know.
                let _ = sender.send(Ok(line.into())).await;
            }
            return;
        }
        let room = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let taken = reader.take(&mut buffer[..room]);
        let is_short = taken.as_ref().is_ok_and(|len| *len < room);
        let piece = taken.and_then(|len| writer.write(&buffer[..len]));
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
                let _ = sender.send(writer.last_words(error).map(Bytes::from)).await;
                return;
            }
        }
        if is_short && tokio::time::timeout(PAUSE, sender.closed()).await.is_ok() {
            return;
        }
    }
}

/// Turns the stream's bytes into what was asked for.
struct Writer {
    format: Format,
    frames: Frames,
    rate: Rate,
}

impl Writer {
    fn new(format: Format, position: u64) -> Self {
        let rate = Rate { told_at: Instant::now(), bytes: 0, position };
        Self { format, frames: Frames::at(position), rate }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<Vec<u8>, ReadError> {
        let show = match self.format {
            Format::Resp => return Ok(bytes.to_vec()),
            Format::Rate => return Ok(self.rate.add(bytes.len(), Instant::now()).into_bytes()),
            Format::Text => shown::text,
            Format::Json => shown::json,
        };
        self.frames.add(bytes);
        let mut lines = String::new();
        let no_effect = |NoEffect { position }| ReadError::NoEffect(position);
        while let Some(effect) = self.frames.pop().map_err(no_effect)? {
            lines += &show(&effect);
        }
        Ok(lines.into_bytes())
    }

    /// What is left to say at the end.
    fn end(&mut self) -> Option<String> {
        let is_owed = self.format == Format::Rate && self.rate.bytes > 0;
        is_owed.then(|| self.rate.line(Instant::now()))
    }

    /// The end of what is cut short. A text has words for it, a line of JSON as a refusal is, and
    /// then ends: what is broken off loses what was still on its way, which those would be.
    fn last_words(&self, error: ReadError) -> Result<Vec<u8>, ReadError> {
        match self.format {
            Format::Resp => Err(error),
            Format::Text | Format::Rate | Format::Json => {
                Ok(format!("{}\n", Refusal::from(&error).to_json()).into())
            }
        }
    }
}

/// How much is written in a time.
struct Rate {
    told_at: Instant,
    /// Written since then.
    bytes: u64,
    position: u64,
}

impl Rate {
    /// Adds so many bytes. A line, if it is time for one.
    fn add(&mut self, bytes: usize, now: Instant) -> String {
        self.bytes += bytes as u64;
        self.position += bytes as u64;
        let is_due = now.duration_since(self.told_at) >= RATE_OVER;
        if is_due { self.line(now) } else { String::new() }
    }

    fn line(&mut self, now: Instant) -> String {
        self.told_at = now;
        format!("{} {}\n", self.position, std::mem::take(&mut self.bytes))
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

/// The body. It ends when nothing more is to come. Where the reader is cut off, a text ends with a
/// line that says so, and bytes break off.
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

#[cfg(test)]
mod tests {
    use super::*;
    use abi::effects::{Calls, Credit, Dbs, EffectsStream, Ring};
    use std::sync::atomic::AtomicU32;

    extern "C" fn no_wait(_: &AtomicU32, _: u32) {}
    extern "C" fn no_wake(_: &AtomicU32) {}
    extern "C" fn no_memory(_: u64) -> u64 {
        0
    }
    extern "C" fn nothing_to_free(_: u64, _: u64) {}

    const RING: usize = 64 * 1024;
    const SET: &str = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n";
    const SELECT: &str = "*2\r\n$6\r\nSELECT\r\n$1\r\n4\r\n";

    /// A stream that is open already and stays so, for somebody else reads as well.
    fn stream() -> Stream<'static> {
        let raw: &EffectsStream = Box::leak(Box::default());
        let ring = Box::leak(vec![0u64; RING / 8].into_boxed_slice()).as_ptr() as u64;
        // SAFETY: the ring is never freed, and there are no extents.
        let stream = unsafe {
            let stream = Stream::new(raw, Calls::new(no_wait, no_wake, no_memory, nothing_to_free));
            assert!(stream.open(Ring { address: ring, capacity: RING as u64 }, 1 << 20));
            stream
        };
        stream.join("keeps it open", Policy::CutOff, None).unwrap();
        stream
    }

    fn append(stream: Stream<'static>, text: &str) {
        // SAFETY: one thread writes.
        let mut writer = unsafe { stream.writer(0) };
        while let Credit::CutOff(_) = writer.ask(text.len() as u64) {}
        writer.append(Dbs::one(4), text.as_bytes()).unwrap();
    }

    async fn next(pieces: &mut Pieces) -> Option<Result<String, ReadError>> {
        let piece = pieces.0.recv().await?;
        Some(piece.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap()))
    }

    #[tokio::test]
    async fn what_is_there_is_shown_in_each_format_and_then_it_ends() {
        let stream = stream();
        append(stream, SET);
        append(stream, SET);
        let check = async |format, from, expect: &str| {
            let request = Request { from: Some(from), format, ..Request::default() };
            let mut pieces = start(stream, request).unwrap();
            assert_eq!(next(&mut pieces).await, Some(Ok(expect.to_owned())));
            assert_eq!(next(&mut pieces).await, None);
        };
        check(Format::Resp, 0, &[SELECT, SET, SET].concat()).await;
        check(Format::Text, 0, "23 4 \"SET\" \"k\" \"v\"\n50 4 \"SET\" \"k\" \"v\"\n").await;
        check(Format::Text, 50, "50 ? \"SET\" \"k\" \"v\"\n").await;
        let json = "{\"position\":50,\"db\":null,\"command\":[\"SET\",\"k\",\"v\"]}\n";
        check(Format::Json, 50, json).await;
        check(Format::Rate, 50, "77 27\n").await;
    }

    #[test]
    fn a_rate_is_told_once_a_second() {
        let begin = Instant::now();
        let after = |ms| begin + Duration::from_millis(ms);
        let mut rate = Rate { told_at: begin, bytes: 0, position: 100 };
        assert_eq!(rate.add(20, after(600)), "");
        assert_eq!(rate.add(30, after(1000)), "150 50\n");
        assert_eq!(rate.add(0, after(1999)), "");
        assert_eq!(rate.add(0, after(2000)), "150 0\n", "also when nothing is written");
    }

    #[tokio::test]
    async fn a_position_that_is_not_there_is_refused_and_one_within_an_effect_told() {
        let stream = stream();
        append(stream, SET);
        let ask = |from| start(stream, Request { from: Some(from), ..Request::default() });
        let gone = ReadError::Gone { asked: 51, oldest: 0, end: 50 };
        assert_eq!(ask(51).err(), Some(gone));
        let mut pieces = ask(25).unwrap();
        let words = next(&mut pieces).await.unwrap().unwrap();
        assert!(words.contains("\"no_such_position\"") && words.ends_with("}}\n"), "{words}");
        assert_eq!(next(&mut pieces).await, None);
    }

    #[tokio::test]
    async fn a_follower_goes_on_and_is_told_when_it_was_too_slow() {
        let stream = stream();
        let request = Request { follow: true, ..Request::default() };
        let mut pieces = start(stream, request).unwrap();
        let raw = Request { format: Format::Resp, ..request };
        let mut bytes = start(stream, raw).unwrap();
        append(stream, SET);
        assert_eq!(next(&mut pieces).await, Some(Ok("23 4 \"SET\" \"k\" \"v\"\n".to_owned())));
        append(stream, SET);
        assert_eq!(next(&mut pieces).await, Some(Ok("50 4 \"SET\" \"k\" \"v\"\n".to_owned())));
        let (expect, mut told) = ([SELECT, SET, SET].concat(), String::new());
        while told.len() < expect.len() {
            told += &next(&mut bytes).await.unwrap().unwrap();
        }
        assert_eq!(told, expect);
        // The pumps run on this thread, so they read nothing meanwhile.
        (0..=RING / SET.len()).for_each(|_| append(stream, SET));
        let words = next(&mut pieces).await.unwrap().unwrap();
        assert!(words.contains("\"cut_off\""), "{words}");
        assert_eq!(next(&mut pieces).await, None);
        assert_eq!(next(&mut bytes).await, Some(Err(ReadError::CutOff(77))));
        assert_eq!(stream.consumers().len(), 1, "its place is free again");
    }
}
