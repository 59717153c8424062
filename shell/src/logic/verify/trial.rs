//! A server of one thread without sockets, in which a library is tried: it calls every function of
//! the library's table as a server does.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::time::Duration;

use abi::client::{Client, flag};
use abi::config::id;
use abi::container::RawBytes;
use abi::logic::{LogicRef, Scratch, close_reason};
use abi::ptr::Ptr;
use abi::status::Status;
use abi_stable::std_types::{RSlice, RStr};

use super::stand_in::{self, Memory};
use crate::arena::calls;
use crate::client::limits::number;
use crate::client::message::drop_message;
use crate::client::open::{self, Accepted};
use crate::client::{Connection, input, output};
use crate::refusal::{Code, Refusal};

/// Rounds in which what clients have for each other may lead to more of it.
const MAIL_ROUNDS_MAX: usize = 1000;

/// The server. Connections are named by numbers, and opened when they are first used.
pub struct Trial {
    logic: LogicRef,
    memory: &'static Memory,
    scratches: Vec<*mut Scratch>,
    connections: BTreeMap<u8, Open>,
}

struct Open {
    id: u64,
    connection: Connection,
    lane: u32,
    /// What it has been sent and nobody has looked at.
    unread: Vec<u8>,
}

impl Trial {
    /// A server of an attached library, with so many lanes.
    ///
    /// # Errors
    /// `attach_failed` if it could not make a scratch for each, or not set up a new arena.
    pub fn start(logic: LogicRef, lanes: u32) -> Result<Self, Refusal> {
        Self::start_with(logic, lanes, &[])
    }

    /// As [`Trial::start`], with settings from the beginning.
    ///
    /// # Errors
    /// Also as [`Trial::configure`].
    pub fn start_with(
        logic: LogicRef,
        lanes: u32,
        settings: &[Vec<String>],
    ) -> Result<Self, Refusal> {
        let memory = stand_in::memory()?;
        let scratches = (0..lanes).map(|lane| logic.scratch_new()(lane)).collect();
        let trial = Self { logic, memory, scratches, connections: BTreeMap::new() };
        if let Some(lane) = trial.scratches.iter().position(|scratch| scratch.is_null()) {
            let message = format!("the library could not make a scratch for lane {lane}");
            return Err(Refusal::new(Code::AttachFailed, message));
        }
        check("init", logic.init()(trial.scratches[0]), Code::AttachFailed, "")?;
        settings.iter().try_for_each(|words| trial.configure(words))?;
        let databases = number(&memory.roots.shared().config, id::DATABASES).max(1);
        let made = memory.roots.create_databases(databases);
        made.map_err(|_| Refusal::new(Code::Io, "the trial's arena is full"))?;
        Ok(trial)
    }

    /// Applies a setting: its name, then its values.
    ///
    /// # Errors
    /// `battery_failed` if the library does not take it.
    pub fn configure(&self, words: &[String]) -> Result<(), Refusal> {
        let Some((name, values)) = words.split_first() else { return Ok(()) };
        let values: Vec<RStr<'_>> = values.iter().map(|value| RStr::from_str(value)).collect();
        let mut error = RawBytes::EMPTY;
        let values = RSlice::from_slice(&values);
        let scratch = self.scratches[0];
        let status = self.logic.configure()(scratch, RStr::from_str(name), values, &mut error);
        check(&format!("configure {name}"), status, Code::BatteryFailed, &text_of(&error))
    }

    /// Has a connection send bytes, and everybody hear what follows from them.
    ///
    /// # Errors
    /// `load_panicked`, `battery_failed` for a call that did not end well.
    pub fn send(&mut self, number: u8, bytes: &[u8]) -> Result<(), Refusal> {
        let lane = self.open(number)?;
        let client = self.client(number);
        input::put(client, bytes).map_err(|_| Refusal::new(Code::Io, "the arena is full"))?;
        loop {
            let (logic, scratch) = (self.logic, self.scratches[lane as usize]);
            let status = logic.process()(scratch, Ptr::from_raw(self.client(number)));
            check("process", status, Code::BatteryFailed, "")?;
            if self.client(number).flags.load(Ordering::Relaxed) & flag::MORE_INPUT == 0 {
                break;
            }
        }
        self.settle()
    }

