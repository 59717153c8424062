//! The values of settings: from text to what is stored, and back.

use base::args::{parse_float, parse_integer};
use base::event;
use base::settings::row::{Kind, Row, Stop};

/// A parsed value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number.
    Number(i64),
    /// A text, with the number stored beside it.
    Text(Vec<u8>, i64),
    /// Output limits: class (0 normal, 1 replica, 2 pubsub), hard, soft, seconds.
    Limits(Vec<[i64; 4]>),
}

/// What is wrong with a value.
type Fault = String;

const ADDRESSES_MAX: usize = 16;

const CLASSES_WRONG: &str = "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.";

/// The value a text means for a setting, or what is wrong with it.
pub fn parse(setting: &Row, text: &[u8]) -> Result<Value, Fault> {
    let value = parse_kind(setting.kind, text).map_err(|fault| match setting.kind {
        Kind::FileName => format!("{} {fault}", setting.name),
        _ => fault,
    })?;
    match (value, setting.held_to) {
        (Value::Number(number), Some((min, max))) => Ok(Value::Number(number.clamp(min, max))),
        (value, _) => Ok(value),
    }
}

fn parse_kind(kind: Kind, text: &[u8]) -> Result<Value, Fault> {
    match kind {
        Kind::Bool => match word_index(&["no", "yes"], text) {
            Some(number) => Ok(Value::Number(number)),
            None => Err("argument must be 'yes' or 'no'".into()),
        },
        Kind::Integer(min, max) => parse_integer_in(text, min, max),
        Kind::Memory(min, max) => parse_memory_in(text, min, max),
        Kind::MemoryOrPercent => parse_memory_or_percent(text),
        Kind::Words(words) => match word_index(words, text) {
            Some(number) => Ok(Value::Number(number)),
            None => Err(must_be_one_of(words.iter().copied())),
        },
        Kind::Choice(words) => {
            let fits = |word: &&(&str, i64)| word.0.as_bytes().eq_ignore_ascii_case(text);
            let found = words.iter().find(fits).map(|word| Value::Number(word.1));
            found.ok_or_else(|| must_be_one_of(words.iter().map(|word| word.0)))
        }
        Kind::Classes => {
            let classes = event::parse_classes(text).ok_or(CLASSES_WRONG)?;
            Ok(Value::Number(classes as i64))
        }
        Kind::Secret => Ok(Value::Text(text.to_vec(), !text.is_empty() as i64)),
        Kind::Octal => parse_octal(text),
        Kind::OutputLimits => parse_limits(text).map(Value::Limits),
        Kind::Text | Kind::Directory => Ok(plain(text)),
        Kind::Addresses => parse_addresses(text),
        Kind::Shutdown => parse_shutdown(text).map(Value::Number),
        Kind::Primary => refuse_primary(text),
        Kind::Save => parse_save(text),
        Kind::OomScores => parse_scores(text),
        Kind::Percentiles => parse_percentiles(text),
        Kind::Template => check(text, is_template(text), TEMPLATE_WRONG),
        Kind::FileName => check(text, is_file_name(text), "can't be a path, just a filename"),
        Kind::HostName => check(text, is_host_name(text), HOST_NAME_WRONG),
    }
}

/// Why a value has no effect, if it would switch on what this server does not have.
pub fn lack(setting: &Row, value: &Value) -> Option<&'static str> {
    let switches_on = parse(setting, setting.default.as_bytes()).as_ref() != Ok(value);
    (switches_on && !setting.lacks.is_empty()).then_some(setting.lacks)
}

