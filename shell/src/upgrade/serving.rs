//! What is known of a generation without asking it.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::board::{Former, Shown};
use crate::logic::generation::Generation;
use crate::logic::identity::Identity;
use crate::logic::image::Image;
use crate::worker::clock::unix_ms;

/// Who a generation is, and the copy of the library it runs from.
#[derive(Clone)]
pub struct Serving {
    pub(super) number: u64,
    pub(super) identity: Identity,
    pub(super) image: Arc<Image>,
    pub(super) panics: Arc<AtomicU64>,
    pub(super) since_ms: u64,
}

impl Serving {
    /// Notes who a generation is, before it is published.
    pub fn of(generation: &Generation) -> Self {
        Self {
            number: generation.number,
            identity: generation.identity().clone(),
            image: Arc::clone(generation.loaded().image()),
            panics: Arc::clone(generation.panics()),
            since_ms: unix_ms(),
        }
    }

    /// SHA-256 of its library, hexadecimal.
    pub(super) fn sha256(&self) -> &str {
        &self.identity.sha256
    }

    pub(super) fn former(&self) -> Former {
        Former { generation: self.number, identity: self.identity.clone() }
    }

    pub(super) fn path(&self) -> String {
        self.image.source().display().to_string()
    }

    pub(super) fn show(&self, state: &str) -> (Shown, Arc<AtomicU64>) {
        let shown = Shown {
            generation: self.number,
            identity: self.identity.clone(),
            path: self.path(),
            since_ms: self.since_ms,
            replaced_ms: None,
            state: state.to_owned(),
            panics: 0,
        };
        (shown, Arc::clone(&self.panics))
    }
}