    /// What a connection was sent since the last look.
    pub fn unread(&mut self, number: u8) -> Vec<u8> {
        let open = self.connections.get_mut(&number);
        open.map_or_else(Vec::new, |open| std::mem::take(&mut open.unread))
    }

    /// The first bytes of what a connection was sent since the last look, so many at most. If that
    /// is nothing and it waits until some time, that comes first.
    ///
    /// # Errors
    /// As [`Trial::send`].
    pub fn hear(&mut self, number: u8, bytes_max: usize) -> Result<Vec<u8>, Refusal> {
        self.run_out(number)?;
        let Some(open) = self.connections.get_mut(&number) else { return Ok(Vec::new()) };
        let heard = open.unread.len().min(bytes_max);
        Ok(open.unread.drain(..heard).collect())
    }

    /// Lets the time of a connection come that waits until then.
    fn run_out(&mut self, number: u8) -> Result<(), Refusal> {
        let Some(open) = self.connections.get_mut(&number) else { return Ok(()) };
        let deadline_ms = open.connection.client().deadline_ms;
        if deadline_ms == 0 || !open.unread.is_empty() {
            return Ok(());
        }
        let left_us = (deadline_ms * 1000).saturating_sub(calls::unix_us());
        std::thread::sleep(Duration::from_micros(left_us));
        let (scratch, client) = (self.scratches[open.lane as usize], open.connection.client());
        let status = self.logic.deadline()(scratch, Ptr::from_raw(client));
        check("deadline", status, Code::BatteryFailed, "")?;
        self.settle()
    }

    /// Closes all connections and lets every lane do what it does from time to time.
    ///
    /// # Errors
    /// As [`Trial::send`].
    pub fn rest(&mut self) -> Result<(), Refusal> {
        let numbers: Vec<u8> = self.connections.keys().copied().collect();
        for number in numbers {
            self.close(number, close_reason::PEER)?;
        }
        for lane in 0..self.scratches.len() {
            let status = self.logic.tick()(self.scratches[lane], lane as u32);
            check("tick", status, Code::BatteryFailed, "")?;
        }
        self.settle()
    }

    /// Delivers mail and runs jobs until there are none, takes what connections are sent, and
    /// closes those that are to end.
    fn settle(&mut self) -> Result<(), Refusal> {
        for _ in 0..MAIL_ROUNDS_MAX {
            let (mail, jobs) = self.memory.take();
            if mail.is_empty() && jobs.is_empty() {
                return self.take_output();
            }
            for (to, message) in mail {
                let delivered = self.deliver(to, message);
                drop_message(message);
                delivered?;
            }
            // As in a server: a lane that no connection is on.
            let background = *self.scratches.last().expect("a server has a lane");
            for job in jobs {
                let status = self.logic.background()(background, &job);
                check("background", status, Code::BatteryFailed, "")?;
            }
        }
        let message = "clients of the library have mail for each other without end";
        Err(Refusal::new(Code::BatteryFailed, message))
    }

    fn deliver(&mut self, to: u64, message: Ptr<abi::message::Message>) -> Result<(), Refusal> {
        let Some(open) = self.connections.values_mut().find(|open| open.id == to) else {
            return Ok(());
        };
        let (scratch, client) = (self.scratches[open.lane as usize], open.connection.client());
        // SAFETY: the mail holds a reference until `drop_message`.
        let message = unsafe { &*message.as_ptr() };
        let status = self.logic.deliver()(scratch, Ptr::from_raw(client), message);
        check("deliver", status, Code::BatteryFailed, "")?;
        let status = self.logic.process()(scratch, Ptr::from_raw(client));
        check("process", status, Code::BatteryFailed, "")
    }

