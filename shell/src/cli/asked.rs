//! The server that a verb asks.

use std::path::PathBuf;

use super::client::Client;

/// The port of Redis.
pub const PORT_DEFAULT: u16 = 6379;

/// Which one, and how its answer is shown.
#[derive(Clone, clap::Args)]
pub struct Server {
    /// TCP port of the server.
    #[arg(long, value_name = "N", default_value_t = PORT_DEFAULT, conflicts_with = "admin")]
    pub port: u16,
    /// Admin socket of the server.
    #[arg(long, value_name = "PATH")]
    pub admin: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

impl Server {
    /// Its admin API.
    pub fn client(&self) -> Client {
        self.admin.clone().map_or_else(|| Client::of(self.port), Client::at)
    }
}
