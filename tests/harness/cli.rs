//! The command line: what a verb printed, and how it ended.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use super::libraries::shell;

/// How a verb of the command line ended.
pub struct Ended {
    pub exit: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("text in UTF-8");
        let exit = output.status.code().expect("no signal ended it");
        Self { exit, stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// The one JSON object it printed.
    pub fn json(&self) -> Value {
        assert_eq!(self.stdout.lines().count(), 1, "{:?}", self.stdout);
        serde_json::from_str(&self.stdout).expect("JSON")
    }

    /// The JSON object of a verb that must have succeeded.
    pub fn report(&self) -> Value {
        assert_eq!(self.exit, 0, "{}{}", self.stdout, self.stderr);
        self.json()
    }

    /// The code of the error it printed.
    pub fn code(&self) -> String {
        let report = self.json();
        report["error"]["code"].as_str().unwrap_or_else(|| panic!("{report}")).to_owned()
    }
}

/// Runs a verb that needs no server, or names it itself.
pub fn run(args: &[&str]) -> Ended {
    Ended::of(Command::new(shell()).args(args).output().expect("the command line runs"))
}

/// Runs a verb in a folder.
pub fn run_in(folder: &Path, args: &[&str]) -> Ended {
    let mut command = Command::new(shell());
    Ended::of(command.args(args).current_dir(folder).output().expect("the command line runs"))
}

/// Starts a verb; its end is waited for with [`finish`].
pub fn begin(args: &[&str]) -> Child {
    let mut command = Command::new(shell());
    command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("the command line runs")
}

/// Waits for the end of a verb.
pub fn finish(child: Child) -> Ended {
    Ended::of(child.wait_with_output().expect("it ends"))
}
