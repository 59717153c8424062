//! Settings that the shell itself acts on, and how a change of one takes effect.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use abi::config::{ConfigStore, id};

use super::limits::reserve_clients;
use super::title;
use crate::aof;
use crate::arena::huge;
use crate::backup;
pub use crate::client::limits::text;

use crate::client::limits::number;
use crate::client::listen::{Endpoints, ListenError};
use crate::config::files::system_text;
use crate::log;
use crate::process::oom;
use crate::worker::shared::ServerShared;

/// Where the settings say to listen.
pub fn endpoints(config: &ConfigStore) -> Endpoints {
    let unix_path = Some(text(config, id::UNIXSOCKET)).filter(|path| !path.is_empty());
    Endpoints {
        port: number(config, id::PORT).min(u64::from(u16::MAX)) as u16,
        bind: text(config, id::BIND).split_whitespace().map(str::to_owned).collect(),
        unix_path: unix_path.map(PathBuf::from),
        unix_mode: number(config, id::UNIXSOCKETPERM) as u32,
        backlog: number(config, id::TCP_BACKLOG).clamp(1, i32::MAX as u64) as i32,
    }
}

/// Goes to the working directory, if one is set.
pub fn enter_dir(config: &ConfigStore) -> Result<(), String> {
    go_to_dir(config)
        .map_err(|error| format!("cannot use directory {}: {error}", text(config, id::DIR)))
}

fn go_to_dir(config: &ConfigStore) -> io::Result<()> {
    let dir = text(config, id::DIR);
    if dir.is_empty() { Ok(()) } else { std::env::set_current_dir(&dir) }
}

/// The reply of Redis; the log has the details.
fn cannot_listen(id: u32, error: &ListenError) -> String {
    tracing::warn!(%error, "a change of where to listen is refused");
    match id {
        id::PORT => "Unable to listen on this port. Check server logs.".to_owned(),
        id::BIND => "Failed to bind to specified addresses.".to_owned(),
        _ => error.to_string(),
    }
}

/// Sees to it that there are descriptors for all clients; with fewer, lowers `maxclients`.
pub fn fit_clients(server: &ServerShared) {
    let config = server.config();
    let wanted = number(config, id::MAXCLIENTS);
    if let Err(most) = reserve_clients(wanted, server.workers()) {
        tracing::warn!(wanted, most, "maxclients lowered: the process may not open more files");
        config.numbers[id::MAXCLIENTS as usize].store(most as i64, Ordering::Relaxed);
    }
}

/// Makes the kernel's score of the process what the settings say.
pub fn set_oom_score(config: &ConfigStore) -> io::Result<()> {
    let mode = oom::Mode::from_number(number(config, id::OOM_SCORE_ADJ));
    oom::apply(mode, &text(config, id::OOM_SCORE_ADJ_VALUES))
}

/// Takes over a setting that was changed while the server runs. The error is for the client that
/// changed it; the setting is then to be put back.
pub fn changed(server: &'static ServerShared, id: u32) -> Result<(), String> {
    let config = server.config();
    match id {
        id::PORT | id::BIND | id::UNIXSOCKET | id::UNIXSOCKETPERM | id::TCP_BACKLOG => {
            let listening = server.listeners().listen(&endpoints(config));
            listening.map_err(|error| cannot_listen(id, &error))?;
            title::show(server);
            Ok(())
        }
        id::PROC_TITLE_TEMPLATE => {
            title::show(server);
            Ok(())
        }
        id::OOM_SCORE_ADJ | id::OOM_SCORE_ADJ_VALUES => set_oom_score(config).map_err(|error| {
            tracing::warn!(%error, "cannot change oom_score_adj");
            match id {
                id::OOM_SCORE_ADJ => {
                    "Failed to apply new oom_score_adj configuration, check server logs."
                }
                _ => "Failed to set current oom_score_adj. Check server logs.",
            }
            .to_owned()
        }),
        id::APPENDONLY => aof::changed(server),
        id::APPENDFSYNC => {
            aof::hold_at_once(server);
            Ok(())
        }
        id::BACKUP_SCHEDULE => backup::check_schedule(config),
        id::DIR => go_to_dir(config).map_err(|error| system_text(&error)),
        id::LOGLEVEL => {
            log::set_level(number(config, id::LOGLEVEL));
            Ok(())
        }
        id::ARENA_HUGE_PAGES => {
            huge::want(number(config, id::ARENA_HUGE_PAGES) != 0);
            Ok(())
        }
        id::MAXCLIENTS => reserve_clients(number(config, id::MAXCLIENTS), server.workers())
            .map_err(|most| {
                format!(
                    "The operating system is not able to handle the specified number of clients, \
                     try with {most}"
                )
            }),
        _ => Ok(()),
    }
}
