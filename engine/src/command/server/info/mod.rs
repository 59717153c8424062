//! `INFO`: what the server tells of itself, a section a function.

mod activity;
mod keyspace;
mod memory;
mod persistence;
mod process;

use std::fmt::{Display, Write as _};

use crate::exec::context::ClientCtx;
use crate::exec::release::Release;
use base::args::Args;
use base::core::Core;
use base::error::Done;

pub use memory::human;

/// A section.
struct Section {
    name: &'static str,
    /// Shown when nobody asks for particular sections.
    by_default: bool,
    write: Write,
}

/// How a section is written.
enum Write {
    /// From what every layer sees.
    Core(fn(&mut Core, &mut Text)),
    /// From what is known of the release that runs.
    Release(fn(&mut Core, &Release, &mut Text)),
}

const fn section(name: &'static str, write: fn(&mut Core, &mut Text)) -> Section {
    Section { name, by_default: true, write: Write::Core(write) }
}

const fn of_release(name: &'static str, write: fn(&mut Core, &Release, &mut Text)) -> Section {
    Section { name, by_default: true, write: Write::Release(write) }
}

const fn on_request(name: &'static str, write: fn(&mut Core, &mut Text)) -> Section {
    Section { name, by_default: false, write: Write::Core(write) }
}

/// All sections, in the order they are shown.
const SECTIONS: &[Section] = &[
    of_release("Server", process::server),
    of_release("Logic", process::logic),
    section("Clients", process::clients),
    section("Memory", memory::memory),
    section("Persistence", persistence::persistence),
    of_release("Stats", activity::stats),
    section("Replication", process::replication),
    section("CPU", process::cpu),
    section("Modules", |_, _| {}),
    on_request("Commandstats", activity::command_stats),
    section("Errorstats", activity::error_stats),
    on_request("Latencystats", activity::latency_stats),
    section("Cluster", |_, text| text.field("cluster_enabled", 0)),
    section("Keyspace", keyspace::keyspace),
];

/// Lines of `name:value`.
pub struct Text(String);

impl Text {
    /// Adds a line.
    fn field(&mut self, name: &str, value: impl Display) {
        // Writing to a string does not fail.
        let _ = write!(self.0, "{name}:{value}\r\n");
    }

    /// Adds a line with a number of bytes, and one with the same for people.
    fn bytes(&mut self, name: &str, bytes: u64) {
        self.field(name, bytes);
        self.field(&format!("{name}_human"), human(bytes));
    }
}

/// `INFO`
pub fn info(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let mut text = Text(String::new());
    for section in SECTIONS.iter().filter(|section| is_wanted(section, args)) {
        if !text.0.is_empty() {
            text.0.push_str("\r\n");
        }
        let _ = write!(text.0, "# {}\r\n", section.name);
        match section.write {
            Write::Core(write) => write(cx.core(), &mut text),
            Write::Release(write) => write(cx.data.keys.core, cx.exec.release, &mut text),
        }
    }
    cx.out.verbatim("txt", text.0.as_bytes());
    Ok(())
}

fn is_wanted(section: &Section, args: Args<'_>) -> bool {
    let asked = |name: &str| (1..args.len()).any(|index| args.is(index, name));
    let default = args.len() == 1 || asked("default");
    asked("all") || asked("everything") || default && section.by_default || asked(section.name)
}
