//! `shell serve`: what the operator wrote, turned into what the server is started with.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum;
use rustix::process::{Signal, set_parent_process_death_signal};

use super::asked::PORT_DEFAULT;
use super::input;
use super::outfit::{Parts, Proving};
use crate::admin::socket::{self, Socket};
use crate::client::listen;
use crate::config::{self, ConfigError, Setting};
use crate::keeper::board::Board;
use crate::keeper::program::Program;
use crate::keeper::verdict::EXIT_UNUSABLE;
use crate::keeper::{self, Beginning, Role, Rules};
use crate::log::{self, Format};
use crate::logic::trust::Trusted;
use crate::logic::verify::parent::Verifier;
use crate::process::startup::{Kept, Startup, Wanted};
use crate::process::supervisor::Named;
use crate::process::syslog::Syslog;
use crate::recovery::descriptors;
use crate::server::{self, ServeError};
use crate::upgrade::plan::{self as upgrade_plan, PROBATION};

/// The library that is loaded when none is named; beside the executable.
const LOGIC_DEFAULT: &str = "liblogic_v1.so";

pub(super) const EXIT_FAILED: u8 = 1;
pub(super) const EXIT_SETTINGS: u8 = 2;
const EXIT_LOGIC: u8 = 3;
const EXIT_LISTEN: u8 = 4;
const EXIT_ADMIN: u8 = 5;
const EXIT_DATA: u8 = 7;

/// Shown below the usage.
pub const HELP: &str = "\
Options:
  --port PORT           TCP port; 0 for none
  --bind ADDRESS...     Addresses to listen on [default: 127.0.0.1]
  --unixsocket PATH     Unix socket to listen on
  --dir DIR             Working directory
  --workers N           Threads that may serve clients [default: one per core]
  --logic PATH          Logic to start with [default: liblogic_v1.so beside the executable]
  --admin PATH          Socket of the admin API [default: one per port]
  --verify-timeout-ms N How long a library may take to be tried, loaded, unloaded [default: 10000]
  --admin-uids UID...   Users who may use it, beside the server's own and root
  --logic-trusted-keys KEY...  Take no library but those that one of these keys has signed: public
                        keys of `shell keygen` or minisign, or files with one
  --metrics ADDRESS     Serve metrics for Prometheus, and a page for people, at ADDRESS:PORT or PORT
  --upgrade-dir DIR     Where it is kept what serves, for a restart, and who has asked for what
                        [default: shell-upgrades-PORT in the working directory]
  --upgrade-probation TIME  How long an upgrade is on probation if it does not say [default: 60s]
  --config FILE         Configuration file in redis.conf syntax, - for standard input;
                        the command line overrides it
  --arena FILE          Keep all state in this file instead of anonymous memory
  --keeper yes|no       Whether a process keeps memory and clients while the server crashes
                        [default: yes]; --no-keeper is --keeper no
  --crashes-max N       How often it may crash within a minute before the keeper gives up [default: 5]
  --replace-timeout TIME  How long another build of the shell may take until it serves [default: 10s]
  --check-recovered yes|no  Check the whole arena after a crash, before clients are served
  --log-format FORMAT   text or json
  --NAME VALUE...       Any other setting, as in the configuration file

Exit codes:
  0  stopped as asked
  1  failed while running, or the system refused memory, threads or files
  2  a setting, an argument or the configuration file is wrong
  3  the logic could not be loaded
  4  cannot listen where the settings say
  5  cannot make the admin socket
  6  a library has ended the process by calling exit
  7  the file of data cannot be loaded; the message says why, and at which byte
  8  the server has ended again and again, unasked
  9  what a server has left that ended unasked cannot be used
  128 + N  signal N has ended the server while it started or stopped";

/// Arguments of the verb: names and values, read as the configuration file is.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// Settings, each as --NAME VALUE...
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "--NAME VALUE")]
    pub words: Vec<String>,
}

/// What the shell itself takes from the settings, and all the rest.
#[derive(Debug, Default)]
pub struct Plan {
    /// The logic to start with.
    pub logic: PathBuf,
    /// Socket of the admin API, if one was named.
    pub admin: Option<PathBuf>,
    /// Users who may use that, beside the server's own and the superuser.
    pub admin_uids: Vec<u32>,
    /// How libraries are verified.
    pub verifier: Verifier,
    /// How upgrades prove themselves.
    pub proving: Proving,
    /// Where metrics are served, if anywhere but at the socket of the admin API.
    pub metrics: Option<String>,
    /// How the log looks.
    pub log_format: Format,
    /// File of the log; stderr without one.
    pub log_file: Option<PathBuf>,
    /// The system's log, if it is written to as well.
    pub syslog: Option<Syslog>,
    /// How the process is to be started.
    pub wanted: Wanted,
    /// Whether a process keeps the server.
    pub keeper: bool,
    /// How it is kept, if one does.
    pub rules: Rules,
    /// How the process was started, once it has been.
    pub startup: Option<Startup>,
    /// For [`server::run`].
    pub options: server::Options,
}

