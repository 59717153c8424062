//! Settings as an operator writes them: on the command line and in a configuration file.
//!
//! Nothing here knows which settings exist; logic says so when they are applied, in the order
//! given. A few names are the shell's own, see [`is_shell_setting`]; [`crate::cli::serve`] takes
//! those out.
#![forbid(unsafe_code)]

pub mod files;
pub mod rewrite;

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Files that may include one another before it is taken for a loop.
const INCLUDE_DEPTH_MAX: usize = 16;

const SHELL_SETTINGS: [&str; 16] = [
    "workers",
    "logic",
    "logic-trusted-keys",
    "admin",
    "admin-uids",
    "config",
    "arena",
    "log-format",
    "verify-timeout-ms",
    "keeper",
    "crashes-max",
    "check-recovered",
    "replace-timeout",
    "metrics",
    "upgrade-dir",
    "upgrade-probation",
];

/// Whether a setting is the shell's own: not for logic, not touched by `CONFIG REWRITE`.
pub fn is_shell_setting(name: &str) -> bool {
    SHELL_SETTINGS.contains(&name)
}

/// When a setting is applied, of those at start: users need other settings, and the file of users needs
/// to know whether there are some already.
pub fn turn(name: &str) -> u32 {
    match name {
        "aclfile" => 2,
        "user" => 1,
        _ => 0,
    }
}

/// A name, in lower case, and its values, still texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Lower case.
    pub name: String,
    /// Possibly none.
    pub values: Vec<String>,
    /// Where it was read, for error messages: `file:line`, or the command line.
    pub origin: String,
}

impl fmt::Display for Setting {
    /// As a line of a configuration file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.values.iter().try_for_each(|value| write!(f, " {value:?}"))
    }
}

/// What is wrong with the settings given.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read configuration file {path}: {source}; check the path given to --config")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Standard input could not be read.
    #[error("cannot read the configuration from standard input: {0}; give it with --config FILE")]
    Stdin(#[source] io::Error),
    /// A file that another one includes could not be read.
    #[error("{origin}: cannot read the included file {path}: {source}; check the include line")]
    Include {
        /// Where the line is.
        origin: String,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// What is to be included has wildcards of no known form.
    #[error("{origin}: wrong wildcards: {reason}; use *, ? and [abc]")]
    Pattern {
        /// Where the line is.
        origin: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// A quote is not closed, or text follows a closing quote directly.
    #[error("{origin}: unbalanced quotes; close every quote and put a space after it")]
    Quotes {
        /// Where.
        origin: String,
    },
    /// A value is not UTF-8 text.
    #[error("{origin}: not UTF-8; settings are text")]
    NotText {
        /// Where.
        origin: String,
    },
    /// Files include one another.
    #[error("{origin}: more than {INCLUDE_DEPTH_MAX} nested includes; is a file including itself?")]
    IncludeDepth {
        /// Where.
        origin: String,
    },
    /// A value on the command line without a name.
    #[error(
        "unexpected argument '{0}'; settings are given as --name value, a file as --config FILE"
    )]
    Stray(String),
}

/// Splits `--name value… --name=value '--name value' …` into settings.
///
/// As with `redis-server`, what follows a name is its first value, even if it begins with dashes.
/// Only `--save` may stand without any: it is then the empty one.
pub fn from_arguments(arguments: &[String]) -> Result<Vec<Setting>, ConfigError> {
    let mut settings: Vec<Setting> = Vec::new();
    for (at, argument) in arguments.iter().enumerate() {
        let name = argument.strip_prefix("--").filter(|name| !name.is_empty());
        let next = arguments.get(at + 1).filter(|next| !next.starts_with("--"));
        match (settings.last_mut(), name) {
            (_, Some("no-keeper")) => settings.push(without_keeper()),
            (Some(last), _) if last.values.is_empty() => last.values.push(argument.clone()),
            (_, Some(name)) => settings.push(named_argument(name, next.is_some())?),
            (Some(last), None) => last.values.push(argument.clone()),
            (None, None) => return Err(ConfigError::Stray(argument.clone())),
        }
    }
    Ok(settings)
}

