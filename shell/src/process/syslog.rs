//! The system's log, which `syslog-enabled` asks for.

use std::ffi::CString;
use std::io::{self, Write};
use std::sync::OnceLock;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// As whom, and under which facility, the server writes there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Syslog {
    /// What lines begin with.
    pub ident: String,
    /// One of [`FACILITIES`]; else the default.
    pub facility: String,
}

const FACILITY_DEFAULT: i32 = libc::LOG_LOCAL0;
/// By their names.
const FACILITIES: [(&str, i32); 9] = [
    ("user", libc::LOG_USER),
    ("local0", libc::LOG_LOCAL0),
    ("local1", libc::LOG_LOCAL1),
    ("local2", libc::LOG_LOCAL2),
    ("local3", libc::LOG_LOCAL3),
    ("local4", libc::LOG_LOCAL4),
    ("local5", libc::LOG_LOCAL5),
    ("local6", libc::LOG_LOCAL6),
    ("local7", libc::LOG_LOCAL7),
];

/// Kept by the C library for as long as it may write.
static IDENT: OnceLock<CString> = OnceLock::new();

/// Writes lines to the system's log.
#[derive(Clone, Copy, Debug)]
pub struct Lines;

impl Lines {
    /// Opens the system's log. Once a process: later calls change nothing.
    pub fn open(syslog: &Syslog) -> Self {
        let named = |(name, _): &&(&str, i32)| name.eq_ignore_ascii_case(&syslog.facility);
        let facility = FACILITIES.iter().find(named).map_or(FACILITY_DEFAULT, |(_, bits)| *bits);
        let ident = IDENT.get_or_init(|| CString::new(syslog.ident.as_str()).unwrap_or_default());
        // SAFETY: the text ends with a zero and lives as long as the process.
        unsafe {
            libc::openlog(
                ident.as_ptr(),
                libc::LOG_PID | libc::LOG_NDELAY | libc::LOG_NOWAIT,
                facility,
            );
        }
        Self
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Line;

    fn make_writer(&self) -> Line {
        Line { priority: libc::LOG_NOTICE }
    }

    fn make_writer_for(&self, of: &Metadata<'_>) -> Line {
        let priority = match *of.level() {
            Level::ERROR | Level::WARN => libc::LOG_WARNING,
            Level::INFO => libc::LOG_NOTICE,
            Level::DEBUG => libc::LOG_INFO,
            Level::TRACE => libc::LOG_DEBUG,
        };
        Line { priority }
    }
}

/// A line to be written.
#[derive(Debug)]
pub struct Line {
    priority: i32,
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let shown = bytes.trim_ascii_end();
        let text = CString::new(shown.iter().copied().filter(|b| *b != 0).collect::<Vec<_>>())?;
        // SAFETY: both texts end with a zero, and the format takes the one that follows it.
        unsafe { libc::syslog(self.priority, c"%s".as_ptr(), text.as_ptr()) };
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
