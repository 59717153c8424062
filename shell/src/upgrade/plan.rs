//! How an upgrade is to prove itself, as an operator writes it.

use std::fmt;
use std::time::Duration;

use super::UpgradeRequest;
use super::phase::Course;
use crate::logic::share::Share;
use crate::refusal::{Code, Refusal};

/// Most steps of a canary.
const STEPS_MAX: usize = 32;
/// Longest time that can be asked for: a week.
const TIME_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long a canary's step takes unless it is said.
const STEP: Duration = Duration::from_secs(30);
/// How long a shadow lasts unless it is said.
const SHADOW: Duration = Duration::from_secs(30);
/// How long a probation lasts unless it is said.
pub const PROBATION: Duration = Duration::from_secs(60);

/// What an upgrade goes through once its library is loaded.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// How it runs beside what serves, before it is loaded; none if it does not.
    pub shadow: Option<Shadowed>,
    /// Whom it serves in each of its steps, before it serves all.
    pub steps: Vec<Share>,
    /// How long each step takes.
    pub step: Duration,
    /// For how long it is on probation then. Zero: not at all.
    pub probation: Duration,
    /// What it must not do.
    pub guard: Limits,
    /// Whoever asks is answered when its first step begins.
    pub no_wait: bool,
}

/// How a version runs beside what serves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shadowed {
    /// Of the commands, how many in a hundred.
    pub percent: f64,
    /// For how long.
    pub time: Duration,
    /// How many commands may differ that are not meant to.
    pub divergences: u64,
    /// Whether samples of those are without contents.
    pub redacts: bool,
}

/// What is worse than the version before. What is none is not looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// The 99th percentile of a command's duration is so many times as long.
    pub p99: Option<f64>,
    /// So much more of the commands end with an error, in percent of all.
    pub errors: Option<f64>,
    /// There are more panics than this.
    pub panics: Option<u64>,
    /// So much more memory is in use than what is stored explains, in percent of what was.
    pub memory: Option<f64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { p99: Some(1.5), errors: Some(0.5), panics: Some(0), memory: Some(10.0) }
    }
}

impl Plan {
    /// What a request asks for; `probation` if it says nothing of that.
    ///
    /// # Errors
    /// `bad_request`.
    pub fn of(request: &UpgradeRequest, probation: Duration) -> Result<Self, Refusal> {
        let wrong = |message| Refusal::new(Code::BadRequest, message);
        let steps = request.canary.as_deref().map_or(Ok(vec![]), steps).map_err(wrong)?;
        if steps.is_empty() && request.step.is_some() {
            return Err(wrong("a step's time is given without --canary, which has steps".into()));
        }
        let given = |text: &Option<String>, otherwise| {
            text.as_deref().map_or(Ok(otherwise), duration).map_err(wrong)
        };
        let (step, probation) =
            (given(&request.step, STEP)?, given(&request.probation, probation)?);
        let guard = request.guard.as_deref().map_or(Ok(Limits::default()), Limits::parse);
        let guard = guard.map_err(wrong)?;
        let shadow = shadow(request).map_err(wrong)?;
        Ok(Self { shadow, steps, step, probation, guard, no_wait: request.no_wait })
    }

    /// As the rules know it.
    pub fn course(&self, force: bool) -> Course {
        let (steps, probation) = (self.steps.len() as u8, !self.probation.is_zero());
        Course { force, shadow: self.shadow.is_some(), steps, probation }
    }
}

fn shadow(request: &UpgradeRequest) -> Result<Option<Shadowed>, String> {
    let UpgradeRequest { shadow, shadow_time, divergences, redact, .. } = request;
    let Some(share) = shadow else {
        return match shadow_time.is_some() || divergences.is_some() || *redact {
            true => Err("what is said of the shadow is said without --shadow".to_owned()),
            false => Ok(None),
        };
    };
    let percent = percent(share)?;
    let time = shadow_time.as_deref().map_or(Ok(SHADOW), duration)?;
    let divergences = divergences.unwrap_or(0);
    Ok(Some(Shadowed { percent, time, divergences, redacts: *redact }))
}

/// Reads a share of commands: `5%`.
///
/// # Errors
/// What is wrong with it.
pub fn percent(text: &str) -> Result<f64, String> {
    let percent = text.strip_suffix('%').and_then(|digits| digits.parse::<f64>().ok());
    percent
        .filter(|percent| *percent > 0.0 && *percent <= 100.0)
        .ok_or_else(|| format!("'{text}' is no share: it takes more than 0% and up to 100%"))
}

fn steps(text: &str) -> Result<Vec<Share>, String> {
    let steps: Vec<Share> =
        text.split(',').map(|step| Share::parse(step.trim())).collect::<Result<_, _>>()?;
    if steps.len() > STEPS_MAX {
        return Err(format!("{} steps are too many; give at most {STEPS_MAX}", steps.len()));
    }
    Ok(steps)
}