/// The short form of `--keeper no`.
fn without_keeper() -> Setting {
    let values = vec!["no".to_owned()];
    Setting { name: "keeper".to_owned(), values, origin: "command line".to_owned() }
}

fn named_argument(text: &str, value_follows: bool) -> Result<Setting, ConfigError> {
    let origin = "command line".to_owned();
    if let Some((name, value)) = text.split_once('=')
        && !name.contains(char::is_whitespace)
    {
        let values = vec![value.to_owned()];
        return Ok(Setting { name: name.to_ascii_lowercase(), values, origin });
    }
    let Some(mut setting) = parse_line(text.as_bytes(), origin)? else {
        return Err(ConfigError::Stray(format!("--{text}")));
    };
    if setting.name == "save" && setting.values.is_empty() && !value_follows {
        setting.values.push(String::new());
    }
    Ok(setting)
}

/// Reads a configuration file and what it includes.
pub fn from_file(path: &Path) -> Result<Vec<Setting>, ConfigError> {
    let text =
        std::fs::read(path).map_err(|source| ConfigError::Read { path: path.into(), source })?;
    let mut settings = Vec::new();
    read_into(&text, &path.display().to_string(), 0, &mut settings)?;
    Ok(settings)
}

/// Reads a configuration from standard input, to its end, and what it includes.
pub fn from_stdin() -> Result<Vec<Setting>, ConfigError> {
    let mut text = Vec::new();
    io::stdin().lock().read_to_end(&mut text).map_err(ConfigError::Stdin)?;
    let mut settings = Vec::new();
    read_into(&text, "standard input", 0, &mut settings)?;
    Ok(settings)
}

/// Appends the settings of a text, which is called `name` in errors.
fn read_into(
    text: &[u8],
    name: &str,
    depth: usize,
    out: &mut Vec<Setting>,
) -> Result<(), ConfigError> {
    for (index, line) in text.split(|&b| b == b'\n').enumerate() {
        let origin = format!("{name}:{}", index + 1);
        let Some(setting) = parse_line(line, origin)? else { continue };
        if setting.name == "include" {
            include(&setting, depth, out)?;
        } else {
            out.push(setting);
        }
    }
    Ok(())
}

/// Appends the settings of the files that a line includes, in the order of the line and, where a
/// wildcard stands for several, of their names.
fn include(line: &Setting, depth: usize, out: &mut Vec<Setting>) -> Result<(), ConfigError> {
    let origin = &line.origin;
    if depth == INCLUDE_DEPTH_MAX {
        return Err(ConfigError::IncludeDepth { origin: origin.clone() });
    }
    for named in &line.values {
        for path in files_of(named, origin)? {
            let text = std::fs::read(&path).map_err(|source| ConfigError::Include {
                origin: origin.clone(),
                path: path.clone(),
                source,
            })?;
            read_into(&text, &path.display().to_string(), depth + 1, out)?;
        }
    }
    Ok(())
}

/// The files that a path with wildcards stands for, possibly none; the one that a path without is.
fn files_of(named: &str, origin: &str) -> Result<Vec<PathBuf>, ConfigError> {
    if !named.contains(['*', '?', '[']) {
        return Ok(vec![named.into()]);
    }
    // As a shell expands it: a star stops at a slash and skips hidden files.
    let rules = glob::MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: true,
    };
    let found = glob::glob_with(named, rules)
        .map_err(|error| ConfigError::Pattern { origin: origin.to_owned(), reason: error.msg })?;
    // A folder that cannot be looked into has no file to include.
    Ok(found.filter_map(Result::ok).filter(|path| !path.is_dir()).collect())
}

