//! Where the keys come from: another server, or a file of data, which a server of its own reads.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use redis::{Connection, Pipeline, RedisError, Value};

use super::connect;
use super::put::{Counts, replies};
use crate::cli::serve;
use crate::refusal::{Code, Refusal};

/// The verb that serves for as long as the process lives that has begun it.
pub const VERB: &str = "serve-for-parent";
/// Keys that one step of a scan may return, about.
const SCAN_COUNT: u64 = 500;
/// How often it is looked whether a file has been loaded.
const LOOK: Duration = Duration::from_millis(20);

/// A key that was read.
pub enum Taken {
    /// It is there.
    Value {
        /// As `DUMP` gives it.
        payload: Vec<u8>,
        /// How long it lives; 0: for ever.
        ttl_ms: i64,
    },
    /// It is not there any more.
    Gone,
    /// The server has not given it.
    Refused(String),
}

/// Where they come from.
pub struct Source {
    connection: Connection,
    /// As people know it; without a password.
    name: String,
    /// The only database that is wanted.
    db: Option<i64>,
    /// The server that reads a file.
    _own: Option<Own>,
}

impl Source {
    /// Opens it.
    ///
    /// # Errors
    /// The server does not answer, or the file cannot be loaded.
    pub fn open(source: &str, logic: Option<&Path>) -> Result<Self, Refusal> {
        if !source.contains("://") {
            return Self::of_file(Path::new(source), logic);
        }
        let failed = |error: RedisError| super::of_source(&error, &Counts::default());
        let url = redis::parse_redis_url(source).ok_or_else(|| {
            let text = "that is no address of a server: give redis://[user:pass@]HOST:PORT[/DB]";
            Refusal::new(Code::BadRequest, text)
        })?;
        let names_db = url.path().len() > 1 && url.scheme() == "redis";
        let connection = connect(source).map_err(failed)?;
        let db = names_db.then(|| redis::ConnectionLike::get_db(&connection));
        let host = url.host_str().unwrap_or_default();
        let name = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        Ok(Self { connection, name, db, _own: None })
    }

    fn of_file(file: &Path, logic: Option<&Path>) -> Result<Self, Refusal> {
        let own = Own::start(file, logic)?;
        let (connection, own) = own.connect()?;
        Ok(Self { connection, name: file.display().to_string(), db: None, _own: Some(own) })
    }

    /// As people know it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The databases that are wanted and have keys, with how many.
    pub fn databases(&mut self) -> Result<Vec<(i64, u64)>, RedisError> {
        if let Some(db) = self.db {
            let keys = redis::cmd("DBSIZE").query(&mut self.connection)?;
            return Ok(vec![(db, keys)]);
        }
        let text: String = redis::cmd("INFO").arg("keyspace").query(&mut self.connection)?;
        Ok(text.lines().filter_map(database).collect())
    }

    /// Goes on with a database.
    pub fn select(&mut self, db: i64) -> Result<(), RedisError> {
        redis::cmd("SELECT").arg(db).exec(&mut self.connection)
    }

    /// The next cursor, and keys; the last cursor is 0.
    pub fn scan(&mut self, cursor: u64) -> Result<(u64, Vec<Vec<u8>>), RedisError> {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("COUNT").arg(SCAN_COUNT).query(&mut self.connection)
    }

    /// The values of keys.
    pub fn take(&mut self, keys: &[Vec<u8>]) -> Result<Vec<Taken>, RedisError> {
        let mut pipeline = Pipeline::new();
        for key in keys {
            pipeline.cmd("DUMP").arg(key).cmd("PTTL").arg(key);
        }
        let told = replies(&mut self.connection, &pipeline, 2 * keys.len())?;
        let mut told = told.into_iter();
        let mut next = || told.next().unwrap_or(Ok(Value::Nil));
        Ok(keys.iter().map(|_| taken(next(), next())).collect())
    }
}

type Told = Result<Value, redis::ServerError>;