/// Reads a time: `30s`, `500ms`, `2m`, `1h`, or a number of seconds.
///
/// # Errors
/// What is wrong with it.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is no time; give it as 500ms, 30s, 2m or 1h, a week at most");
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let ms = match unit {
        "ms" => 1.0,
        "" | "s" => 1000.0,
        "m" => 60_000.0,
        "h" => 3_600_000.0,
        _ => return Err(wrong()),
    };
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let time = Duration::try_from_secs_f64(number * ms / 1000.0).map_err(|_| wrong())?;
    if time > TIME_MAX { Err(wrong()) } else { Ok(time) }
}

impl Limits {
    /// Reads `p99=1.5x,errors=+0.5%,panics=0,memory=+10%`. What is not named has its default; `off`
    /// in place of a value, or of all, switches it off.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self { p99: None, errors: None, panics: None, memory: None });
        }
        let mut limits = Self::default();
        for part in text.split(',').map(str::trim) {
            let wrong = || {
                format!(
                    "'{part}' is no limit; give p99=1.5x, errors=+0.5%, panics=0, memory=+10%, or \
                     off in place of a value"
                )
            };
            let (name, value) = part.split_once('=').ok_or_else(wrong)?;
            let number = |before: &str, after: &str, least: f64| -> Result<Option<f64>, String> {
                if value == "off" {
                    return Ok(None);
                }
                let digits = value.strip_prefix(before).and_then(|v| v.strip_suffix(after));
                let number = digits.and_then(|digits| digits.parse::<f64>().ok());
                number.filter(|n| n.is_finite() && *n >= least).map(Some).ok_or_else(wrong)
            };
            match name {
                "p99" => limits.p99 = number("", "x", 1.0)?,
                "errors" => limits.errors = number("+", "%", 0.0)?,
                "memory" => limits.memory = number("+", "%", 0.0)?,
                "panics" => limits.panics = number("", "", 0.0)?.map(|panics| panics as u64),
                _ => return Err(wrong()),
            }
        }
        Ok(limits)
    }
}

impl fmt::Display for Limits {
    /// As [`Limits::parse`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let off = || "off".to_owned();
        let p99 = self.p99.map_or_else(off, |factor| format!("{factor}x"));
        let errors = self.errors.map_or_else(off, |percent| format!("+{percent}%"));
        let panics = self.panics.map_or_else(off, |count| count.to_string());
        let memory = self.memory.map_or_else(off, |percent| format!("+{percent}%"));
        write!(f, "p99={p99},errors={errors},panics={panics},memory={memory}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let read = |text| duration(text).ok().map(|time| time.as_millis());
        let table = [("500ms", 500), ("30s", 30_000), ("1.5", 1500), ("2m", 120_000), ("0", 0)];
        for (text, ms) in table {
            assert_eq!(read(text), Some(ms), "{text}");
        }
        for text in ["", "s", "-1s", "1d", "1e9", "9999h", "1 s"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn limits() {
        let default = Limits::default();
        assert_eq!(Limits::parse("p99=1.5x,errors=+0.5%,panics=0,memory=+10%"), Ok(default));
        let given = Limits::parse("p99=2x,errors=off").unwrap();
        assert_eq!(given, Limits { p99: Some(2.0), errors: None, ..default });
        assert_eq!(Limits::parse("off").unwrap().panics, None);
        for text in
            ["p99=2x,errors=off,panics=3,memory=+12.5%", "p99=off,errors=+1%,panics=off,memory=off"]
        {
            assert_eq!(Limits::parse(text).unwrap().to_string(), text);
        }
        for text in
            ["", "p99", "p99=2", "p99=0.5x", "errors=1%", "errors=+NaN%", "cpu=1", "panics=-1"]
        {
            assert!(Limits::parse(text).is_err(), "{text}");
        }
    }

    fn plan(change: impl FnOnce(&mut UpgradeRequest)) -> Result<Plan, Refusal> {
        let mut request = UpgradeRequest::default();
        change(&mut request);
        Plan::of(&request, PROBATION)
    }

    #[test]
    fn what_is_not_said_has_a_default() {
        let plain = plan(|_| {}).unwrap();
        assert_eq!(
            (plain.steps.len(), plain.probation, plain.guard),
            (0, PROBATION, Limits::default())
        );
        let given = plan(|request| {
            request.canary = Some("1%, db=3,50%".into());
            request.probation = Some("0".into());
        });
        let course = given.unwrap().course(true);
        assert_eq!(course, Course { force: true, shadow: false, steps: 3, probation: false });
        let shadowed = plan(|request| request.shadow = Some("0.5%".into())).unwrap();
        let shadow = shadowed.shadow.unwrap();
        assert_eq!((shadow.percent, shadow.time, shadow.divergences), (0.5, SHADOW, 0));
        assert!(shadowed.course(false).shadow);
        assert!(plan(|request| request.shadow = Some("5".into())).is_err());
        assert!(plan(|request| request.divergences = Some(1)).is_err());
        let error = plan(|request| request.step = Some("1s".into())).unwrap_err();
        assert_eq!(error.code, Code::BadRequest);
        assert!(plan(|request| request.canary = Some("1%,".into())).is_err());
        assert!(plan(|request| request.canary = Some("1%,".repeat(40) + "1%")).is_err());
    }
}
