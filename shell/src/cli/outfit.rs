//! What the server is given beside its settings: the first logic, and the services of its control
//! thread.

use std::path::PathBuf;

use abi::logic::LogicRef;

use crate::admin::socket::Socket;
use crate::admin::{self, Context};
use crate::exchange;
use crate::host;
use crate::logic;
use crate::logic::Loaded;
use crate::logic::generation::{self, Generation};
use crate::logic::verify::parent::Verifier;
use crate::refusal::{Code, Refusal};
use crate::server::{LoadError, Outfit};
use crate::upgrade::driver::Driver;
use crate::upgrade::serving::Serving;
use crate::upgrade::staging::Setup;
use crate::upgrade::wire;
use crate::worker::shared::ServerShared;

/// The parts of a real server.
pub struct Parts {
    logic: PathBuf,
    verifier: Verifier,
    admin: Socket,
    first: Option<(Serving, usize)>,
}

impl Parts {
    /// A server that starts with the library at `logic` and is administered at `admin`.
    pub fn new(logic: PathBuf, verifier: Verifier, admin: Socket) -> Self {
        Self { logic, verifier, admin, first: None }
    }
}

/// Loads the first library that can be loaded.
fn load_first(paths: &[PathBuf], verifier: &Verifier) -> Result<Loaded, Refusal> {
    let mut refusal = None;
    for path in paths {
        match logic::load(path, host::table(), verifier) {
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
    ) -> Result<Box<Generation>, LoadError> {
        self.verifier.lanes = lanes as u32;
        let named = [self.logic.clone()];
        let paths = if images.is_empty() { &named } else { images };
        let loaded = load_first(paths, &self.verifier)?;
        attached(loaded.logic())?;
        let generation = Generation::new(generation::FIRST, loaded, lanes)?;
        tracing::info!(logic = generation.identity().label(), "loaded");
        self.first = Some((Serving::of(&generation), lanes));
        Ok(generation)
    }

    async fn services(&mut self, _: &'static ServerShared) {
        let Some((first, lanes)) = self.first.take() else { return };
        let host = host::table();
        let setup = Setup { host, lanes, verifier: self.verifier.clone() };
        let driver = match Driver::start(first, setup) {
            Ok(driver) => driver,
            Err(error) => {
                tracing::error!(%error, "there is no thread to stage upgrades on");
                return;
            }
        };
        let context = Context { handle: driver.handle(), board: driver.board(), host };
        let (handle, board) = (driver.handle(), driver.board());
        tokio::join!(driver.run(), wire::run(handle, board, host), exchange::run(host), async {
            if let Err(error) = admin::serve(&mut self.admin, context).await {
                tracing::error!(%error, "the admin API has ended");
            }
        });
    }
}
