//! What is known of a generation without asking it.

use std::sync::Arc;

use abi::host::HostRef;

use super::board::{Former, Shown};
use super::meter::{Figures, Meter};
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
    pub(super) meter: Meter,
    pub(super) since_ms: u64,
}

/// A generation that is loaded, and who it is.
#[derive(Clone)]
pub struct Live {
    pub(super) serving: Serving,
    pub(super) generation: Arc<Generation>,
}

impl Live {
    /// Notes who a generation is, before it serves.
    pub fn of(host: HostRef, generation: Arc<Generation>) -> Self {
        Self { serving: Serving::of(host, &generation), generation }
    }

    /// Its number.
    pub(super) fn number(&self) -> u64 {
        self.serving.number
    }
}

impl Serving {
    fn of(host: HostRef, generation: &Generation) -> Self {
        Self {
            number: generation.number,
            identity: generation.identity().clone(),
            image: Arc::clone(generation.loaded().image()),
            meter: Meter::begin(host, generation),
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

    pub(super) fn show(&self, state: &str) -> (Shown, Meter) {
        let shown = Shown {
            generation: self.number,
            identity: self.identity.clone(),
            path: self.path(),
            since_ms: self.since_ms,
            replaced_ms: None,
            state: state.to_owned(),
            share: None,
            panics: 0,
            figures: Figures::default(),
        };
        (shown, self.meter.clone())
    }
}