/// Why the arguments are no good.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// They cannot be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A setting of the shell's own has a wrong value.
    #[error("{origin}: --{name} {reason}")]
    Value {
        /// Where it was given.
        origin: String,
        /// Which.
        name: &'static str,
        /// What is expected.
        reason: &'static str,
    },
    /// A key that is to be trusted is none.
    #[error("{0}: logic-trusted-keys: {1}; give keys as `shell keygen` prints them")]
    Keys(String, String),
    /// A path cannot be made absolute, or the executable not found.
    #[error("cannot tell where files are: {0}; start from a directory that exists")]
    Directory(#[from] io::Error),
}

/// Runs the verb: serves until the server is stopped.
pub fn run(args: &Args) -> ExitCode {
    let words = &args.words;
    if words.iter().any(|word| word == "--help" || word == "-h") {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let program = match std::env::current_exe() {
        Ok(file) => Program { file, words: words.clone() },
        Err(error) => return fail(&PlanError::Directory(error), EXIT_FAILED),
    };
    if input::is_named(words)
        && let Err(error) = input::hold()
    {
        return fail(&ConfigError::Stdin(error), EXIT_SETTINGS);
    }
    match plan(words, &program.file) {
        Err(error) => fail(&error, EXIT_SETTINGS),
        Ok(plan) => serve(plan, program),
    }
}

/// As [`run`], until the process ends that began this one.
pub fn run_for_parent(args: &Args) -> ExitCode {
    match set_parent_process_death_signal(Some(Signal::KILL)) {
        Ok(()) => run(args),
        Err(error) => fail(&error, EXIT_FAILED),
    }
}

/// Serves, or keeps the process that does.
fn serve(plan: Plan, program: Program) -> ExitCode {
    if !plan.keeper {
        return serve_here(plan);
    }
    let mut startup = match Startup::begin(&plan.wanted) {
        Ok(startup) => startup,
        Err(error) => return fail(&format!("cannot leave the foreground: {error}"), EXIT_FAILED),
    };
    let role = keeper::keep(Beginning::First(&mut startup), plan.rules, &program);
    if matches!(role, Ok(Role::Server)) {
        // It is the keeper's, which has the same descriptors and the file of the process id.
        std::mem::forget(startup);
    }
    take_part(role, plan, program)
}

/// Goes on as the keeper, or as the server that it keeps.
pub(super) fn take_part(role: io::Result<Role>, mut plan: Plan, program: Program) -> ExitCode {
    match role {
        Ok(Role::Ended(status)) => status,
        Ok(Role::Server) => {
            plan.startup = Some(Startup::of_kept(Kept {
                // Where it comes too late that has been found out.
                ready: || {
                    let _ = keeper::board::get().map(Board::serves);
                },
                stopping: || keeper::board::get().into_iter().for_each(Board::stops),
            }));
            if let Some(board) = keeper::board::get().filter(|board| !board.is_heir())
                && input::is_named(&program.words)
                && let Err(error) = input::note(board)
            {
                return fail(&ConfigError::Stdin(error), EXIT_FAILED);
            }
            plan.options.program = Some(program);
            serve_here(plan)
        }
        Err(error) => {
            let error = format!("cannot keep a server: {error}; check the limits of processes");
            fail(&error, EXIT_FAILED)
        }
    }
}

fn serve_here(mut plan: Plan) -> ExitCode {
    // Before anything is opened.
    if let Some(board) = keeper::board::get().filter(|board| board.is_heir())
        && let Err(error) = descriptors::take_over(board)
    {
        return fail(
            &format!("cannot go on with what the server before has left: {error}"),
            EXIT_UNUSABLE,
        );
    }
    let logging = log::start(plan.log_format, plan.log_file.as_deref(), plan.syslog.as_ref());
    if let Err(error) = logging {
        let path = plan.log_file.unwrap_or_default();
        let error = format!("cannot write the log file {}: {error}; check logfile", path.display());
        return fail(&error, EXIT_SETTINGS);
    }
    match plan.startup.take().map_or_else(|| Startup::begin(&plan.wanted), Ok) {
        Ok(startup) => plan.options.startup = startup,
        Err(error) => return fail(&format!("cannot leave the foreground: {error}"), EXIT_FAILED),
    }
    let path = plan.admin.unwrap_or_else(|| socket::default_path(port_of(&plan.options.settings)));
    let admin = match listen::inherited_at(&path) {
        Some(listener) => Socket::go_on(&path, &plan.admin_uids, listener),
        None => Socket::bind(&path, &plan.admin_uids),
    };
    let admin = match admin {
        Ok(admin) => admin,
        Err(error) => return fail(&error, EXIT_ADMIN),
    };
    let metrics = match plan.metrics.as_deref().map(metrics_listener).transpose() {
        Ok(metrics) => metrics,
        Err(error) => return fail(&error, EXIT_LISTEN),
    };
    let parts = Parts::new(plan.logic, plan.verifier, admin, plan.proving)
        .with_program(plan.options.program.clone());
    match server::run(plan.options, &mut parts.with_metrics(metrics)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, exit_code(&error)),
    }
}

