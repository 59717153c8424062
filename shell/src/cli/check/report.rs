//! What logic reports of a file, as programs and people read it.

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::refusal::{Code, Refusal};

/// What is in a file, and what is wrong with it.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// The file.
    pub file: PathBuf,
    /// The version of its format.
    pub version: u64,
    /// What it tells of itself: names and values.
    pub aux: Vec<(String, String)>,
    /// Names of libraries of functions.
    pub libraries: Vec<String>,
    /// Keys by database and type.
    pub keys: Vec<Keys>,
    /// Keys whose time has come: they are not loaded.
    pub expired: u64,
    /// Keys without elements: they are not loaded.
    pub empty: u64,
    /// `right`, `wrong`, `none`, `missing`, or nothing if the end is not found.
    pub checksum: Option<String>,
    /// How much is wrong.
    pub faults: u64,
    /// The first faults, in the order of the file.
    pub first_faults: Vec<Fault>,
    /// The file that what is readable was written to.
    pub salvaged: Option<PathBuf>,
    /// Parts of the file that are readable.
    #[serde(skip)]
    pub kept: Vec<Range<u64>>,
    /// Where something follows the data, if something does.
    #[serde(skip)]
    pub behind: Option<u64>,
    /// What is to be behind them in another file.
    #[serde(skip)]
    pub end: Vec<u8>,
}

/// Keys of a database and a type.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Keys {
    /// The database.
    pub db: u64,
    /// As `TYPE` names it.
    #[serde(rename = "type")]
    pub kind: String,
    /// How many there are.
    pub keys: u64,
    /// How many of them have a time to live.
    pub with_ttl: u64,
}

/// Something that is wrong.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Bytes of the file before it.
    pub byte: u64,
    /// What it is, and what to do.
    pub text: String,
}

impl Report {
    /// Reads what logic has written.
    ///
    /// # Errors
    /// `internal` if it is no report.
    pub fn parse(file: &Path, text: &str) -> Result<Self, Refusal> {
        let mut report = Self { file: file.to_owned(), ..Self::default() };
        for line in text.lines() {
            report.take(line).ok_or_else(|| {
                Refusal::new(Code::Internal, format!("the logic reports what is not known: {line}"))
            })?;
        }
        Ok(report)
    }

    fn take(&mut self, line: &str) -> Option<()> {
        let words: Vec<&str> = line.split('\t').collect();
        let number = |word: &str| word.parse::<u64>().ok();
        match *words.as_slice() {
            ["version", version] => self.version = number(version)?,
            ["aux", name, value] => self.aux.push((name.to_owned(), value.to_owned())),
            ["library", name] => self.libraries.push(name.to_owned()),
            ["keys", db, kind, keys, with_ttl] => self.keys.push(Keys {
                db: number(db)?,
                kind: kind.to_owned(),
                keys: number(keys)?,
                with_ttl: number(with_ttl)?,
            }),
            ["expired", count] => self.expired = number(count)?,
            ["empty", count] => self.empty = number(count)?,
            ["checksum", state] => self.checksum = Some(state.to_owned()),
            ["faults", count] => self.faults = number(count)?,
            ["fault", byte, text] => {
                self.first_faults.push(Fault { byte: number(byte)?, text: text.to_owned() });
            }
            ["behind", at] => self.behind = Some(number(at)?),
            ["keep", from, to] => self.kept.push(number(from)?..number(to)?),
            ["end", digits] => self.end = bytes_of(digits)?,
            _ => return None,
        }
        Some(())
    }

    /// For people.
    pub fn describe(&self) -> String {
        let mut text = match self.faults {
            0 => format!("{} can be loaded\n", self.file.display()),
            faults => format!("{} cannot be loaded: {faults} faults\n", self.file.display()),
        };
        text += &format!("  version    {}\n", self.version);
        for (name, value) in &self.aux {
            text += &format!("  aux        {name} = {value}\n");
        }
        for name in &self.libraries {
            text += &format!("  library    {name}\n");
        }
        for Keys { db, kind, keys, with_ttl } in &self.keys {
            text +=
                &format!("  keys       db{db} {kind}: {keys}, {with_ttl} with a time to live\n");
        }
        text += &format!("  expired    {}\n", self.expired);
        if self.empty > 0 {
            text += &format!("  empty      {}\n", self.empty);
        }
        text += &format!("  checksum   {}\n", self.checksum.as_deref().unwrap_or("not found"));
        for fault in &self.first_faults {
            text += &format!("  fault      {}\n", fault.text);
        }
        if let Some(path) = &self.salvaged {
            text += &format!("  salvaged   what can be read is in {}\n", path.display());
        }
        text
    }
}

/// The bytes of hexadecimal digits.
fn bytes_of(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_line_by_line() {
        let text = "version\t10\naux\tredis-ver\t7\nkeys\t0\thash\t3\t1\nfaults\t1\n\
                    fault\t7\tbyte 7: x\nkeep\t0\t9\nkeep\t12\t20\nend\tff01\n";
        let report = Report::parse(Path::new("a"), text).unwrap();
        let keys = Keys { db: 0, kind: "hash".into(), keys: 3, with_ttl: 1 };
        assert_eq!((report.version, &report.keys[..]), (10, &[keys][..]));
        assert_eq!((&report.kept[..], &report.end[..]), (&[0..9, 12..20][..], &[0xff, 1][..]));
        assert!(report.describe().contains("cannot be loaded: 1 faults"));
        for line in ["", "version\tx", "keep\t1", "something\telse"] {
            let error = Report::parse(Path::new("a"), &format!("{line}\n")).unwrap_err();
            assert_eq!(error.code, Code::Internal, "{line}");
        }
    }
}