/// The text that stands for a number.
pub fn format(kind: Kind, number: i64) -> String {
    match kind {
        Kind::Bool => ["no", "yes"][(number != 0) as usize].into(),
        Kind::Memory(..) => (number as u64).to_string(),
        Kind::MemoryOrPercent if number < 0 => format!("{}%", number.unsigned_abs()),
        Kind::Words(words) => words.get(number as usize).copied().unwrap_or_default().into(),
        Kind::Choice(words) => {
            words.iter().find(|word| word.1 == number).map_or("", |word| word.0).into()
        }
        Kind::Classes => event::format_classes(number as u32),
        Kind::Octal => format!("{number:o}"),
        Kind::Shutdown if number == 0 => Stop::WORDS[0].0.into(),
        Kind::Shutdown => {
            let set = Stop::WORDS.iter().filter(|word| word.1 & number != 0);
            set.map(|word| word.0).collect::<Vec<_>>().join(" ")
        }
        _ => number.to_string(),
    }
}

const TEMPLATE_WRONG: &str = "template format is invalid or contains unknown variables";
const HOST_NAME_WRONG: &str = "Hostnames may only contain alphanumeric characters, hyphens or dots";

fn plain(text: &[u8]) -> Value {
    Value::Text(text.to_vec(), 0)
}

fn check(text: &[u8], valid: bool, otherwise: &str) -> Result<Value, Fault> {
    if valid { Ok(plain(text)) } else { Err(otherwise.into()) }
}

fn word_index(words: &[&str], text: &[u8]) -> Option<i64> {
    words.iter().position(|word| word.as_bytes().eq_ignore_ascii_case(text)).map(|at| at as i64)
}

fn must_be_one_of(words: impl Iterator<Item = &'static str>) -> Fault {
    let words: Vec<_> = words.collect();
    format!("argument(s) must be one of the following: {}", words.join(", "))
}

fn must_be_between(min: impl std::fmt::Display, max: impl std::fmt::Display) -> Fault {
    format!("argument must be between {min} and {max} inclusive")
}

fn parse_integer_in(text: &[u8], min: i64, max: i64) -> Result<Value, Fault> {
    let value = parse_integer(text).ok_or("argument couldn't be parsed into an integer")?;
    if (min..=max).contains(&value) {
        Ok(Value::Number(value))
    } else {
        Err(must_be_between(min, max))
    }
}

fn parse_memory_in(text: &[u8], min: u64, max: u64) -> Result<Value, Fault> {
    let bytes = parse_memory(text).ok_or("argument must be a memory value")?;
    if (min..=max).contains(&bytes) {
        Ok(Value::Number(bytes as i64))
    } else {
        Err(must_be_between(min, max))
    }
}

/// Bytes with an optional unit: `b`, `k`, `kb`, `m`, `mb`, `g`, `gb`. No digits mean 0, and what
/// does not fit is the most that does.
pub fn parse_memory(text: &[u8]) -> Option<u64> {
    let digits = text.iter().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit.to_ascii_lowercase().as_slice() {
        b"" | b"b" => 1,
        b"k" => 1000,
        b"kb" => 1 << 10,
        b"m" => 1_000_000,
        b"mb" => 1 << 20,
        b"g" => 1_000_000_000,
        b"gb" => 1 << 30,
        _ => return None,
    };
    let digit = |sum: u64, b: &u8| sum.saturating_mul(10).saturating_add((b - b'0') as u64);
    Some(number.iter().fold(0, digit).saturating_mul(unit))
}

fn parse_memory_or_percent(text: &[u8]) -> Result<Value, Fault> {
    const WRONG: &str = "argument must be a memory or percent value";
    let Some(number) = text.strip_suffix(b"%") else {
        return parse_memory(text).map(|bytes| Value::Number(bytes as i64)).ok_or(WRONG.into());
    };
    match parse_integer(number) {
        Some(0..=100) if number == b"0" => Ok(Value::Number(0)),
        Some(percent @ 0..=100) => Ok(Value::Number(-percent)),
        Some(101..) => Err("percentage argument must be less or equal to 100".into()),
        _ => Err(WRONG.into()),
    }
}

fn parse_octal(text: &[u8]) -> Result<Value, Fault> {
    let text = std::str::from_utf8(text).ok();
    match text.and_then(|text| i64::from_str_radix(text, 8).ok()) {
        Some(mode @ 0..=0o777) => Ok(Value::Number(mode)),
        Some(_) => Err(must_be_between("0", "777")),
        None => Err("argument couldn't be parsed as an octal number".into()),
    }
}

