//! What the server is given beside its settings: the first logic, and the services of its control
//! thread.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use abi::logic::LogicRef;

use crate::admin::socket::Socket;
use crate::admin::{self, Context};
use crate::backup;
use crate::exchange;
use crate::host;
use crate::keeper::program::Program;
use crate::logic;
use crate::logic::Loaded;
use crate::logic::generation::{self, Counts, Generation};
use crate::logic::image::Image;
use crate::logic::verify::parent::Verifier;
use crate::metrics;
use crate::refusal::{Code, Refusal};
use crate::server::{LoadError, Outfit};
use crate::upgrade::audit::Audit;
use crate::upgrade::driver::Driver;
use crate::upgrade::journal::{self, Keeper};
use crate::upgrade::replace::carried::Carried;
use crate::upgrade::serving::Live;
use crate::upgrade::staging::Setup;
use crate::upgrade::{replace, wire};
use crate::worker::shared::ServerShared;

/// The parts of a real server.
pub struct Parts {
    logic: PathBuf,
    verifier: Verifier,
    admin: Socket,
    metrics: Option<TcpListener>,
    proving: Proving,
    program: Option<Program>,
    first: Option<First>,
    carried: Option<Carried>,
}

/// How upgrades prove themselves.
#[derive(Debug, Clone, Default)]
pub struct Proving {
    /// For how long they are on probation if they do not say.
    pub probation: Duration,
    /// Where it is written down what serves.
    pub folder: PathBuf,
}

/// What the server has started with.
struct First {
    live: Live,
    lanes: usize,
    /// The digest of the library that was given.
    given_sha256: String,
    note: Option<String>,
}

impl Parts {
    /// A server that starts with the library at `logic`, or the one that has served last in its place,
    /// and is administered at `admin`.
    pub fn new(logic: PathBuf, verifier: Verifier, admin: Socket, proving: Proving) -> Self {
        let (program, carried) = (None, replace::carried::read());
        Self { logic, verifier, admin, metrics: None, proving, program, first: None, carried }
    }

    /// It can be replaced by another build of this program.
    #[must_use]
    pub fn with_program(self, program: Option<Program>) -> Self {
        Self { program, ..self }
    }

    /// It tells of itself at this socket too.
    #[must_use]
    pub fn with_metrics(self, metrics: Option<TcpListener>) -> Self {
        Self { metrics, ..self }
    }

    /// The library to start with, loaded. One that the journal names and that cannot be loaded is no
    /// reason not to start.
    fn load_first(&self, lanes: usize) -> Result<(Box<Generation>, Option<String>), LoadError> {
        let start = |path: &Path, sha256: Option<&str>| {
            logic::start(path, sha256, host::table(), lanes, &self.verifier)
        };
        let chosen = journal::choose(&self.proving.folder, &self.logic);
        if let Ok(chosen) = &chosen {
            // Nothing is in the arena yet.
            let schema = logic::level::schema(host::table());
            schema.level.store(chosen.schema_level.into(), Ordering::Relaxed);
        }
        let said = match chosen {
            Ok(chosen) => match (start(&chosen.path, chosen.sha256.as_deref()), chosen.note) {
                (Ok(generation), note) => {
                    note.iter().for_each(|note| tracing::warn!("{note}"));
                    return Ok((generation, note));
                }
                (Err(refusal), _) if chosen.path == self.logic => return Err(refusal.into()),
                (Err(refusal), _) => refusal.to_string(),
            },
            Err(error) => error.to_string(),
        };
        let note = format!("the library given serves, whatever has served last: {said}");
        tracing::error!("{note}");
        Ok((start(&self.logic, None)?, Some(note)))
    }
}

/// Loads the library that served last, of which the server before has told. It was tried by this very
/// program, while that one served.
fn load_carried(image: &Path, carried: &Carried) -> Result<Loaded, Refusal> {
    let memory = File::open(image).map_err(|e| Refusal::new(Code::Io, e.to_string()))?;
    let sha256 = carried.verdict.identity.sha256.clone();
    let (source, signature) = (carried.source.clone(), carried.signature.clone());
    let image = Image::carried(memory, sha256, source, signature)?;
    Loaded::load(Arc::new(image), &carried.verdict, host::table())
}

