//! Asking for the end of a script, where no client is served that could.

use std::sync::atomic::Ordering::{Acquire, Release};

use abi::host::HostRef;
use abi::script::{ScriptState, running};
use serde::{Deserialize, Serialize};

use crate::arena::look;
use crate::refusal::{Code, Refusal};

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// `script` or `function`: it ends as soon as it looks whether it is to.
    pub ends: String,
}

/// Asks for the end of the script that runs, however long it has been running.
///
/// # Errors
/// `no_script`; `script_has_written`.
pub fn end(host: HostRef) -> Result<Asked, Refusal> {
    end_by(&look::shared(host).script_state)
}

fn end_by(state: &ScriptState) -> Result<Asked, Refusal> {
    let ends = match state.running.load(Acquire) {
        running::NONE => return Err(Refusal::new(Code::NoScript, "no script runs")),
        running::FUNCTION => "function",
        _ => "script",
    };
    if state.has_written.load(Acquire) != 0 {
        let text = format!("the {ends} that runs has written");
        return Err(Refusal::new(Code::ScriptHasWritten, text));
    }
    state.is_to_end.store(1, Release);
    Ok(Asked { ends: ends.to_owned() })
}