/// The words of a list: one space is between two, so a second one makes a word that is empty.
pub fn words(text: &[u8]) -> Vec<&[u8]> {
    if text.is_empty() { Vec::new() } else { text.split(|b| *b == b' ').collect() }
}

fn joined(words: &[impl AsRef<[u8]>]) -> Value {
    let words: Vec<&[u8]> = words.iter().map(AsRef::as_ref).collect();
    Value::Text(words.join(&b' '), 0)
}

fn parse_addresses(text: &[u8]) -> Result<Value, Fault> {
    let words = words(text);
    if words.len() > ADDRESSES_MAX {
        return Err("Too many bind addresses specified.".into());
    }
    if words.iter().any(|word| word.is_empty()) {
        return Err("Failed to bind to specified addresses.".into());
    }
    Ok(joined(&words))
}

fn parse_shutdown(text: &[u8]) -> Result<i64, Fault> {
    let number = |word: &[u8]| {
        Stop::WORDS.iter().find(|known| known.0.as_bytes().eq_ignore_ascii_case(word)).map(|w| w.1)
    };
    let numbers: Option<Vec<_>> = words(text).into_iter().map(number).collect();
    match numbers.filter(|numbers| !numbers.is_empty()) {
        None => Err(must_be_one_of(Stop::WORDS.iter().map(|word| word.0))),
        Some(numbers) => {
            let sum = numbers.iter().fold(0, |sum, number| sum | number);
            const BOTH: i64 = Stop::SAVE | Stop::NOSAVE;
            if sum & BOTH == BOTH {
                return Err("shutdown options SAVE and NOSAVE can't be used simultaneously".into());
            }
            Ok(sum)
        }
    }
}

/// None is a valid value; a server that serves something else than what it is to copy is not.
fn refuse_primary(text: &[u8]) -> Result<Value, Fault> {
    match words(text).as_slice() {
        [] | [b"no", b"one"] => Ok(plain(b"")),
        [_, port] => match parse_integer(port) {
            Some(0..=65_535) => Err("this server cannot copy another one; remove the line".into()),
            _ => Err("Invalid master port".into()),
        },
        _ => Err("wrong number of arguments".into()),
    }
}

fn parse_save(text: &[u8]) -> Result<Value, Fault> {
    const WRONG: &str = "Invalid save parameters";
    let words = words(text);
    let seconds_wrong = |word: &[u8]| parse_integer(word).is_none_or(|seconds| seconds < 1);
    let changes_wrong = |word: &[u8]| parse_integer(word).is_none_or(|changes| changes < 0);
    let wrong = |pair: &[&[u8]]| seconds_wrong(pair[0]) || changes_wrong(pair[1]);
    if !words.len().is_multiple_of(2) || words.chunks_exact(2).any(wrong) {
        return Err(WRONG.into());
    }
    Ok(joined(&words))
}

fn parse_scores(text: &[u8]) -> Result<Value, Fault> {
    let words = words(text);
    if words.len() != 3 {
        return Err("wrong number of arguments".into());
    }
    let fits = |word: &&[u8]| parse_integer(word).is_some_and(|n| (-2000..=2000).contains(&n));
    if !words.iter().all(fits) {
        return Err("Invalid oom-score-adj-values, elements must be between -2000 and 2000.".into());
    }
    Ok(joined(&words))
}

fn parse_percentiles(text: &[u8]) -> Result<Value, Fault> {
    let mut parsed = Vec::new();
    for word in words(text) {
        let value =
            parse_float(word).ok_or("Invalid latency-tracking-info-percentiles parameters")?;
        if !(0.0..=100.0).contains(&value) {
            return Err("latency-tracking-info-percentiles parameters should sit between \
                        [0.0,100.0]"
                .into());
        }
        let digits = format!("{value:.6}");
        parsed.push(digits.trim_end_matches('0').trim_end_matches('.').to_owned());
    }
    Ok(joined(&parsed))
}

