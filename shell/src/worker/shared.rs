//! What the threads of a running server share.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use abi::aof::Aof;
use abi::client_ref::ClientRef;
use abi::config::{ConfigStore, id};
use abi::effects::EffectsStream;
use abi::job::{Job, kind};
use abi::lane::Running;
use abi::message::Message;
use abi::ptr::Ptr;
use abi::shared::Shared;
use abi::stats::LaneStats;
use abi::status::Status;
use mio::Registry;
use tokio::sync::Notify;

use super::background::Jobs;
use super::listeners::Listeners;
use super::mailbox::Mailbox;
use crate::arena::NoMemory;
use crate::arena::roots::Roots;
use crate::client::limits::number;
use crate::client::message::drop_message;
use crate::client::table::Table;

static SERVER: OnceLock<ServerShared> = OnceLock::new();

/// The server of this process, once it has been started. Logic may call the host before.
pub fn get() -> Option<&'static ServerShared> {
    SERVER.get()
}

/// Makes `server` the one of this process. A process serves once.
pub fn install(server: ServerShared) -> &'static ServerShared {
    assert!(SERVER.set(server).is_ok(), "a server was started in this process before");
    SERVER.get().expect("it was set just now")
}

const RUNNING: u32 = 0;
const STOPPING: u32 = 1;
const STOPPING_NOW: u32 = 2;
/// Workers rest: the server is about to be another process's, or goes on.
const RESTING: u32 = 3;

/// What a lane is at.
pub struct Runs {
    /// The command's name; none while names are being added.
    pub command: Option<String>,
    /// The client whose command it is.
    pub client: u64,
}

/// What the threads share. Lives as long as the process.
pub struct ServerShared {
    mailboxes: Box<[Mailbox]>,
    table: Table,
    roots: Roots,
    listeners: Listeners,
    jobs: Jobs,
    config_file: Option<PathBuf>,
    passed_over: OnceLock<Vec<String>>,
    /// 1 while logic is at what is to be done before a stop that a signal has asked for.
    signalled: AtomicU32,
    asked_to_stop: AtomicU32,
    stopping: AtomicU32,
    stop_asked: Notify,
}

impl ServerShared {
    /// What is shared by workers with these mailboxes, whose polls have these registries.
    pub fn new(
        mailboxes: Box<[Mailbox]>,
        roots: Roots,
        registries: Box<[Registry]>,
        config_file: Option<PathBuf>,
    ) -> Self {
        Self {
            mailboxes,
            // SAFETY: the roots have one just made, never freed, and this is the only handle.
            table: unsafe { Table::new(roots.clients()) },
            roots,
            listeners: Listeners::new(registries),
            jobs: Jobs::default(),
            config_file,
            passed_over: OnceLock::new(),
            signalled: AtomicU32::new(0),
            asked_to_stop: AtomicU32::new(RUNNING),
            stopping: AtomicU32::new(RUNNING),
            stop_asked: Notify::new(),
        }
    }

    /// The mailbox of a worker.
    pub fn mailbox(&self, worker: u32) -> &Mailbox {
        &self.mailboxes[worker as usize]
    }

    /// Workers.
    pub fn workers(&self) -> u32 {
        self.mailboxes.len() as u32
    }

    /// The lane for what is done beside a command: the last, behind those of workers, of the control
    /// thread and of the background threads.
    pub fn spare_lane(&self) -> u32 {
        self.roots.lanes() - 1
    }

    /// Makes the databases, as many as the settings say.
    pub fn create_databases(&self) -> Result<(), NoMemory> {
        self.roots.create_databases(number(self.config(), id::DATABASES).max(1))
    }

    /// The roots of the arena.
    pub fn roots(&self) -> &Roots {
        &self.roots
    }