/// One line of a configuration file; `None` for an empty line or a comment.
fn parse_line(line: &[u8], origin: String) -> Result<Option<Setting>, ConfigError> {
    let line = line.trim_ascii();
    if line.is_empty() || line[0] == b'#' {
        return Ok(None);
    }
    let Some(words) = split_words(line) else { return Err(ConfigError::Quotes { origin }) };
    let mut texts = Vec::with_capacity(words.len());
    for word in words {
        match String::from_utf8(word) {
            Ok(text) => texts.push(text),
            Err(_) => return Err(ConfigError::NotText { origin }),
        }
    }
    let name = texts.remove(0).to_ascii_lowercase();
    Ok(Some(Setting { name, values: texts, origin }))
}

/// Splits a line at white space. Double quotes allow `\n \r \t \b \a \xHH` and a backslash before
/// any other byte; single quotes allow `\'`. `None` when quotes are unbalanced.
pub fn split_words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = line.trim_ascii_start();
    while !rest.is_empty() {
        let (word, after) = take_word(rest)?;
        words.push(word);
        rest = after.trim_ascii_start();
    }
    Some(words)
}

/// The word at the start of `rest`, and what follows it. A quote may open inside a word, and ends
/// it when it closes.
fn take_word(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut word = Vec::new();
    loop {
        match rest {
            [] => return Some((word, rest)),
            [b, ..] if b.is_ascii_whitespace() => return Some((word, rest)),
            [quote @ (b'"' | b'\''), after @ ..] => {
                let after = take_quoted(*quote, after, &mut word)?;
                let ended = after.first().is_none_or(|b| b.is_ascii_whitespace());
                return ended.then_some((word, after));
            }
            [b, after @ ..] => {
                word.push(*b);
                rest = after;
            }
        }
    }
}

/// Appends what is inside the quotes and returns what follows the closing one.
fn take_quoted<'a>(quote: u8, mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (byte, after) = match rest {
            [] => return None,
            [b, after @ ..] if *b == quote => return Some(after),
            [b'\\', b'\'', after @ ..] if quote == b'\'' => (b'\'', after),
            [b'\\', b'x', high, low, after @ ..] if quote == b'"' => match hex(*high, *low) {
                Some(byte) => (byte, after),
                None => (b'x', &rest[2..]),
            },
            [b'\\', escaped, after @ ..] if quote == b'"' => (unescape(*escaped), after),
            [b, after @ ..] => (*b, after),
        };
        word.push(byte);
        rest = after;
    }
}