/// Whether a text has at least one variable in braces, and none that is unknown.
fn is_template(text: &[u8]) -> bool {
    const VARIABLES: [&str; 7] =
        ["title", "listen-addr", "server-mode", "port", "tls-port", "unixsocket", "config-file"];
    let text = String::from_utf8_lossy(text);
    let mut rest = &*text;
    while let Some((_, after)) = rest.split_once('{') {
        match after.split_once('}') {
            Some((name, after)) if VARIABLES.contains(&name) => rest = after,
            _ => return false,
        }
    }
    !text.trim().is_empty() && !rest.contains('}')
}

fn is_file_name(text: &[u8]) -> bool {
    !text.contains(&b'/') && !text.contains(&b'\\')
}

fn is_host_name(text: &[u8]) -> bool {
    text.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
}

fn parse_limits(text: &[u8]) -> Result<Vec<[i64; 4]>, Fault> {
    let words = words(text);
    if !words.len().is_multiple_of(4) {
        return Err("Wrong number of arguments in buffer limit configuration.".into());
    }
    words.chunks_exact(4).map(limits_of_class).collect()
}

fn limits_of_class(words: &[&[u8]]) -> Result<[i64; 4], Fault> {
    let class = match words[0].to_ascii_lowercase().as_slice() {
        b"normal" => 0,
        b"slave" | b"replica" => 1,
        b"pubsub" => 2,
        _ => return Err("Invalid client class specified in buffer limit configuration.".into()),
    };
    let seconds = if words[3].is_empty() { Some(0) } else { parse_integer(words[3]) };
    let numbers = (parse_memory(words[1]), parse_memory(words[2]), seconds);
    match numbers {
        (Some(hard), Some(soft), Some(seconds @ 0..)) => {
            Ok([class, hard as i64, soft as i64, seconds])
        }
        _ => {
            Err("Error in hard, soft or soft_seconds setting in buffer limit configuration.".into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: Kind, text: &str, expect: Result<&str, &str>) {
        let found = parse_kind(kind, text.as_bytes()).map(|value| match value {
            Value::Number(number) => format(kind, number),
            Value::Text(text, _) => String::from_utf8(text).unwrap(),
            Value::Limits(limits) => format!("{limits:?}"),
        });
        match expect {
            Ok(expect) => assert_eq!(found.as_deref(), Ok(expect), "{kind:?} {text:?}"),
            Err(part) => assert!(found.unwrap_err().contains(part), "{kind:?} {text:?}"),
        }
    }

    #[test]
    fn numbers() {
        check(Kind::Bool, "YES", Ok("yes"));
        check(Kind::Bool, "1", Err("'yes' or 'no'"));
        check(Kind::Integer(0, 5), "5", Ok("5"));
        check(Kind::Integer(0, 5), "6", Err("between 0 and 5 inclusive"));
        check(Kind::Integer(0, 5), "05", Err("couldn't be parsed"));
        check(Kind::Octal, "755", Ok("755"));
        check(Kind::Octal, "1000", Err("between 0 and 777"));
        check(Kind::Octal, "9", Err("octal"));
        check(Kind::Words(&["a", "b"]), "B", Ok("b"));
        check(Kind::Words(&["a", "b"]), "c", Err("following: a, b"));
        check(Kind::Classes, "KEA", Ok("AKE"));
        check(Kind::Classes, "KEm$n", Ok("$nKEm"));
    }

    #[test]
    fn memory() {
        const ANY: Kind = Kind::Memory(0, u64::MAX);
        check(ANY, "10GB", Ok("10737418240"));
        check(ANY, "1k", Ok("1000"));
        check(ANY, "", Ok("0"));
        check(ANY, "99999999999999999999", Ok("18446744073709551615"));
        check(ANY, "1x", Err("memory value"));
        check(ANY, "-1", Err("memory value"));
        check(Kind::Memory(5, 9), "4b", Err("between 5 and 9"));
        check(Kind::MemoryOrPercent, "5%", Ok("5%"));
        check(Kind::MemoryOrPercent, "105%", Err("less or equal to 100"));
        check(Kind::MemoryOrPercent, "1mb", Ok("1048576"));
    }

    #[test]
    fn lists() {
        check(Kind::Save, "900 1 300 10", Ok("900 1 300 10"));
        check(Kind::Save, " 900 1", Err("Invalid save"));
        check(Kind::Save, "", Ok(""));
        check(Kind::Save, "0 1", Err("Invalid save"));
        check(Kind::Save, "900", Err("Invalid save"));
        check(Kind::Addresses, "127.0.0.1 -::1", Ok("127.0.0.1 -::1"));
        check(Kind::Addresses, "127.0.0.1  -::1", Err("Failed to bind"));
        check(Kind::Addresses, &"a ".repeat(17), Err("Too many bind"));
        check(Kind::Shutdown, "NOW nosave", Ok("nosave now"));
        check(Kind::Shutdown, "default", Ok("default"));
        check(Kind::Shutdown, "", Err("following: default, save, nosave, now, force"));
        check(Kind::Shutdown, "save nosave", Err("simultaneously"));
        check(Kind::Primary, "", Ok(""));
        check(Kind::Primary, "host 6379", Err("cannot copy"));
        check(Kind::Primary, "host abc", Err("Invalid master port"));
        check(Kind::Primary, "host", Err("wrong number"));
        check(Kind::OomScores, "1 2", Err("wrong number"));
        check(Kind::OomScores, "1 2 3000", Err("between -2000 and 2000"));
        check(Kind::Percentiles, "50 99.999 1.50", Ok("50 99.999 1.5"));
        check(Kind::Percentiles, "50 101", Err("should sit"));
        check(Kind::OutputLimits, "replica 1mb 2 3", Ok("[[1, 1048576, 2, 3]]"));
        check(Kind::OutputLimits, "normal 1 2", Err("Wrong number"));
        check(Kind::OutputLimits, "normal 1  2 3", Err("Wrong number"));
        check(Kind::OutputLimits, "normal 1 2 ", Ok("[[0, 1, 2, 0]]"));
        check(Kind::OutputLimits, "master 1 2 3", Err("Invalid client class"));
        check(Kind::OutputLimits, "normal 1 2 -3", Err("Error in hard"));
    }

    #[test]
    fn what_would_switch_on_what_there_is_not() {
        let row = |kind, default| Row::new("a", 0, kind, default).lacks("nothing");
        let check = |setting: Row, text: &str, expect: bool| {
            let value = parse(&setting, text.as_bytes()).unwrap();
            assert_eq!(lack(&setting, &value).is_some(), expect, "{:?} {text}", setting.kind);
        };
        check(row(Kind::Bool, "no"), "no", false);
        check(row(Kind::Bool, "no"), "yes", true);
        check(row(Kind::MemoryOrPercent, "0"), "0%", false);
        check(row(Kind::MemoryOrPercent, "0"), "5%", true);
        check(row(Kind::Save, ""), "", false);
        check(row(Kind::Save, ""), "900 1", true);
        check(Row::new("a", 0, Kind::Bool, "no"), "yes", false);
    }

    #[test]
    fn texts() {
        check(Kind::Template, "{title} {port}", Ok("{title} {port}"));
        check(Kind::Template, "{x}", Err("unknown variables"));
        check(Kind::Template, "", Err("invalid"));
        check(Kind::FileName, "a/b", Err("can't be a path, just a filename"));
        let named = Row::new("name", 0, Kind::FileName, "");
        let told = Err("name can't be a path, just a filename".to_owned());
        assert_eq!(parse(&named, b"a/b"), told);
        check(Kind::HostName, "a b", Err("Hostnames"));
    }
}