/// The socket at which metrics are to be served: an address and port, or a port of this machine alone.
fn metrics_listener(text: &str) -> Result<TcpListener, String> {
    let address = match text.parse::<u16>() {
        Ok(port) => (Ipv4Addr::LOCALHOST, port).into(),
        Err(_) => text.parse::<SocketAddr>().map_err(|_| {
            format!("--metrics takes ADDRESS:PORT or PORT, as 127.0.0.1:9121, not '{text}'")
        })?,
    };
    let bound = listen::inherited_to(address).map(TcpListener::from);
    let listener = bound.map_or_else(|| TcpListener::bind(address), Ok).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    listener.map_err(|error| {
        format!("cannot serve metrics at {address}: {error}; is another server using it?")
    })
}

/// The port the settings say, by which the default admin socket is named. Whether it is one is for
/// logic to say.
fn port_of(settings: &[Setting]) -> u16 {
    last(settings, "port").and_then(|text| text.parse().ok()).unwrap_or(PORT_DEFAULT)
}

pub(super) fn fail(error: &impl std::fmt::Display, code: u8) -> ExitCode {
    eprintln!("shell serve: {error}");
    ExitCode::from(code)
}

fn exit_code(error: &ServeError) -> u8 {
    match error {
        ServeError::Setting { .. } | ServeError::TooManyWorkers(_) | ServeError::Dir(_) => {
            EXIT_SETTINGS
        }
        ServeError::Logic(_) | ServeError::Init(_) => EXIT_LOGIC,
        ServeError::Listen(_) => EXIT_LISTEN,
        ServeError::Data(_) => EXIT_DATA,
        ServeError::Unusable(_) => EXIT_UNUSABLE,
        _ => EXIT_FAILED,
    }
}

/// Reads the arguments and the configuration file they name, for a program that was started from `file`.
pub fn plan(words: &[String], file: &Path) -> Result<Plan, PlanError> {
    let given = config::from_arguments(words)?;
    let logic = file.with_file_name(LOGIC_DEFAULT);
    let mut plan = Plan { logic, keeper: true, ..Plan::default() };
    plan.proving.probation = PROBATION;
    let mut settings = Vec::new();
    if let Some(file) = given.iter().rfind(|setting| setting.name == "config") {
        if file.values == ["-"] {
            settings = config::from_stdin()?;
        } else {
            let path = path_of(file, "config")?;
            settings = config::from_file(&path)?;
            plan.options.config_file = Some(path);
        }
    }
    settings.extend(given);
    for setting in settings {
        if config::is_shell_setting(&setting.name) {
            plan.take(&setting)?;
        } else {
            plan.options.settings.push(setting);
        }
    }
    // The order of the lines is kept among those of a turn.
    plan.options.settings.sort_by_key(|setting| config::turn(&setting.name));
    let settings = &plan.options.settings;
    plan.log_file = last(settings, "logfile").map(PathBuf::from);
    plan.syslog = is_on(settings, "syslog-enabled").then(|| Syslog {
        ident: last(settings, "syslog-ident").unwrap_or("redis").to_owned(),
        facility: last(settings, "syslog-facility").unwrap_or_default().to_owned(),
    });
    if plan.proving.folder.as_os_str().is_empty() {
        let (dir, port) = (last(settings, "dir").unwrap_or("."), port_of(settings));
        plan.proving.folder = std::path::absolute(dir)?.join(format!("shell-upgrades-{port}"));
    }
    plan.wanted = Wanted {
        daemonize: is_on(settings, "daemonize"),
        supervised: supervised(last(settings, "supervised").unwrap_or_default()),
        pid_file: last(settings, "pidfile").map(PathBuf::from),
    };
    Ok(plan)
}