fn taken(dumped: Told, ttl: Told) -> Taken {
    match (dumped, ttl) {
        (Ok(Value::BulkString(payload)), Ok(Value::Int(-1))) => Taken::Value { payload, ttl_ms: 0 },
        // 0 would be for ever.
        (Ok(Value::BulkString(payload)), Ok(Value::Int(ttl_ms))) if ttl_ms > 0 => {
            Taken::Value { payload, ttl_ms }
        }
        (Ok(_), Ok(_)) => Taken::Gone,
        (Err(error), _) | (_, Err(error)) => Taken::Refused(error.to_string()),
    }
}

/// `db0:keys=7,…`
fn database(line: &str) -> Option<(i64, u64)> {
    let (db, rest) = line.trim().strip_prefix("db")?.split_once(":keys=")?;
    Some((db.parse().ok()?, rest.split(',').next()?.parse().ok()?))
}

/// A server of this program's own that has loaded a file. It ends with this.
struct Own {
    child: Child,
    file: PathBuf,
    folder: PathBuf,
}

impl Own {
    fn start(file: &Path, logic: Option<&Path>) -> Result<Self, Refusal> {
        let io = |error: std::io::Error| Refusal::new(Code::Io, error.to_string());
        let file = file.canonicalize().map_err(|error| {
            Refusal::new(Code::DataUnreadable, format!("cannot read {}: {error}", file.display()))
        })?;
        let logic =
            logic.map_or_else(serve::default_logic, |path| Ok(path.to_owned())).map_err(io)?;
        let folder = std::env::temp_dir().join(format!("shell-warm-{}", std::process::id()));
        fs::DirBuilder::new().mode(0o700).create(&folder).map_err(|error| {
            Refusal::new(Code::Io, format!("cannot make {}: {error}", folder.display()))
        })?;
        let begun = symlink(&file, folder.join("dump.rdb")).and_then(|()| {
            let printed = fs::File::create(folder.join("stderr"))?;
            let mut command = Command::new(std::env::current_exe()?);
            command.args([VERB, "--no-keeper", "--port", "0", "--workers", "1", "--save", ""]);
            command.arg("--logic");
            command.arg(logic).arg("--dir").arg(&folder);
            command.arg("--unixsocket").arg(folder.join("socket"));
            command.arg("--admin").arg(folder.join("admin"));
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(printed).spawn()
        });
        match begun {
            Ok(child) => Ok(Self { child, file, folder }),
            Err(error) => {
                // Best effort: the error that is returned matters more.
                let _ = fs::remove_dir_all(&folder);
                Err(io(error))
            }
        }
    }

    /// Waits until the file has been loaded.
    fn connect(mut self) -> Result<(Connection, Self), Refusal> {
        let url = format!("unix://{}", self.folder.join("socket").display());
        loop {
            if let Ok(Some(_)) = self.child.try_wait() {
                return Err(self.why_it_ended());
            }
            let asked = connect(&url).and_then(|mut connection| {
                redis::cmd("DBSIZE").exec(&mut connection)?;
                Ok(connection)
            });
            if let Ok(connection) = asked {
                return Ok((connection, self));
            }
            thread::sleep(LOOK);
        }
    }

    fn why_it_ended(&self) -> Refusal {
        let printed = fs::read_to_string(self.folder.join("stderr")).unwrap_or_default();
        let why = printed.lines().rev().find(|line| line.starts_with("shell serve: "));
        let why = why.map_or(printed.trim(), |line| line.trim_start_matches("shell serve: "));
        Refusal::new(Code::DataDamaged, format!("{}: {why}", self.file.display()))
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_are_read_as_they_are_told() {
        assert_eq!(database("db0:keys=7,expires=1,avg_ttl=0\r"), Some((0, 7)));
        assert_eq!(database("db12:keys=3"), Some((12, 3)));
        assert_eq!(database("# Keyspace"), None);
    }
}
