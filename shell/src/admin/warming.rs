//! Filling the keys from elsewhere: a client is allowed to put what nobody has changed meanwhile.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use abi::host::HostRef;
use abi::loading::stage;
use abi::shared::attention;
use abi::warming::CLASSES;
use serde::{Deserialize, Serialize};

use crate::arena::look;
use crate::refusal::{Code, Refusal};
use crate::worker::clock;

/// Which client fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filler {
    /// Its id.
    pub client: u64,
}

/// From now on what this client puts is put only where nobody has changed anything since. It ends
/// when the client is gone.
///
/// # Errors
/// `warming_under_way` while another does, or data is being loaded; `too_little_memory`.
pub fn begin(host: HostRef, filler: Filler) -> Result<Filler, Refusal> {
    let shared = look::shared(host);
    let under_way = |text: &str| Refusal::new(Code::WarmingUnderWay, text);
    if filler.client == 0 {
        return Err(Refusal::new(Code::BadRequest, "no client has the id 0"));
    }
    if shared.loading.stage.load(Relaxed) != stage::NONE {
        return Err(under_way("the data is still being loaded"));
    }
    let state = &shared.warming;
    if state.client.compare_exchange(0, filler.client, AcqRel, Acquire).is_err() {
        return Err(under_way("another client fills this server"));
    }
    state.seen_ms.store(clock::unix_ms(), Relaxed);
    let Some(bits) = bits(host) else {
        state.client.store(0, Relaxed);
        let text = format!("there is no room for {} bytes in the arena", CLASSES / 8);
        return Err(Refusal::new(Code::TooLittleMemory, text));
    };
    bits.iter().for_each(|word| word.store(0, Relaxed));
    state.is_over.store(0, Relaxed);
    shared.attention.fetch_or(attention::WARMING, Release);
    Ok(filler)
}

/// This client fills no more.
pub fn end(host: HostRef, filler: Filler) -> Filler {
    let shared = look::shared(host);
    if shared.warming.client.load(Acquire) == filler.client {
        shared.attention.fetch_and(!attention::WARMING, Release);
        shared.warming.client.store(0, Release);
    }
    filler
}

/// The bits, which are made the first time.
fn bits(host: HostRef) -> Option<&'static [AtomicU64]> {
    look::warming_bits(host).or_else(|| {
        let address = host.alloc()(CLASSES / 8);
        if address == 0 {
            return None;
        }
        look::shared(host).warming.bits.store(address, Release);
        look::warming_bits(host)
    })
}
