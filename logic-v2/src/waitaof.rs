//! `WAITAOF`, of Redis 7.2: waits until what the client has written is safe in the append-only log.
#![forbid(unsafe_code)]

use core::sync::atomic::Ordering::Acquire;

use engine::base::args::Args;
use engine::base::error::{self, Done, Error};
use engine::exec::argument::{Argument, integer};
use engine::exec::context::{ClientCtx, Mode};
use engine::exec::spec::{Group, Spec, flag::*};

const ARGUMENTS: &[Argument] = &[integer("numlocal"), integer("numreplicas"), integer("timeout")];
const NO_LOG: Error =
    Error::new("ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.");
const LOCAL: Error = Error::new("ERR value is out of range, must be between 0 and 1");
const REPLICAS: Error = Error::new("ERR value is out of range, must be positive");
const TIMEOUT: Error = Error::new("ERR timeout is not an integer or out of range");

/// Until another look whether it is safe.
const LOOK_MS: i64 = 5;

/// `WAITAOF`
pub const WAITAOF: Spec =
    Spec::for_client("waitaof", 4, Group::Generic, waitaof).flags(BLOCKING).doc(
        "7.2.0",
        "O(1)",
        ARGUMENTS,
        "Waits until all that this client has written is safe in the append-only log.",
    );

/// What is waited for.
#[derive(Clone, Copy)]
struct Wait {
    /// A position in the effects stream.
    position: u64,
    /// Until when, in Unix ms; 0: for ever.
    until_ms: i64,
}

impl Wait {
    fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.position.to_le_bytes());
        bytes[8..].copy_from_slice(&self.until_ms.to_le_bytes());
        bytes
    }

    fn of(bytes: &[u8]) -> Option<Self> {
        let (position, rest) = bytes.split_first_chunk()?;
        let until_ms = i64::from_le_bytes(*rest.first_chunk()?);
        Some(Self { position: u64::from_le_bytes(*position), until_ms })
    }
}

fn waitaof(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let local = args.integer_in(1, 0..=1, LOCAL)?;
    let replicas = args.integer_in(2, 0..=i64::MAX, REPLICAS)?;
    let timeout_ms = args.integer_in(3, i64::MIN..=i64::MAX, TIMEOUT)?;
    if timeout_ms < 0 {
        return Err(error::TIMEOUT_NEGATIVE);
    }
    let aof = cx.keys.core.roots.aof().filter(|aof| aof.state.load(Acquire) != 0);
    if local > 0 && aof.is_none() {
        return Err(NO_LOG);
    }
    let now_ms = cx.keys.core.clock.now_ms;
    let noted = cx.noted(args);
    let wait = noted.as_deref().and_then(Wait::of).unwrap_or_else(|| Wait {
        position: cx.keys.core.effects.stream().map_or(0, |stream| stream.position()),
        until_ms: if timeout_ms == 0 { 0 } else { now_ms.saturating_add(timeout_ms) },
    });
    let is_safe = aof.is_some_and(|aof| aof.safe.load(Acquire) >= wait.position);
    let has_come = wait.until_ms != 0 && now_ms >= wait.until_ms;
    let is_enough = i64::from(is_safe) >= local && replicas == 0;
    if is_enough || has_come || cx.data.mode != Mode::Direct {
        cx.forget_note();
        cx.out.array(2);
        cx.out.integer(i64::from(is_safe));
        cx.out.integer(0);
        return Ok(());
    }
    let look_ms = now_ms + LOOK_MS;
    let until_ms = if wait.until_ms == 0 { look_ms } else { look_ms.min(wait.until_ms) };
    cx.put_off(args, &wait.to_bytes(), until_ms);
    Ok(())
}
