//! Access rules: the users, and what was refused.

use abi_stable::StableAbi;
use core::sync::atomic::{AtomicU32, AtomicU64};

use crate::container::{RawBytes, RawVec};

/// The users, and the log of what was refused.
#[repr(C)]
#[derive(StableAbi)]
pub struct Acl {
    /// The users, one after the other, as the slow log keeps commands: `u32` number of words, then
    /// each as `u32` length and bytes. The first word is the user's number (`u64`, 0 for the default
    /// user), the second the name, the others are the rules that make the user out of one that may do
    /// nothing. Rules name commands and categories, not ids: a release passes over those that it does
    /// not have. Empty as long as there is but the default user, who may do everything.
    pub users: RawBytes,
    /// The number that the last user has got. None is used again.
    pub last_number: u64,
    /// Addresses of [`AclLogEntry`], oldest first.
    pub log: RawVec,
    /// The id the next entry gets.
    pub next_log_id: u64,
}

/// What is to be seen of the users without their lock. Changed with it held.
#[repr(C)]
#[derive(StableAbi)]
pub struct AclState {
    /// How often users were changed: who has read them before reads them anew.
    pub changes: AtomicU64,
    /// Bits of [`default_user`].
    pub default_user: AtomicU32,
    /// Zero.
    pub reserved: AtomicU32,
    /// How often a client was refused, by [`reason`].
    pub refused: [AtomicU64; reason::COUNT],
}

/// Bits of [`AclState::default_user`].
pub mod default_user {
    /// Clients must say who they are: the default user has a password, or is off.
    pub const IS_CLOSED: u32 = 1 << 0;
    /// The default user has a password.
    pub const HAS_PASSWORD: u32 = 1 << 1;
    /// The default user may not do everything.
    pub const IS_RESTRICTED: u32 = 1 << 2;
}

/// Why something was refused.
pub mod reason {
    /// The command.
    pub const COMMAND: u32 = 0;
    /// A key.
    pub const KEY: u32 = 1;
    /// A channel.
    pub const CHANNEL: u32 = 2;
    /// Name or password.
    pub const AUTH: u32 = 3;
    /// How many there are.
    pub const COUNT: usize = 4;
}

/// Where something was refused.
pub mod context {
    /// In a command that a client sent.
    pub const TOP_LEVEL: u32 = 0;
    /// In a transaction.
    pub const MULTI: u32 = 1;
    /// In a script.
    pub const SCRIPT: u32 = 2;
}

/// Something that was refused, once or several times.
#[repr(C)]
#[derive(StableAbi)]
pub struct AclLogEntry {
    /// Unique; rises.
    pub id: u64,
    /// How often.
    pub count: u64,
    /// The first time, Unix ms.
    pub created_ms: u64,
    /// The last time, Unix ms.
    pub updated_ms: u64,
    /// See [`reason`].
    pub reason: u32,
    /// See [`context`].
    pub context: u32,
    /// The command, key or channel.
    pub object: RawBytes,
    /// The user's name.
    pub user: RawBytes,
    /// The client, as `CLIENT LIST` showed it the last time.
    pub client: RawBytes,
}
