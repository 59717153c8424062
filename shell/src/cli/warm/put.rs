//! Keys on their way from one server to the other.

use std::thread;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use redis::{Connection, ConnectionLike, Pipeline, RedisError, ServerError, Value};
use serde::Serialize;

use super::source::{Source, Taken};
use super::{BATCH_MAX, broken_off, of_source, of_target};
use crate::refusal::{Code, Refusal};

/// What became of the keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Keys that were read.
    pub keys: u64,
    /// Those that were put.
    pub put: u64,
    /// Those that were there.
    pub there: u64,
    /// Those that may have been changed or removed since it began.
    pub changed: u64,
    /// Those that were gone by the time they were read.
    pub gone: u64,
    /// Those that the server has not taken.
    pub refused: u64,
    /// Why it has not taken the first of these.
    pub why_refused: Option<String>,
}

impl Counts {
    /// For people.
    pub fn describe(&self) -> String {
        let mut text = format!("{} keys put, of {} that were read\n", self.put, self.keys);
        text += &format!("  there      {}\n", self.there);
        text += &format!("  changed    {} since it began\n", self.changed);
        text += &format!("  gone       {} before they were read\n", self.gone);
        if let Some(why) = &self.why_refused {
            text += &format!("  refused    {}, the first with: {why}\n", self.refused);
        }
        text
    }
}

/// Which words begin the errors after which nothing more can be put.
const ENDS: [&str; 7] = ["OOM", "READONLY", "MISCONF", "NOPERM", "NOAUTH", "LOADING", "BUSY"];

/// Putting them.
pub struct Putting {
    target: Connection,
    rate: u64,
    counts: Counts,
    /// When the next batch may begin.
    next: Instant,
}

impl Putting {
    /// Puts at most so many keys a second into a server.
    pub fn new(target: Connection, rate: u64) -> Self {
        Self { target, rate, counts: Counts::default(), next: Instant::now() }
    }

    /// Puts all keys of a source.
    ///
    /// # Errors
    /// `warm_over`, or `warm_failed` with the reason and how far it came.
    pub fn put_all(mut self, source: &mut Source, bar: &ProgressBar) -> Result<Counts, Refusal> {
        let databases = source.databases().map_err(|e| of_source(&e, &self.counts))?;
        for (db, keys) in databases {
            bar.inc_length(keys);
            bar.set_message(format!("db{db}"));
            source.select(db).map_err(|e| of_source(&e, &self.counts))?;
            let selected = redis::cmd("SELECT").arg(db).exec(&mut self.target);
            selected.map_err(|e| of_target(&e, &self.counts))?;
            let mut cursor = 0;
            loop {
                let (next, keys) = source.scan(cursor).map_err(|e| of_source(&e, &self.counts))?;
                let batch = usize::try_from((self.rate / 10).clamp(1, BATCH_MAX)).unwrap_or(1);
                for some in keys.chunks(batch) {
                    self.put(source, some)?;
                    bar.inc(some.len() as u64);
                }
                cursor = next;
                if cursor == 0 {
                    break;
                }
            }
        }
        Ok(self.counts)
    }

    /// Puts some keys, as soon as the rate allows it.
    fn put(&mut self, source: &mut Source, keys: &[Vec<u8>]) -> Result<(), Refusal> {
        thread::sleep(self.next.saturating_duration_since(Instant::now()));
        let takes = Duration::from_secs_f64(keys.len() as f64 / self.rate as f64);
        // Time that was lost is not made up for: the rate is a bound.
        self.next = Instant::now().max(self.next) + takes;
        let taken = source.take(keys).map_err(|e| of_source(&e, &self.counts))?;
        self.counts.keys += keys.len() as u64;
        let mut pipeline = Pipeline::new();
        for (key, taken) in keys.iter().zip(&taken) {
            match taken {
                Taken::Value { payload, ttl_ms } => {
                    pipeline.cmd("RESTORE").arg(key).arg(*ttl_ms).arg(payload);
                }
                Taken::Gone => self.counts.gone += 1,
                Taken::Refused(why) => self.refuse(why.clone()),
            }
        }
        let sent = pipeline.len();
        for reply in replies(&mut self.target, &pipeline, sent)
            .map_err(|error| of_target(&error, &self.counts))?
        {
            match reply {
                Ok(_) => self.counts.put += 1,
                Err(error) => self.not_put(&error)?,
            }
        }
        Ok(())
    }

    fn refuse(&mut self, why: String) {
        self.counts.refused += 1;
        self.counts.why_refused.get_or_insert(why);
    }

    fn not_put(&mut self, error: &ServerError) -> Result<(), Refusal> {
        match error.code() {
            "BUSYKEY" => self.counts.there += 1,
            "CHANGED" => self.counts.changed += 1,
            "WARMINGOVER" => {
                let why = error.details().unwrap_or_default();
                let Refusal { message, .. } = broken_off(why, &self.counts);
                return Err(Refusal::new(Code::WarmOver, message));
            }
            code if ENDS.contains(&code) => {
                return Err(broken_off(&error.to_string(), &self.counts));
            }
            _ => self.refuse(error.to_string()),
        }
        Ok(())
    }
}

/// Sends commands at once. An error is of the connection; those of the server are among the replies.
pub fn replies(
    connection: &mut Connection,
    pipeline: &Pipeline,
    sent: usize,
) -> Result<Vec<Result<Value, ServerError>>, RedisError> {
    if sent == 0 {
        return Ok(Vec::new());
    }
    let packed = pipeline.get_packed_pipeline();
    let values = connection.req_packed_commands(&packed, 0, sent)?;
    let told = |value| match value {
        Value::ServerError(error) => Err(error),
        value => Ok(value),
    };
    Ok(values.into_iter().map(told).collect())
}