    /// The table of clients.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The settings.
    pub fn config(&self) -> &'static ConfigStore {
        &self.roots.shared().config
    }

    /// What is neither a key nor a connection.
    pub fn roots_shared(&self) -> &'static Shared {
        self.roots.shared()
    }

    /// What is told of the append-only log.
    pub fn aof(&self) -> &'static Aof {
        self.roots.aof()
    }

    /// The effects stream.
    pub fn effects(&self) -> &'static EffectsStream {
        self.roots.effects()
    }

    /// Counters of a lane.
    pub fn lane_stats(&self, lane: u32) -> &'static LaneStats {
        &self.roots.lane(lane).stats
    }

    /// What a lane runs.
    pub fn running(&self, lane: u32) -> &'static Running {
        &self.roots.lane(lane).running
    }

    /// The command that a lane runs, if it is at one.
    pub fn runs(&self, lane: u32) -> Option<Runs> {
        let running = self.running(lane);
        // Stored last when a command begins: what is read after it belongs to it or to a later one.
        let slot = running.command.load(Ordering::Acquire).checked_sub(1)?;
        let client = ClientRef(running.client.load(Ordering::Relaxed)).id();
        Some(Runs { command: self.roots.command_name(slot), client })
    }

    /// The listening sockets.
    pub fn listeners(&self) -> &Listeners {
        &self.listeners
    }

    /// Work for the background threads.
    pub fn jobs(&self) -> &Jobs {
        &self.jobs
    }

    /// The configuration file.
    pub fn config_file(&self) -> Option<&PathBuf> {
        self.config_file.as_ref()
    }

    /// Keeps the names of the settings that logic passed over at the start.
    pub fn pass_over(&self, names: Vec<String>) {
        assert!(self.passed_over.set(names).is_ok(), "the server starts once");
    }

    /// Whether a setting of this name was passed over at the start.
    pub fn was_passed_over(&self, name: &str) -> bool {
        self.passed_over.get().is_some_and(|names| names.iter().any(|known| known == name))
    }

    /// The mailbox of the worker with the fewest clients, with one more counted. One that a long
    /// command holds up is chosen only if all are.
    pub fn least_loaded(&self, now_ms: u64) -> &Mailbox {
        let load = |mailbox: &&Mailbox| {
            (mailbox.is_held_up(now_ms), mailbox.clients().load(Ordering::Relaxed))
        };
        let mailbox = self.mailboxes.iter().min_by_key(load).expect("there is a worker");
        mailbox.clients().fetch_add(1, Ordering::Relaxed);
        mailbox
    }

    /// Queues a message for a client, taking over one of its references.
    pub fn post(&self, client: ClientRef, message: Ptr<Message>) {
        match self.mailboxes.get(client.worker() as usize) {
            Some(mailbox) => mailbox.post(client, message),
            None => drop_message(message),
        }
    }

    /// Has every worker look at its postponed clients.
    pub fn wake_workers(&self) {
        self.mailboxes.iter().for_each(Mailbox::wake_postponed);
    }

    /// A signal asks for a stop: logic says whether there is to be one, and when. A second one, while
    /// it is at that, stops the server at once.
    pub fn signalled(&self, signal: u64) {
        if self.signalled.swap(1, Ordering::SeqCst) != 0 {
            return self.ask_to_stop(true);
        }
        let job = Job { kind: kind::STOP, reserved: 0, arguments: [signal, 0, 0, 0, 0, 0] };
        if !self.jobs.submit(job) {
            self.ask_to_stop(false);
        }
    }

    /// Logic is done with what a signal has asked for; `status` is what it has said.
    pub fn signal_answered(&self, status: Status) {
        self.signalled.store(0, Ordering::SeqCst);
        if status == Status::REFUSED {
            self.ask_to_stop(false);
        }
    }

    /// Asks the control thread to stop the server; `now`: without waiting for output to drain.
    pub fn ask_to_stop(&self, now: bool) {
        let how = if now { STOPPING_NOW } else { STOPPING };
        self.asked_to_stop.fetch_max(how, Ordering::SeqCst);
        self.stop_asked.notify_one();
    }

    /// Completes when somebody has asked for a stop.
    pub async fn stop_asked(&self) {
        while self.asked_to_stop.load(Ordering::SeqCst) == RUNNING {
            self.stop_asked.notified().await;
        }
    }

    /// Stops accepting and lets all threads end.
    pub fn stop(&self) {
        self.listeners.close();
        let how = self.asked_to_stop.load(Ordering::SeqCst).max(STOPPING);
        self.stopping.fetch_max(how, Ordering::SeqCst);
        self.nudge_workers();
    }

    /// Has every worker go once around its loop.
    pub fn nudge_workers(&self) {
        self.mailboxes.iter().for_each(Mailbox::nudge);
    }

    /// Whether a long command keeps clients of some worker waiting.
    pub fn is_any_held_up(&self, now_ms: u64) -> bool {
        self.mailboxes.iter().any(|mailbox| mailbox.is_held_up(now_ms))
    }

    /// Whether the threads are to end, for the server does.
    #[inline]
    pub fn is_stopping(&self) -> bool {
        matches!(self.stopping.load(Ordering::Relaxed), STOPPING | STOPPING_NOW)
    }

    /// Whether the threads are to end, clients and all else staying as they are.
    pub fn is_resting(&self) -> bool {
        self.stopping.load(Ordering::Relaxed) == RESTING
    }

    /// Whether the threads are to end, for either reason.
    #[inline]
    pub fn rounds_are_over(&self) -> bool {
        self.stopping.load(Ordering::Relaxed) != RUNNING
    }

    /// Has the threads end or, if they have not all ended, go on. A server that stops does that.
    pub fn rest(&self, rests: bool) {
        let (from, to) = if rests { (RUNNING, RESTING) } else { (RESTING, RUNNING) };
        // It fails if the server stops.
        let _ = self.stopping.compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst);
        self.nudge_workers();
    }

    /// Whether they are to end without waiting.
    pub fn stops_now(&self) -> bool {
        self.asked_to_stop.load(Ordering::Relaxed) == STOPPING_NOW
    }
}
