//! Answers to `SHELL` commands.

use abi::client_ref::ClientRef;
use abi::host::HostRef;
use abi::message::kind;
use serde::Serialize;

use crate::refusal::Refusal;
use crate::worker::post;

/// A value as it is answered.
pub(super) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|e| format!("-ERR internal: {e}"))
}

/// A refusal as it is answered: one line, as an error reply must be.
pub(super) fn error(refusal: &Refusal) -> String {
    let Refusal { code, message, hint } = refusal;
    format!("-ERR {}: {message}; {hint}", code.row().name).replace(['\r', '\n'], " ")
}

/// Posts a text as [`kind::ADMIN_REPLY`].
pub(super) fn post(host: HostRef, client: ClientRef, detail: u64, text: &str) {
    if !post::post(host, client, kind::ADMIN_REPLY, detail, text.as_bytes()) {
        // The client is left waiting; its deadline or disconnect ends that.
        tracing::error!("no memory in the arena for the answer to a SHELL command");
    }
}