/// The value that holds of a setting that the shell reads before logic has checked it, unless that is
/// empty.
fn last<'a>(settings: &'a [Setting], name: &str) -> Option<&'a str> {
    let last = settings.iter().rfind(|setting| setting.name == name)?;
    last.values.first().map(String::as_str).filter(|value| !value.is_empty())
}

fn is_on(settings: &[Setting], name: &str) -> bool {
    last(settings, name).is_some_and(|value| value.eq_ignore_ascii_case("yes"))
}

/// The supervisor of a word. One that means none is refused later, as all wrong values are.
fn supervised(word: &str) -> Named {
    match word.to_ascii_lowercase().as_str() {
        "upstart" => Named::Upstart,
        "systemd" => Named::Systemd,
        "auto" => Named::Auto,
        _ => Named::No,
    }
}

/// The library beside the executable.
pub fn default_logic() -> io::Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name(LOGIC_DEFAULT))
}

impl Plan {
    fn take(&mut self, setting: &Setting) -> Result<(), PlanError> {
        match setting.name.as_str() {
            "workers" => self.options.workers = workers_of(setting)?,
            "logic" => self.logic = path_of(setting, "logic")?,
            "admin" => self.admin = Some(path_of(setting, "admin")?),
            "verify-timeout-ms" => self.verifier.time_limit = milliseconds_of(setting)?,
            "upgrade-probation" => {
                self.proving.probation = time_of(setting, "upgrade-probation")?;
            }
            "upgrade-dir" => self.proving.folder = path_of(setting, "upgrade-dir")?,
            "admin-uids" => self.admin_uids = uids_of(setting)?,
            "logic-trusted-keys" => {
                let keys: Vec<_> =
                    setting.values.iter().filter(|key| !key.is_empty()).cloned().collect();
                let trusted = Trusted::read(&keys);
                let trusted =
                    trusted.map_err(|error| PlanError::Keys(setting.origin.clone(), error));
                self.verifier.trusted = Some(trusted?).filter(|_| !keys.is_empty());
            }
            "metrics" => {
                let value = single(setting, "metrics", "takes one address")?;
                self.metrics = Some(value.to_owned());
            }
            "arena" => self.options.arena.file = Some(path_of(setting, "arena")?),
            "log-format" => self.log_format = format_of(setting)?,
            "keeper" => self.keeper = switch_of(setting, "keeper")?,
            "check-recovered" => self.options.checks_arena = switch_of(setting, "check-recovered")?,
            "crashes-max" => self.rules.crashes_max = crashes_of(setting)?,
            "replace-timeout" => {
                self.rules.serves_max = time_of(setting, "replace-timeout")?;
            }
            // The file has been read, or this is in one: then it names itself at best.
            _ => {}
        }
        Ok(())
    }
}

fn single<'a>(
    setting: &'a Setting,
    name: &'static str,
    reason: &'static str,
) -> Result<&'a str, PlanError> {
    match setting.values.as_slice() {
        [value] if !value.is_empty() => Ok(value),
        _ => Err(wrong(setting, name, reason)),
    }
}

fn wrong(setting: &Setting, name: &'static str, reason: &'static str) -> PlanError {
    PlanError::Value { origin: setting.origin.clone(), name, reason }
}

fn path_of(setting: &Setting, name: &'static str) -> Result<PathBuf, PlanError> {
    // Absolute, as the server may change its working directory.
    Ok(std::path::absolute(single(setting, name, "takes one path")?)?)
}

fn workers_of(setting: &Setting) -> Result<u32, PlanError> {
    const REASON: &str = "takes a number above 0";
    let workers = single(setting, "workers", REASON)?.parse().unwrap_or(0);
    if workers == 0 { Err(wrong(setting, "workers", REASON)) } else { Ok(workers) }
}

fn milliseconds_of(setting: &Setting) -> Result<Duration, PlanError> {
    const NAME: &str = "verify-timeout-ms";
    const REASON: &str = "takes a number of milliseconds above 0";
    let milliseconds = single(setting, NAME, REASON)?.parse().unwrap_or(0);
    if milliseconds == 0 {
        return Err(wrong(setting, NAME, REASON));
    }
    Ok(Duration::from_millis(milliseconds))
}

fn crashes_of(setting: &Setting) -> Result<usize, PlanError> {
    const NAME: &str = "crashes-max";
    const REASON: &str = "takes a number of crashes a minute, up to 1000000";
    let crashes = single(setting, NAME, REASON)?.parse().ok();
    crashes.filter(|crashes| *crashes <= 1_000_000).ok_or_else(|| wrong(setting, NAME, REASON))
}

