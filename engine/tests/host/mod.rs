//! A server of one thread without sockets: the engine behind its door, with a host of functions
//! made for tests and benches. It also runs under Miri.

#![allow(dead_code, reason = "each of those who include it uses a part")]

pub mod table;

use std::alloc::{Layout, alloc_zeroed};
use std::mem::MaybeUninit;

use abi::arena::ArenaHeader;
use abi::client::{Client, ClientBlock, ClientShared, ClientTable, flag};
use abi::container::RawBytes;
use abi::effects::{Calls, Stream};
use abi::keyspace::{Keyspace, SHARDS, ShardDb, placement};
use abi::lane::Lane;
use abi::logic::Scratch;
use abi::ptr::Ptr;
use abi::shared::Shared;
use abi::status::Status;
use abi_stable::std_types::{RSlice, RStr};
use base::buffer::Buffer;
use base::bytes::take_text;
use base::heap::{Heap, testing};
use base::vec::Words;
use engine::exec::release::Release;
use engine::{api, command};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64};

static RELEASE: Release = Release {
    name: "test",
    version: "0.0.0",
    redis_version: "7.0.15",
    schema_level: abi::schema::LEVEL_1,
    revert: engine::value::hash::TimedBuf::forget_ends,
    changes: &[],
    commands: command::ALL,
    battery: engine::battery::ALL,
    differs: &[],
};

const DATABASES: usize = 2;

/// The server. Clients are named by numbers from 0 on, in the order in which they came.
pub struct Server {
    scratch: *mut Scratch,
    clients: Vec<*mut Client>,
    header: *mut ArenaHeader,
    parts: *mut [ShardDb; DATABASES * SHARDS],
}

/// The engine keeps what it hears of panics to itself until it catches them; a test's own are none
/// of its business.
fn show_panics() {
    let noted = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        eprintln!("{info}");
        noted(info);
    }));
}

/// A struct of zeros, to be freed as a `Box`.
///
/// # Safety
/// All zeros is valid for it.
unsafe fn zeroed<T>() -> *mut T {
    // SAFETY: no struct that is asked for has no size.
    unsafe { alloc_zeroed(Layout::new::<T>()).cast() }
}

/// A command, its words parted by single spaces, as a client sends it.
pub fn request(command: &str) -> Vec<u8> {
    let words: Vec<&str> = command.split(' ').collect();
    let mut request = format!("*{}\r\n", words.len());
    for word in words {
        request += &format!("${}\r\n{word}\r\n", word.len());
    }
    request.into_bytes()
}

impl Server {
    /// A server without keys and clients, with all commands of the engine.
    pub fn new() -> Self {
        Self::with(&RELEASE)
    }

    /// A server without keys and clients, with the commands of a release.
    pub fn with(release: &'static Release) -> Self {
        testing::allow_allocations(u64::MAX);
        // SAFETY: all zeros is valid for every root struct, and nobody else has these yet.
        let (header, parts) = unsafe {
            let header = zeroed::<ArenaHeader>();
            let (keyspace, shared) = (zeroed::<Keyspace>(), zeroed::<Shared>());
            let parts = zeroed::<[ShardDb; DATABASES * SHARDS]>();
            (*keyspace).databases = DATABASES as u32;
            (*keyspace).placement = placement::SEEDED;
            (*keyspace).schema.level = 2.into();
            for (index, shard) in (*keyspace).shards.iter_mut().enumerate() {
                shard.dbs = Ptr::from_raw(parts.cast::<ShardDb>().add(index * DATABASES));
            }
            (*shared).lanes[0] = Ptr::from_raw(zeroed::<Lane>());
            (*header).keyspace = Ptr::from_raw(keyspace);
            (*header).clients = Ptr::from_raw(zeroed::<ClientTable>());
            (*header).shared = Ptr::from_raw(shared);
            (*header).effects = Ptr::from_raw(Box::into_raw(Box::default()));
            (header, parts)
        };
        table::set_arena(header);
        // Refused from the second server of the process on, which has the same table.
        if api::attach(table::table()).is_ok() {
            show_panics();
        }
        let scratch = api::scratch_new(0, release);
        assert!(api::init(scratch).is_ok());
        Self { scratch, clients: Vec::new(), header, parts }
    }

