//! Starting the server, and stopping it: makes the state, wires the threads, joins them.

mod code_pages;
pub mod control;
pub mod exit;
pub mod hand_over;
mod heir;
pub mod limits;
mod loading;
pub mod settings;
mod threads;
mod title;

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use abi::config::id;
use abi::container::RawBytes;
use abi::logic::{LogicRef, Scratch};
use abi::stats::LANES_MAX;
use abi_stable::std_types::{RSlice, RStr};
use mio::{Poll, Waker};

use crate::aof;
use crate::arena::roots::Roots;
use crate::arena::{self, ArenaError, NoMemory, huge};
use crate::backup;
use crate::client::limits::number;
use crate::client::listen::{self, ListenError};
use crate::config::Setting;
use crate::keeper::program::Program;
use crate::keeper::{board, guard};
use crate::log;
use crate::logic::generation::Generation;
use crate::logic::roster::{self, Online, Roster};
use crate::process::startup::Startup;
use crate::recovery::clients::Clients;
use crate::recovery::descriptors;
use crate::worker::mailbox::Mailbox;
use crate::worker::shared::{self, ServerShared};
use crate::worker::{background, clock, event, held_up};
use control::Ended;
use loading::Loader;
use threads::Threads;

/// Most workers: lanes are also needed for the control thread, the background threads, and what is
/// done beside a command.
pub const WORKERS_MAX: u32 = LANES_MAX as u32 - 2 - background::THREADS_MIN;

/// What a server is started with.
#[derive(Debug, Default)]
pub struct Options {
    /// Workers; 0: one per core.
    pub workers: u32,
    /// Where `CONFIG REWRITE` writes to.
    pub config_file: Option<PathBuf>,
    /// Settings, to be applied in this order.
    pub settings: Vec<Setting>,
    /// The memory that holds all state.
    pub arena: arena::Options,
    /// Whether it is checked once more after a recovery.
    pub checks_arena: bool,
    /// Who waits for the server to be ready.
    pub startup: Startup,
    /// What is run when this is to go on as another process.
    pub program: Option<Program>,
}