    fn take_output(&mut self) -> Result<(), Refusal> {
        let mut closing = Vec::new();
        for (number, open) in &mut self.connections {
            let client = open.connection.client();
            open.unread.extend(output::take(client));
            let ends = flag::KILLED | flag::CLOSE_AFTER_REPLY;
            if client.flags.load(Ordering::Relaxed) & ends != 0 && open.unread.is_empty() {
                closing.push(*number);
            }
        }
        closing.into_iter().try_for_each(|number| self.close(number, close_reason::LOGIC))
    }

    /// Opens a connection, unless it is open; returns its lane.
    fn open(&mut self, number: u8) -> Result<u32, Refusal> {
        if let Some(open) = self.connections.get(&number) {
            return Ok(open.lane);
        }
        let lane = u32::from(number - 1) % self.scratches.len() as u32;
        let table = &self.memory.table;
        let id = table.next_id();
        let accepted = Accepted {
            id,
            fd: nothing()?,
            peer: "127.0.0.1:1".to_owned(),
            local: "127.0.0.1:2".to_owned(),
            unix: false,
            from_here: true,
        };
        let opened = open::open(table, accepted, lane, calls::unix_us() / 1000);
        let connection = opened.map_err(|_| Refusal::new(Code::Io, "the arena is full"))?;
        table.enter(u32::MAX);
        self.connections.insert(number, Open { id, connection, lane, unread: Vec::new() });
        let (logic, scratch) = (self.logic, self.scratches[lane as usize]);
        let status = logic.client_open()(scratch, Ptr::from_raw(self.client(number)));
        check("client_open", status, Code::BatteryFailed, "")?;
        Ok(lane)
    }

    /// Ends a connection, if it is open, whatever it waits for.
    ///
    /// # Errors
    /// As [`Trial::send`].
    pub fn hang_up(&mut self, number: u8) -> Result<(), Refusal> {
        self.close(number, close_reason::PEER)?;
        self.settle()
    }

    fn close(&mut self, number: u8, reason: u32) -> Result<(), Refusal> {
        let Some(Open { mut connection, lane, .. }) = self.connections.remove(&number) else {
            return Ok(());
        };
        self.memory.table.remove(connection.table_slot);
        let scratch = self.scratches[lane as usize];
        let status = self.logic.client_close()(scratch, Ptr::from_raw(connection.client()), reason);
        open::close(connection);
        self.memory.table.leave();
        check("client_close", status, Code::BatteryFailed, "")
    }

    fn client(&mut self, number: u8) -> &mut Client {
        self.connections.get_mut(&number).expect("it was opened before").connection.client()
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        for scratch in self.scratches.drain(..).filter(|scratch| !scratch.is_null()) {
            self.logic.scratch_drop()(scratch);
        }
    }
}

/// Refuses a library whose call did not end well. `text` is what it says itself, if anything.
pub(super) fn check(what: &str, status: Status, code: Code, text: &str) -> Result<(), Refusal> {
    let text = if text.is_empty() { String::new() } else { format!(": {text}") };
    match status {
        Status::OK => Ok(()),
        Status::PANICKED => {
            Err(Refusal::new(Code::LoadPanicked, format!("the library panicked in {what}{text}")))
        }
        Status(number) => {
            Err(Refusal::new(code, format!("{what} ended with status {number}{text}")))
        }
    }
}

/// The text a library left in memory of the stand-in host's. Not freed: this process ends soon.
pub(super) fn text_of(text: &RawBytes) -> String {
    if text.data.is_null() {
        return String::new();
    }
    // SAFETY: the library says that so many bytes are there.
    let bytes = unsafe { std::slice::from_raw_parts(text.data.as_ptr(), text.len as usize) };
    String::from_utf8_lossy(bytes).into_owned()
}

/// A descriptor for a connection that has no socket.
fn nothing() -> Result<OwnedFd, Refusal> {
    let file = File::open("/dev/null");
    file.map(OwnedFd::from).map_err(|e| Refusal::new(Code::Io, format!("/dev/null: {e}")))
}