    /// Runs on another release from now on, whose scratch this is. Returns the one until now.
    pub fn replace_scratch(&mut self, scratch: *mut Scratch) -> *mut Scratch {
        std::mem::replace(&mut self.scratch, scratch)
    }

    fn heap() -> Heap {
        Heap::of(table::table())
    }

    /// The effects stream. Nobody reads it yet.
    pub fn effects(&self) -> Stream<'static> {
        // SAFETY: made by `new`, and each test is done with it before the server goes. One thread.
        unsafe { Stream::new(&*(*self.header).effects.as_ptr(), Calls::from(table::table())) }
    }

    /// Sets a setting as the command line does.
    pub fn configure(&mut self, name: &str, value: &str) {
        self.configure_words(name, &[value]);
    }

    /// As [`Server::configure`], for one of several words.
    pub fn configure_words(&mut self, name: &str, values: &[&str]) {
        let mut error = RawBytes::EMPTY;
        let values: Vec<RStr<'_>> = values.iter().map(|value| RStr::from(*value)).collect();
        let values = RSlice::from_slice(&values);
        assert!(api::configure(self.scratch, name.into(), values, &mut error).is_ok());
    }

    /// Connects a client; returns its number.
    pub fn connect(&mut self) -> usize {
        let shared = ClientShared::new(self.clients.len() as u64 + 1, 0, -1);
        shared.flags.store(flag::LOCAL, Relaxed);
        // SAFETY: made just now. The address is entered before anybody looks.
        let client = unsafe {
            let (client, shared) = ClientBlock::init(Ptr::from_raw(zeroed()), shared);
            let table = (*self.header).clients.as_ptr();
            Words::new((*table).slots.get_mut(), Self::heap()).push(shared.address());
            client
        };
        assert!(api::client_open(self.scratch, client).is_ok());
        self.clients.push(client.as_ptr());
        self.clients.len() - 1
    }

    /// A client.
    pub fn client(&mut self, who: usize) -> &mut Client {
        // SAFETY: live until it is disconnected; the borrow keeps others away.
        unsafe { &mut *self.clients[who] }
    }

    /// Puts a command, its arguments separated by spaces, into a client's input.
    pub fn write(&mut self, who: usize, command: &str) {
        self.write_request(who, &request(command));
    }

    /// Puts requests, as a client sends them, into its input.
    pub fn write_request(&mut self, who: usize, request: &[u8]) {
        let client = self.client(who);
        Buffer::new(&mut client.input, Self::heap()).append(request);
    }

    /// Runs what is in a client's input.
    pub fn run(&mut self, who: usize) {
        let scratch = self.scratch;
        let client = self.client(who);
        loop {
            api::process(scratch, Ptr::from_raw(client));
            if client.flags.load(Relaxed) & flag::MORE_INPUT == 0 {
                return;
            }
        }
    }

    /// All that was written to a client since the last look. The output keeps its room, as that
    /// which a worker lends.
    pub fn read(&mut self, who: usize) -> String {
        let mut output = Buffer::new(&mut self.client(who).output, Self::heap());
        let text = String::from_utf8_lossy(output.as_slice()).into_owned();
        output.consume(usize::MAX);
        text
    }

    /// What a client reads after a command.
    pub fn say(&mut self, who: usize, command: &str) -> String {
        self.write(who, command);
        self.run(who);
        self.read(who)
    }

    /// Lets values of a few elements take the forms of large ones, and nothing be noted beside them.
    pub fn keep_values_small(&mut self) {
        for (name, value) in [
            ("latency-tracking", "no"),
            ("slowlog-log-slower-than", "-1"),
            ("enable-debug-command", "yes"),
            ("hash-max-listpack-entries", "4"),
            ("zset-max-listpack-entries", "4"),
            ("set-max-intset-entries", "4"),
            ("list-max-listpack-size", "5"),
            ("stream-node-max-entries", "4"),
        ] {
            self.configure(name, value);
        }
    }

    /// Does what is done from time to time.
    pub fn tick(&mut self) {
        assert!(api::tick(self.scratch, 0).is_ok());
    }

    /// Does the jobs that were handed over since the last look.
    pub fn do_jobs(&mut self) {
        let jobs = table::take_jobs();
        jobs.iter().for_each(|job| assert!(api::background(self.scratch, job).is_ok()));
    }

    /// Loads a file as at the start. The error says why that ended, or with which status.
    pub fn load(&mut self, file: &[u8]) -> Result<(), String> {
        table::set_file(file.to_vec());
        let scratch = self.scratch;
        let told = |status: Status, mut error: RawBytes| match status {
            Status::OK => Ok(()),
            Status::FAILED => Err(take_text(&mut error, Self::heap())),
            Status(number) => Err(format!("status {number}")),
        };
        let mut error = RawBytes::EMPTY;
        told(api::load_begin(scratch, &mut error), error)?;
        let mut outcome = Ok(());
        while outcome.is_ok() {
            match api::load_piece(scratch) {
                Status::NOT_FOUND => break,
                other => outcome = told(other, RawBytes::EMPTY),
            }
        }
        let mut error = RawBytes::EMPTY;
        let ended = api::load_end(scratch, &mut error);
        outcome.and(told(ended, error))
    }

    /// Whether a file is being loaded: one of `abi::loading::stage`.
    pub fn stage(&self) -> &AtomicU32 {
        // SAFETY: made by `new`, and all atomics.
        unsafe { &(*(*self.header).shared.as_ptr()).loading.stage }
    }

    /// What commands have to look at before they run.
    pub fn attention(&self) -> &AtomicU64 {
        // SAFETY: as in `stage`.
        unsafe { &(*(*self.header).shared.as_ptr()).attention }
    }

    /// What a check of a file reports.
    pub fn check(&mut self, file: &[u8]) -> Result<String, String> {
        table::set_file(file.to_vec());
        let mut report = RawBytes::EMPTY;
        let status = api::check_file(self.scratch, "a".into(), &mut report);
        let text = take_text(&mut report, Self::heap());
        if status.is_ok() { Ok(text) } else { Err(text) }
    }

    /// Delivers all mail, as the worker does between batches.
    pub fn deliver(&mut self) {
        loop {
            let mail = table::take_mail();
            if mail.is_empty() {
                return;
            }
            for (to, message) in mail {
                if let Some(who) = self.clients.iter().position(|c| Self::is(*c, to.id())) {
                    let scratch = self.scratch;
                    // SAFETY: the mail holds a reference until it is dropped.
                    let content = unsafe { &*message.as_ptr() };
                    api::deliver(scratch, Ptr::from_raw(self.client(who)), content);
                }
                table::drop_message(message);
            }
        }
    }

    fn is(client: *mut Client, id: u64) -> bool {
        // SAFETY: not null, so connected.
        !client.is_null() && unsafe { &*client }.id == id
    }

    /// Ends a connection.
    pub fn disconnect(&mut self, who: usize) {
        let place = std::mem::replace(&mut self.clients[who], std::ptr::null_mut());
        if place.is_null() {
            return;
        }
        // SAFETY: made by `connect`, and out of both tables before it is freed.
        unsafe {
            assert!(api::client_close(self.scratch, Ptr::from_raw(place), 0).is_ok());
            let table = (*self.header).clients.as_ptr();
            Words::new((*table).slots.get_mut(), Self::heap()).as_mut_slice()[who] = 0;
            Buffer::new(&mut (*place).input, Self::heap()).free();
            Buffer::new(&mut (*place).output, Self::heap()).free();
            drop(Box::from_raw(place.cast::<MaybeUninit<ClientBlock>>()));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        testing::allow_allocations(u64::MAX);
        (0..self.clients.len()).for_each(|who| self.disconnect(who));
        self.deliver();
        api::scratch_drop(self.scratch);
        table::set_arena(std::ptr::null_mut());
        // SAFETY: made by `new`; the engine has forgotten them with the scratch.
        unsafe {
            let header = Box::from_raw(self.header);
            drop(Box::from_raw(header.effects.as_ptr()));
            drop(Box::from_raw(header.keyspace.as_ptr()));
            drop(Box::from_raw(header.clients.as_ptr()));
            let shared = Box::from_raw(header.shared.as_ptr());
            drop(Box::from_raw(shared.lanes[0].as_ptr()));
            drop(Box::from_raw(self.parts));
        }
    }
}