/// Why the server did not start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The system allows too little.
    #[error(transparent)]
    Limit(#[from] limits::LimitError),
    /// There is no arena to be had.
    #[error(transparent)]
    Arena(#[from] ArenaError),
    /// The arena is too small for the server itself.
    #[error(
        "the arena is too small to start a server in; give it more address space, or its file more space on disk"
    )]
    NoMemory,
    /// More workers than lanes.
    #[error("{0} workers are too many; use at most {WORKERS_MAX}")]
    TooManyWorkers(u32),
    /// The first logic did not load.
    #[error("cannot load the logic: {0}")]
    Logic(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The logic did not set up a new arena.
    #[error("the logic failed to set up a new arena (status {0}); use another build of it")]
    Init(u32),
    /// Logic refused a setting.
    #[error("{origin}: '{line}': {reason}")]
    Setting {
        /// Where it was given.
        origin: String,
        /// Which, and the values.
        line: String,
        /// What is wrong with it.
        reason: String,
    },
    /// What the server before has left cannot be gone on with.
    #[error("cannot go on with what the server before has left: {0}; start another one")]
    Unusable(String),
    /// Another server goes on meanwhile.
    #[error("this server was not ready in time; the one before goes on")]
    Late,
    /// The data cannot be loaded.
    #[error("cannot load the data: {0}")]
    Data(String),
    /// The working directory cannot be used.
    #[error("{0}; check --dir")]
    Dir(String),
    /// There is nowhere to listen.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The system refused a thread, a poll or a signal handler.
    #[error("cannot run the server's threads: {0}; check the limits of processes and files")]
    Threads(#[from] io::Error),
    /// A second signal ended it while threads had not ended.
    #[error("ended by a second signal, with what still ran: {0}")]
    Stuck(String),
    /// A worker ended although nobody asked for it.
    #[error("worker {0} failed; its log lines say why")]
    WorkerFailed(u32),
}

impl From<NoMemory> for ServeError {
    fn from(_: NoMemory) -> Self {
        Self::NoMemory
    }
}

/// What [`run`] asks its caller for.
pub trait Outfit {
    /// Loads the first logic, with scratches for `lanes` lanes and the number
    /// [`crate::logic::generation::FIRST`]: the first of `images` that can be, or if there is none the one that was
    /// named. The arena's roots exist. `attached` is called once it is attached, before it has a scratch.
    fn load(
        &mut self,
        lanes: usize,
        images: &[PathBuf],
        attached: &mut dyn FnMut(LogicRef) -> Result<(), LoadError>,
    ) -> Result<Arc<Generation>, LoadError>;

    /// What the control thread serves until the server stops. The server listens already.
    fn services(&mut self, server: &'static ServerShared) -> impl Future<Output = ()>;
}

/// Why the first logic did not load.
pub type LoadError = Box<dyn std::error::Error + Send + Sync>;

/// Serves until a signal, or logic, asks for a stop. Once a process.
pub fn run(options: Options, outfit: &mut impl Outfit) -> Result<(), ServeError> {
    let workers = worker_count(options.workers)?;
    let background = background::threads(workers);
    let lanes = lanes(options.workers)? as usize;
    limits::check(workers)?;
    let _watch = exit::Watch::begin()?;
    let started = match descriptors::take() {
        None => begin(&options, workers, lanes, outfit)?,
        Some(left) => heir::go_on(left, &options, workers, lanes, outfit)?,
    };
    let Started { server, polls, clients } = started;
    server.listeners().listen(&settings::endpoints(server.config()))?;
    listen::give_up_inherited();
    code_pages::release();
    title::show(server);
    // Who is told that it is ready may ask for a stop at once.
    let hearing = control::Control::new()?;
    let startup = Arc::new(Mutex::new(options.startup));
    let ready = when_ready(server, &startup);
    if clients.is_some() && board::get().is_some_and(|board| !board.serves()) {
        return Err(ServeError::Late);
    }
    let loader = match begin_loading(server, background, Box::new(ready), &clients)? {
        Ok(loader) => Some(Arc::new(loader)),
        Err(ready) => {
            ready();
            None
        }
    };
    let is_heir = clients.is_some();
    let threads = Threads::spawn(server, polls, background, loader, clients)?;
    if is_heir {
        // Who was put off is to try again.
        server.wake_workers();
    }
    keep_kept(server, options.program, &startup)?;
    let ended = control::run(hearing, server, outfit.services(server), threads, || {
        locked(&startup).stopping();
    })?;
    match ended {
        // What it has left goes when the threads are done.
        Ended::Stopped(outcome) => {
            drop(startup);
            tracing::info!("stopped");
            outcome
        }
        Ended::Rests(resting) => {
            tracing::info!("hands over");
            resting.hand_over()
        }
        Ended::Stuck => {
            let error = ServeError::Stuck(held_up::told(&held_up::all()));
            tracing::error!("{error}");
            Err(error)
        }
    }
}

/// Sees to it that a server that is kept stays so, and that whoever supervises it hears whether workers
/// move.
fn keep_kept(
    server: &'static ServerShared,
    program: Option<Program>,
    startup: &Arc<Mutex<Startup>>,
) -> Result<(), ServeError> {
    if let Some((board, program)) = board::get().zip(program) {
        board.note_served();
        return Ok(guard::start(board, program, |limit| held_up::none_for(server, limit))?);
    }
    let Some(every) = locked(startup).watchdog() else { return Ok(()) };
    let startup = Arc::clone(startup);
    let body = move || {
        loop {
            thread::sleep(every / 4);
            if held_up::none_for(server, every / 2) {
                locked(&startup).alive();
            }
        }
    };
    thread::Builder::new().name("watchdog".into()).spawn(body)?;
    Ok(())
}

/// What a server begins with.
struct Started {
    server: &'static ServerShared,
    polls: Vec<Poll>,
    /// The clients of the server before, if there was one.
    clients: Option<Clients>,
}

/// Begins with an arena of its own.
fn begin(
    options: &Options,
    workers: u32,
    lanes: usize,
    outfit: &mut impl Outfit,
) -> Result<Started, ServeError> {
    let arena = arena::create(&options.arena)?;
    if let Some(board) = board::get() {
        board.note_arena(arena.fd());
    }
    arena::bind_thread(workers);
    let roots = Roots::create(arena, lanes, clock::unix_ms())?;
    let (server, polls) = make_shared(workers, roots, options.config_file.clone())?;
    let first = outfit.load(lanes, &[], &mut |_| Ok(())).map_err(ServeError::Logic)?;
    roster::publish(Roster::new(first, None));
    configure(server, workers, &options.settings)?;
    server.create_databases()?;
    Ok(Started { server, polls, clients: None })
}

/// Begins to load what there is; a server that goes on for another has all of it, and an append-only log
/// begins with that anew.
fn begin_loading(
    server: &'static ServerShared,
    background: u32,
    ready: loading::WhenDone,
    clients: &Option<Clients>,
) -> Result<Result<Loader, loading::WhenDone>, ServeError> {
    let Some(clients) = clients else { return loading::begin(server, background, ready) };
    if aof::is_asked_for(server.config()) {
        let begun = if clients.is_whole { go_on_with_log(server) } else { aof::changed(server) };
        begun.map_err(ServeError::Data)?;
    }
    Ok(Err(ready))
}

/// Goes on with the append-only log, in which all is that the server before has done.
fn go_on_with_log(server: &'static ServerShared) -> Result<(), String> {
    let found = aof::load::find(aof::disk(), &aof::place(server.config()));
    aof::go_on(server, found.map_err(|error| error.to_string())?.files)
}

/// Tells who waits that clients are served.
fn when_ready(
    server: &'static ServerShared,
    startup: &Arc<Mutex<Startup>>,
) -> impl FnOnce() + Send + use<> {
    let startup = Arc::clone(startup);
    move || {
        let (workers, port) = (server.workers(), server.listeners().port());
        // These words, as tools wait for them in the log of a server they start.
        tracing::info!(workers, port, "Ready to accept connections");
        locked(&startup).ready();
    }
}

fn locked(startup: &Mutex<Startup>) -> MutexGuard<'_, Startup> {
    startup.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lanes of a server that is asked for so many workers.
///
/// # Errors
/// `TooManyWorkers`
pub fn lanes(asked: u32) -> Result<u32, ServeError> {
    let workers = worker_count(asked)?;
    Ok(workers + 2 + background::threads(workers))
}

fn worker_count(asked: u32) -> Result<u32, ServeError> {
    match asked {
        0 => {
            let cores = thread::available_parallelism().map_or(1, |n| n.get() as u32);
            Ok(cores.min(WORKERS_MAX))
        }
        n if n > WORKERS_MAX => Err(ServeError::TooManyWorkers(n)),
        n => Ok(n),
    }
}

fn make_shared(
    workers: u32,
    roots: Roots,
    config_file: Option<PathBuf>,
) -> Result<(&'static ServerShared, Vec<Poll>), ServeError> {
    let polls = (0..workers).map(|_| Poll::new()).collect::<io::Result<Vec<_>>>()?;
    let mailboxes = polls
        .iter()
        .map(|poll| Ok(Mailbox::new(Waker::new(poll.registry(), event::MAIL)?)))
        .collect::<io::Result<_>>()?;
    let registries =
        polls.iter().map(|poll| poll.registry().try_clone()).collect::<io::Result<_>>()?;
    Ok((shared::install(ServerShared::new(mailboxes, roots, registries, config_file)), polls))
}

/// Lets logic set up the arena and apply all settings, then acts on those that are the shell's.
fn configure(server: &ServerShared, lane: u32, given: &[Setting]) -> Result<(), ServeError> {
    let mut online = Online::enter(lane);
    let generation = online.generation();
    let (logic, scratch) = (generation.logic(), generation.scratch(lane));
    let status = logic.init()(scratch);
    if !status.is_ok() {
        return Err(ServeError::Init(status.0));
    }
    let mut passed_over = BTreeMap::new();
    for setting in given {
        // The last line of a name is the one that holds.
        match configure_one(logic, scratch, setting)? {
            Some(why) => passed_over.insert(setting.name.as_str(), (setting, why)),
            None => passed_over.remove(setting.name.as_str()),
        };
        match setting.name.as_str() {
            // At once: what is read after it may be named relative to it.
            "dir" => settings::enter_dir(server.config()).map_err(ServeError::Dir)?,
            "backup-schedule" => {
                let checked = backup::check_schedule(server.config());
                checked.map_err(|reason| refused(setting, reason))?;
            }
            _ => {}
        }
    }
    for (name, (setting, why)) in &passed_over {
        tracing::warn!("{}: {name} has no effect: {why}", setting.origin);
    }
    server.pass_over(passed_over.into_keys().map(str::to_owned).collect());
    obey_settings(server);
    Ok(())
}

/// Acts on the settings that are the shell's, but for where to listen.
fn obey_settings(server: &ServerShared) {
    log::set_level(number(server.config(), id::LOGLEVEL));
    huge::want(number(server.config(), id::ARENA_HUGE_PAGES) != 0);
    settings::fit_clients(server);
    if let Err(error) = settings::set_oom_score(server.config()) {
        tracing::warn!(%error, "cannot change oom_score_adj");
    }
}

/// Applies a setting. Returns why it was passed over, if it was.
fn configure_one(
    logic: LogicRef,
    scratch: *mut Scratch,
    setting: &Setting,
) -> Result<Option<String>, ServeError> {
    // Fields of a line, which hold spaces by their nature, need no quotes.
    let line = (setting.name == "backup-schedule").then(|| vec![setting.values.join(" ")]);
    let given = line.as_ref().unwrap_or(&setting.values);
    let values: Vec<RStr<'_>> = given.iter().map(|v| RStr::from_str(v)).collect();
    let mut error = RawBytes::EMPTY;
    let name = RStr::from_str(&setting.name);
    let status = logic.configure()(scratch, name, RSlice::from_slice(&values), &mut error);
    let reason = take_text(error);
    if status.is_ok() {
        return Ok(Some(reason).filter(|reason| !reason.is_empty()));
    }
    let reason = if reason.is_empty() { format!("refused (status {})", status.0) } else { reason };
    Err(refused(setting, reason))
}

fn refused(setting: &Setting, reason: String) -> ServeError {
    ServeError::Setting { origin: setting.origin.clone(), line: setting.to_string(), reason }
}

/// Turns a text from logic into one of our own and frees it.
pub fn take_text(bytes: RawBytes) -> String {
    if bytes.capacity == 0 {
        return String::new();
    }
    // SAFETY: logic filled it in: `len` bytes of an allocation that is now ours.
    let text = unsafe { std::slice::from_raw_parts(bytes.data.as_ptr(), bytes.len as usize) };
    let owned = String::from_utf8_lossy(text).into_owned();
    // SAFETY: ours, as above, and not used after this.
    unsafe { arena::free(bytes.data.address(), bytes.capacity) };
    owned
}
