//! The process in which a version runs captured commands. It may crash or hang at any of them.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use abi::logic::LogicRef;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use super::compare::{Difference, Kind, differences};
use super::player::{Player, Trouble};
use super::record::{Key, Malformed, Record};
use super::tally::{Meant, Tally};
use super::{Report, Task};
use crate::logic::verify::child::attached;
use crate::refusal::{Code, Refusal};

/// The hidden verb of the command line that runs [`run`].
pub const VERB: &str = "__replay";
/// Descriptors that come with the first byte: the image, and where it is told what runs.
pub const DESCRIPTORS: usize = 2;
/// How often it is told what has come of it.
const TELL: Duration = Duration::from_millis(100);
/// Bytes read at a time.
const PIECE_BYTES: usize = 256 << 10;
/// Commands after which the library's own memory is what it needs to run.
const WARM: u64 = 500;
/// Lines in which a library declares what is meant to differ.
const MEANT_MAX: u32 = 1000;
/// Bytes of the place where it is told which command runs: a number, then its name.
pub const PROGRESS_BYTES: usize = 64;

/// Runs what comes on standard input, with the image of this hash, and reports on standard output, a
/// JSON object a line.
pub fn run(sha256: String, task: &str) -> ExitCode {
    let Ok(mut channels) = Channels::take() else { return ExitCode::FAILURE };
    let task = serde_json::from_str(task).unwrap_or_default();
    match play(&mut channels, sha256, task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(refusal) => {
            channels.report(&Report::Refused(refusal));
            ExitCode::FAILURE
        }
    }
}

/// The ways to the parent, moved away from where the library would read and print.
struct Channels {
    records: UnixStream,
    report: File,
    progress: File,
    image: Option<File>,
}

impl Channels {
    fn take() -> std::io::Result<Self> {
        let records = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
        let report = File::from(std::io::stdout().as_fd().try_clone_to_owned()?);
        rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
        rustix::stdio::dup2_stdout(std::io::stderr())?;
        let mut descriptors = receive(&records)?.into_iter().map(File::from);
        let (image, progress) = (descriptors.next(), descriptors.next());
        let progress = progress.ok_or(ErrorKind::InvalidInput)?;
        records.set_read_timeout(Some(TELL))?;
        Ok(Self { records, report, progress, image })
    }

    fn report(&mut self, report: &Report) {
        let mut line = serde_json::to_vec(report).unwrap_or_default();
        line.push(b'\n');
        // A parent that does not listen any more needs no report.
        let _ = self.report.write_all(&line);
    }

    /// Says which command runs: none if the name is empty.
    fn at(&self, number: u64, name: &str) {
        let mut told = [0; PROGRESS_BYTES];
        told[..8].copy_from_slice(&number.to_le_bytes());
        let len = name.len().min(PROGRESS_BYTES - 8);
        told[8..8 + len].copy_from_slice(&name.as_bytes()[..len]);
        // It is for the case that something goes wrong.
        let _ = self.progress.write_at(&told, 0);
    }
}

fn receive(socket: &UnixStream) -> std::io::Result<Vec<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let mut into = [std::io::IoSliceMut::new(&mut byte)];
    recvmsg(socket, &mut into, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let mut descriptors = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            descriptors.extend(received);
        }
    }
    Ok(descriptors)
}

fn play(channels: &mut Channels, sha256: String, task: Task) -> Result<(), Refusal> {
    let image = channels.image.take();
    let image = image.ok_or_else(|| Refusal::new(Code::Io, "no image has come"))?;
    // The library is not closed: this process ends with it.
    let (_library, logic) = attached(image, sha256)?;
    let mut work = Work::new(logic, task)?;
    channels.report(&Report::Ready);
    let mut input = Input { bytes: Vec::new(), used: 0 };
    loop {
        match input.fill(&mut channels.records) {
            Ok(0) => break,
            Ok(_) => work.run_all(&mut input, channels)?,
            Err(error) if is_no_more_yet(&error) => {}
            Err(error) => return Err(Refusal::new(Code::Io, format!("records: {error}"))),
        }
        work.tell_now_and_then(channels);
    }
    work.tell(channels);
    Ok(())
}

fn is_no_more_yet(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// Records that have come and were not run yet.
struct Input {
    bytes: Vec<u8>,
    used: usize,
}

impl Input {
    fn fill(&mut self, from: &mut UnixStream) -> std::io::Result<usize> {
        self.bytes.drain(..self.used);
        self.used = 0;
        let len = self.bytes.len();
        self.bytes.resize(len + PIECE_BYTES, 0);
        let read = from.read(&mut self.bytes[len..]);
        self.bytes.truncate(len + *read.as_ref().unwrap_or(&0));
        read
    }

    /// The next that is there as a whole.
    fn next(&mut self) -> Result<Option<Record<'_>>, Malformed> {
        let rest = &self.bytes[self.used..];
        let Some(len) = Record::len_of(rest)? else { return Ok(None) };
        let Some(bytes) = rest.get(..len) else { return Ok(None) };
        self.used += len;
        Record::read(bytes).map(Some)
    }
}

