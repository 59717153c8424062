//! What the server is given beside its settings: the first logic, and the services of its control
//! thread.

use std::path::PathBuf;

use crate::admin::socket::Socket;
use crate::admin::{self, Context};
use crate::backup;
use crate::exchange;
use crate::host;
use crate::logic;
use crate::logic::generation::Generation;
use crate::logic::verify::parent::Verifier;
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

impl Outfit for Parts {
    fn load(&mut self, lanes: usize) -> Result<Box<Generation>, LoadError> {
        self.verifier.lanes = lanes as u32;
        let generation = logic::start(&self.logic, host::table(), lanes, &self.verifier)?;
        tracing::info!(logic = generation.identity().label(), "loaded");
        self.first = Some((Serving::of(&generation), lanes));
        Ok(generation)
    }

    async fn services(&mut self, server: &'static ServerShared) {
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
        let serving = driver.board();
        let backups = backup::run(server, move || serving.serving());
        let admin = async {
            if let Err(error) = admin::serve(&mut self.admin, context).await {
                tracing::error!(%error, "the admin API has ended");
            }
        };
        let wire = wire::run(handle, board, host);
        tokio::join!(driver.run(), wire, exchange::run(host), backups, admin);
    }
}