fn switch_of(setting: &Setting, name: &'static str) -> Result<bool, PlanError> {
    const REASON: &str = "takes yes or no";
    match single(setting, name, REASON)?.to_ascii_lowercase().as_str() {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err(wrong(setting, name, REASON)),
    }
}

fn uids_of(setting: &Setting) -> Result<Vec<u32>, PlanError> {
    let uids = setting.values.iter().map(|value| value.parse()).collect::<Result<_, _>>();
    uids.map_err(|_| wrong(setting, "admin-uids", "takes numbers of users"))
}

fn time_of(setting: &Setting, name: &'static str) -> Result<Duration, PlanError> {
    const REASON: &str = "takes a time, as 500ms, 30s, 2m or 1h";
    upgrade_plan::duration(single(setting, name, REASON)?).map_err(|_| wrong(setting, name, REASON))
}

fn format_of(setting: &Setting) -> Result<Format, PlanError> {
    const REASON: &str = "takes text or json";
    let value = single(setting, "log-format", REASON)?;
    Format::from_str(value, true).map_err(|_| wrong(setting, "log-format", REASON))
}

#[cfg(test)]
mod tests {
    use super::{LOGIC_DEFAULT, Named, Plan, PlanError, Setting};
    use std::path::Path;

    fn plan(words: &[String]) -> Result<Plan, PlanError> {
        super::plan(words, Path::new("/bin/shell"))
    }

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn the_command_line_overrides_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.conf");
        std::fs::write(&file, "workers 3\nport 1\nlogfile a.log\nlogic /a.so\n").unwrap();
        let line = format!("--port 2 --config {} --workers 5 --save 1 2", file.display());
        let plan = plan(&words(&line)).unwrap();
        assert_eq!(plan.options.workers, 5);
        assert_eq!(plan.logic, Path::new("/a.so"));
        assert_eq!(plan.log_file.as_deref(), Some(Path::new("a.log")));
        assert_eq!(plan.options.config_file.as_deref(), Some(file.as_path()));
        let names: Vec<_> = plan.options.settings.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["port", "logfile", "port", "save"]);
        assert_eq!(plan.options.settings[2].values, ["2"]);
    }

    #[test]
    fn users_are_applied_after_all_other_settings_and_their_file_last() {
        let line = "--aclfile x --user a on --hz 5 --user b on --acl-pubsub-default allchannels";
        let plan = plan(&words(line)).unwrap();
        let settings: Vec<_> = plan.options.settings.iter().map(Setting::to_string).collect();
        let expect = [
            r#"hz "5""#,
            r#"acl-pubsub-default "allchannels""#,
            r#"user "a" "on""#,
            r#"user "b" "on""#,
            r#"aclfile "x""#,
        ];
        assert_eq!(settings, expect);
    }

    #[test]
    fn the_last_value_says_how_the_process_starts() {
        let line = "--daemonize yes --pidfile a --supervised AUTO --pidfile b --syslog-enabled yes";
        let given = plan(&words(line)).unwrap();
        assert!(given.wanted.daemonize);
        assert_eq!(given.wanted.supervised, Named::Auto);
        assert_eq!(given.wanted.pid_file.as_deref(), Some(Path::new("b")));
        assert_eq!(given.syslog.unwrap().ident, "redis");
        let overridden = plan(&words("--daemonize yes --port 1 --daemonize no")).unwrap();
        assert!(!overridden.wanted.daemonize && overridden.syslog.is_none());
    }

    #[test]
    fn defaults() {
        let plan = plan(&[]).unwrap();
        assert!(plan.logic.is_absolute() && plan.logic.ends_with(LOGIC_DEFAULT));
        assert_eq!(plan.options.workers, 0);
        assert!(plan.options.settings.is_empty() && plan.admin.is_none());
    }

    #[test]
    fn wrong_values_are_refused_with_what_is_expected() {
        for line in [
            "--workers 0",
            "--workers x",
            "--workers",
            "--logic",
            "--log-format xml",
            "--verify-timeout-ms 0",
            "--keeper maybe",
            "--crashes-max x",
            "--upgrade-probation x",
        ] {
            let error = plan(&words(line)).unwrap_err().to_string();
            assert!(error.contains("takes"), "{line}: {error}");
        }
        let error = plan(&words("x.conf --port 1")).unwrap_err().to_string();
        assert!(error.contains("--config FILE"), "{error}");
    }
}