/// What is done with the records.
struct Work {
    player: Player,
    logic: LogicRef,
    task: Task,
    meant: Meant,
    tally: Tally,
    number: u64,
    told: u64,
    told_at: Instant,
    /// What the library had taken for itself when it had run a while.
    own_bytes: Option<i64>,
    rewritten: Vec<u8>,
}

impl Work {
    fn new(logic: LogicRef, task: Task) -> Result<Self, Refusal> {
        let mut meant = Meant::default();
        let lines = (0..MEANT_MAX).map(|index| logic.differs()(index));
        lines.take_while(|line| !line.is_empty()).for_each(|line| meant.add(line.as_str()));
        Ok(Self {
            player: Player::start(logic, task.databases, task.measures)?,
            logic,
            task,
            meant,
            tally: Tally::default(),
            number: 0,
            told: 0,
            told_at: Instant::now(),
            own_bytes: None,
            rewritten: Vec::new(),
        })
    }

    fn run_all(&mut self, input: &mut Input, channels: &mut Channels) -> Result<(), Refusal> {
        let malformed = |error: Malformed| Refusal::new(Code::NoRecording, error.to_string());
        while let Some(record) = input.next().map_err(malformed)? {
            self.number += 1;
            channels.at(self.number, record.name);
            self.run(&record)?;
            if !self.rewritten.is_empty() {
                let written = channels.records.write_all(&self.rewritten);
                written.map_err(|e| Refusal::new(Code::Io, format!("records sent back: {e}")))?;
                self.rewritten.clear();
            }
            self.tell_now_and_then(channels);
        }
        channels.at(self.number, "");
        Ok(())
    }

    fn run(&mut self, record: &Record<'_>) -> Result<(), Refusal> {
        let played = match self.player.play(record) {
            Ok(played) => played,
            Err(trouble) => return self.note_trouble(record, trouble),
        };
        self.tally.add(record, played.elapsed_ns);
        if self.task.rewrites {
            let keys = record.keys.iter().enumerate();
            let keys = keys.map(|(at, key)| Key { after: played.state(at), ..*key }).collect();
            let (elapsed_ns, reply, effects) =
                (played.elapsed_ns, &played.reply[..], &played.effects[..]);
            let record = Record { elapsed_ns, keys, reply, effects, ..record.clone() };
            record.write(&mut self.rewritten);
        }
        let player = &mut self.player;
        let found = differences(record, &played, |one, other| player.is_same_value(one, other));
        match found {
            Ok(found) if found.is_empty() => {}
            Ok(found) => self.note(record, &found),
            Err(trouble) => self.note_trouble(record, trouble)?,
        }
        self.watch_memory();
        Ok(())
    }

    fn note(&mut self, record: &Record<'_>, found: &[Difference]) {
        match self.meant.has(record) {
            true => self.tally.expected += 1,
            false => self.tally.diverge(record, found, self.task.redacts),
        }
    }

    fn note_trouble(&mut self, record: &Record<'_>, trouble: Trouble) -> Result<(), Refusal> {
        let (kind, got) = match trouble {
            Trouble::Broken(refusal) => return Err(refusal),
            Trouble::Unprepared(why) => {
                self.tally.unprepared += 1;
                self.tally.unprepared_reason = Some(format!("{}: {why}", record.name));
                return Ok(());
            }
            Trouble::Panicked(message) => (Kind::Panic, message),
            Trouble::Silent => (Kind::Silent, "nothing: it waits".to_owned()),
        };
        self.tally.add(record, 0);
        let (expected, got) = (record.reply.to_vec(), got.into_bytes());
        let difference = Difference { kind, expected, got };
        // Nobody means to panic.
        match kind {
            Kind::Panic => self.tally.diverge(record, &[difference], self.task.redacts),
            _ => self.note(record, &[difference]),
        }
        Ok(())
    }

    fn watch_memory(&mut self) {
        if self.tally.compared < WARM {
            return;
        }
        let own_bytes = self.logic.outstanding_bytes()();
        let before = *self.own_bytes.get_or_insert(own_bytes);
        self.tally.grown_bytes = own_bytes - before;
    }

    fn tell_now_and_then(&mut self, channels: &mut Channels) {
        if self.told != self.number && self.told_at.elapsed() >= TELL {
            self.tell(channels);
        }
    }

    fn tell(&mut self, channels: &mut Channels) {
        (self.told, self.told_at) = (self.number, Instant::now());
        channels.report(&Report::Tally(Box::new(self.tally.clone())));
    }
}