fn hex(high: u8, low: u8) -> Option<u8> {
    let digit = |b: u8| (b as char).to_digit(16);
    Some((digit(high)? << 4 | digit(low)?) as u8)
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_words(line: &str, expect: Option<&[&str]>) {
        let words = split_words(line.as_bytes());
        let expect = expect.map(|e| e.iter().map(|w| w.as_bytes().to_vec()).collect::<Vec<_>>());
        assert_eq!(words, expect, "{line}");
    }

    #[test]
    fn words_and_quotes() {
        check_words("a  b\tc", Some(&["a", "b", "c"]));
        check_words(r#"save """#, Some(&["save", ""]));
        check_words(r#"a "b c" 'd e'"#, Some(&["a", "b c", "d e"]));
        check_words(r#"a "\x41\n\"\\" '\'\n'"#, Some(&["a", "A\n\"\\", "'\\n"]));
        check_words(r#"a pre"fix ed""#, Some(&["a", "prefix ed"]));
        check_words(r#"a "\xzz""#, Some(&["a", "xzz"]));
        check_words(r#"a "b"#, None);
        check_words("a 'b", None);
        check_words(r#"a "b"c"#, None);
    }

    #[test]
    fn arguments_become_settings() {
        check_arguments(
            &["--save", "900", "1", "--MaxMemory=1GB", "--bind", "-::1", "--appendonly"],
            &[r#"save "900" "1""#, r#"maxmemory "1GB""#, r#"bind "-::1""#, "appendonly"],
        );
        check_arguments(
            &["--port 1", "--bind 'a  b' c", "--proc-title-template", "--x", "--loglevel", "--y"],
            &[
                r#"port "1""#,
                r#"bind "a  b" "c""#,
                r#"proc-title-template "--x""#,
                r#"loglevel "--y""#,
            ],
        );
        check_arguments(&["--save", "--hz", "1"], &[r#"save """#, r#"hz "1""#]);
        check_arguments(&["--hz", "1", "--save"], &[r#"hz "1""#, r#"save """#]);
        assert!(matches!(from_arguments(&["x".to_owned()]), Err(ConfigError::Stray(_))));
    }

    fn check_arguments(arguments: &[&str], expect: &[&str]) {
        let arguments: Vec<_> = arguments.iter().map(|word| (*word).to_owned()).collect();
        let settings = from_arguments(&arguments).unwrap();
        let found: Vec<_> = settings.iter().map(Setting::to_string).collect();
        assert_eq!(found, expect);
    }

    #[test]
    fn files_with_comments_and_includes() {
        let dir = tempfile::tempdir().unwrap();
        let (main, more) = (dir.path().join("main.conf"), dir.path().join("more.conf"));
        std::fs::write(&more, "Port 7\n").unwrap();
        let text = format!("# first\n\n  timeout 5 \r\ninclude {}\nhz 20", more.display());
        std::fs::write(&main, text).unwrap();
        let settings = from_file(&main).unwrap();
        let names: Vec<_> = settings.iter().map(|s| format!("{}={:?}", s.name, s.values)).collect();
        assert_eq!(names, [r#"timeout=["5"]"#, r#"port=["7"]"#, r#"hz=["20"]"#]);
        assert!(settings[0].origin.ends_with("main.conf:3"));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bad.conf");
        std::fs::write(&path, "port 1\nlogfile \"x\n").unwrap();
        let error = from_file(&path).unwrap_err().to_string();
        assert!(error.contains("bad.conf:2") && error.contains("quotes"), "{error}");
        std::fs::write(&path, format!("include {}\n", path.display())).unwrap();
        assert!(matches!(from_file(&path), Err(ConfigError::IncludeDepth { .. })));
        std::fs::write(&path, "port 1\n\ninclude /no/such.conf\n").unwrap();
        let error = from_file(&path).unwrap_err().to_string();
        assert!(error.contains("bad.conf:3: ") && error.contains("/no/such.conf"), "{error}");
        assert!(!error.contains("--config"), "{error}");
    }

    #[test]
    fn an_include_may_have_wildcards() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("b.conf"), "hz 2\n").unwrap();
        std::fs::write(at("a.conf"), "hz 1\n").unwrap();
        std::fs::write(at(".hidden.conf"), "hz 3\n").unwrap();
        std::fs::create_dir(at("folder.conf")).unwrap();
        let included = |pattern: &str| {
            std::fs::write(at("main"), format!("include {}\n", at(pattern).display())).unwrap();
            let settings = from_file(&at("main"))?;
            Ok(settings.iter().map(Setting::to_string).collect::<Vec<_>>())
        };
        let check = |pattern: &str, expect: &[&str]| {
            assert_eq!(
                included(pattern).unwrap_or_else(|e: ConfigError| vec![e.to_string()]),
                expect
            );
        };
        check("*.conf", &[r#"hz "1""#, r#"hz "2""#]);
        check("[b]?conf", &[r#"hz "2""#]);
        check("*.none", &[]);
        assert!(matches!(included("a**b"), Err(ConfigError::Pattern { .. })));
        std::fs::write(at("b.conf"), "hz \"2\n").unwrap();
        let error = included("*.conf").unwrap_err().to_string();
        assert!(error.contains("b.conf:1: "), "{error}");
    }
}