/// Loads the first library that can be loaded.
fn load_any(paths: &[PathBuf], verifier: &Verifier) -> Result<Loaded, Refusal> {
    let mut refusal = None;
    for path in paths {
        match logic::load(path, None, host::table(), verifier) {
            Ok(loaded) => return Ok(loaded),
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "cannot load a library");
                refusal.get_or_insert(error);
            }
        }
    }
    Err(refusal.unwrap_or_else(|| Refusal::new(Code::NotFound, "no library is named")))
}

impl Outfit for Parts {
    fn load(
        &mut self,
        lanes: usize,
        images: &[PathBuf],
        attached: &mut dyn FnMut(LogicRef) -> Result<(), LoadError>,
    ) -> Result<Arc<Generation>, LoadError> {
        self.verifier.lanes = lanes as u32;
        let (generation, note) = match images.is_empty() {
            true => self.load_first(lanes)?,
            false => {
                let carried = self.carried.as_ref();
                let number = carried.map_or(generation::FIRST, |carried| carried.generation);
                let loaded = match carried.map(|carried| load_carried(&images[0], carried)) {
                    Some(Ok(loaded)) => loaded,
                    Some(Err(error)) => {
                        tracing::warn!(%error, "the library that served is tried anew");
                        load_any(images, &self.verifier)?
                    }
                    None => load_any(images, &self.verifier)?,
                };
                attached(loaded.logic())?;
                (Generation::new(number, loaded, lanes, Counts::First)?, None)
            }
        };
        tracing::info!(logic = generation.identity().label(), "loaded");
        let generation = Arc::<Generation>::from(generation);
        let live = Live::of(host::table(), Arc::clone(&generation));
        // If it is gone, the one that serves is as good: both are known then.
        let given_sha256 =
            journal::digest(&self.logic).unwrap_or_else(|_| generation.identity().sha256.clone());
        self.first = Some(First { live, lanes, given_sha256, note });
        Ok(generation)
    }

    async fn services(&mut self, server: &'static ServerShared) {
        let Some(First { live, lanes, given_sha256, note }) = self.first.take() else { return };
        let host = host::table();
        let Proving { probation, folder } = self.proving.clone();
        let verifier = self.verifier.clone();
        let journal = Keeper::start(folder.clone(), given_sha256);
        let carried = self.carried.take();
        let history = carried.as_ref().map(|carried| carried.history.clone());
        let driver = journal.and_then(|journal| {
            let audit = Arc::new(Audit::start(folder)?);
            let (of_driver, of_shell) = (Arc::clone(&audit), verifier.clone());
            let setup = Setup {
                host,
                lanes,
                verifier,
                probation,
                journal,
                audit: of_driver,
                note,
                history,
            };
            let driver = Driver::start(live, setup)?;
            let program = self.program.clone();
            let replacing = replace::Handle::new(program, of_shell, driver.board(), audit);
            Ok((driver, replacing))
        });
        let (driver, replacing) = match driver {
            Ok(both) => both,
            Err(error) => {
                tracing::error!(%error, "there is no thread to stage upgrades on");
                return;
            }
        };
        if let Some(carried) = &carried {
            carried.count_on();
        }
        replace::tell_of_last(&replacing, host, carried);
        let context = Context {
            handle: driver.handle(),
            replacing: replacing.clone(),
            board: driver.board(),
            host,
        };
        let (handle, board) = (driver.handle(), driver.board());
        let (metrics, shown) = (self.metrics.as_ref(), driver.board());
        let tell = async {
            let Some(listener) = metrics else { return };
            if let Err(error) = metrics::serve::serve(listener, shown, host).await {
                tracing::error!(%error, "metrics are not served any more");
            }
        };
        let serving = driver.board();
        let backups = backup::run(server, move || serving.serving());
        let admin = async {
            if let Err(error) = admin::serve(&mut self.admin, context).await {
                tracing::error!(%error, "the admin API has ended");
            }
        };
        let wire = wire::run(handle, replacing, board, host);
        tokio::join!(driver.run(), tell, wire, exchange::run(host), backups, admin);
    }
}
