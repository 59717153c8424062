//! `shell check`: what is in a file and what is wrong with it, without keeping any of it.
//! The form of the report is in docs/writing-logic.md.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;
use std::ops::Range;

use super::fault::{Trouble, type_name};
use super::{CHECKSUM_WRONG, about};
use crate::exec::functions::compile_library;
use crate::exec::thread::ThreadContext;
use base::core::Core;
use base::crc64::{Checksum, crc64};
use base::hash::hash;
use base::loading::Mapped;
use keyspace::{Keys, Restoring};
use value::dump;
use value::dump::kinds::OF_FILES;
use value::rdb::{CHECKSUM_BYTES, HEAD_BYTES, Head, Key, Place, Record, Records, opcode};
use value::serialized::fault::Cause;

/// Faults that are told.
const FAULTS_TOLD: usize = 100;

/// Checks a file. Returns the report. Errors: it cannot be read at all.
pub fn check(thread: &mut ThreadContext, path: &str) -> Result<String, String> {
    let opened = Mapped::open(path, thread.core.host);
    let opened = opened.map_err(|why| format!("cannot read {path}: {why}"))?;
    let file = opened.ok_or_else(|| format!("there is no file {path}"))?;
    let head = match Head::read(file.bytes()) {
        Ok(head) => head,
        Err(fault) => return Err(format!("{path}: {}", Trouble::of_head(fault).told())),
    };
    let mut check = Check::new(file.bytes(), head);
    let end = check.walk(thread);
    if let Some(end) = end {
        check.look_at_checksum(end);
        let end = end + if check.head.has_checksum() { CHECKSUM_BYTES } else { 0 };
        if end < file.bytes().len() {
            check.line("behind", &[&end]);
        }
    }
    Ok(check.finish())
}

/// What has been found.
struct Check<'a> {
    file: &'a [u8],
    head: Head,
    report: String,
    /// By database and type: keys, those with a time to live.
    keys: BTreeMap<(u64, &'static str), [u64; 2]>,
    /// Hashes of keys with their databases.
    seen: HashSet<(u64, u64)>,
    expired: u64,
    empty: u64,
    faults: usize,
    kept: Vec<Range<usize>>,
}

impl<'a> Check<'a> {
    fn new(file: &'a [u8], head: Head) -> Self {
        Self {
            file,
            head,
            report: format!("version\t{}\n", head.version),
            keys: BTreeMap::new(),
            seen: HashSet::new(),
            expired: 0,
            empty: 0,
            faults: 0,
            kept: std::iter::once(0..HEAD_BYTES).collect(),
        }
    }

    fn line(&mut self, name: &str, words: &[&dyn std::fmt::Display]) {
        self.report += name;
        for word in words {
            // Writing to a string does not fail.
            let _ = write!(self.report, "\t{word}");
        }
        self.report.push('\n');
    }

    fn fault(&mut self, trouble: &Trouble) {
        self.faults += 1;
        if self.faults <= FAULTS_TOLD {
            self.line("fault", &[&trouble.at, &trouble.told_by_check()]);
        }
    }

    /// Reads all records as far as it is clear where one ends and the next begins. Returns where the
    /// records end, if that is found.
    fn walk(&mut self, thread: &mut ThreadContext) -> Option<usize> {
        let begin = Place { at: HEAD_BYTES, db: 0 };
        let mut records = Records::new(self.file, self.head.version, begin);
        loop {
            let begin = records.place().at;
            let is_good = match records.read() {
                Ok(Record::End) => return Some(records.place().at),
                Ok(Record::Key(key)) => self.key(&mut thread.core, &mut records, &key)?,
                Ok(other) => self.other(thread, &other, begin)?,
                Err(fault) => {
                    self.fault(&Trouble::of_record(records.reader.begin(), fault));
                    return None;
                }
            };
            if is_good {
                self.keep(begin..records.place().at);
            }
        }
    }

    /// A part of the file is good.
    fn keep(&mut self, part: Range<usize>) {
        match self.kept.last_mut().filter(|last| last.end == part.start) {
            Some(last) => last.end = part.end,
            None => self.kept.push(part),
        }
    }

    /// Looks at a key. Tells whether it is good; none if it is not clear where it ends.
    fn key(&mut self, core: &mut Core, records: &mut Records<'_>, key: &Key) -> Option<bool> {
        let name = match records.name(key) {
            Ok(name) => name,
            Err(fault) => {
                self.fault(&Trouble::of_record(key.name_at, fault));
                return self.pass(records, key).then_some(false);
            }
        };
        let fault = {
            let keys = Keys::new(core, 0);
            let building = keys.building(&Restoring { key: &name, expires_at: None, access: 0 });
            let version = self.head.version;
            dump::load_value(&mut records.reader, key.kind, version, &OF_FILES, &building).err()
        };
        if let Some(fault) = fault {
            if fault.cause == Cause::Empty {
                self.empty += 1;
            } else {
                self.fault(&Trouble::of_value(&records.reader, fault, key, &name));
            }
            records.return_to_value(key);
            return self.pass(records, key).then_some(false);
        }
        if !self.seen.insert((key.db, hash(&name, core.roots.seed))) {
            self.fault(&Trouble::damage(key.name_at, "a key that was in the file before"));
            return Some(false);
        }
        let counts = self.keys.entry((key.db, type_name(key.kind))).or_default();
        counts[0] += 1;
        counts[1] += u64::from(key.expires_at.is_some());
        self.expired += u64::from(key.expires_at.is_some_and(|at| at < core.clock.now_ms));
        Some(true)
    }

    /// Passes over a value. Tells whether that can be done.
    fn pass(&mut self, records: &mut Records<'_>, key: &Key) -> bool {
        records.pass_value(key).is_ok()
    }

    /// Looks at what is no key. Tells whether it is good; none if it is not clear where it ends.
    fn other(&mut self, thread: &ThreadContext, record: &Record<'_>, at: usize) -> Option<bool> {
        let looked = match record {
            Record::Aux(name, value) => {
                self.line("aux", &[&name.escape_ascii(), &value.escape_ascii()]);
                Ok(())
            }
            Record::Library(source) => {
                match compile_library(&thread.core, thread.exec.release, source) {
                    Ok(library) => {
                        self.line("library", &[&library.name.escape_ascii()]);
                        Ok(())
                    }
                    Err(error) => {
                        let text = String::from_utf8_lossy(error.text()).into_owned();
                        Err(Trouble::new(
                            at,
                            format!("a library of functions: {text}"),
                            "delete it",
                        ))
                    }
                }
            }
            // How many databases there are is for a server to say.
            Record::Database(_) => Ok(()),
            other => about::check(&thread.core, other, at),
        };
        let Err(trouble) = looked else { return Some(true) };
        self.fault(&trouble);
        (!matches!(record, Record::OldLibrary)).then_some(false)
    }

    fn look_at_checksum(&mut self, end: usize) {
        let stored = self.file[end..].first_chunk::<CHECKSUM_BYTES>();
        let found = match stored.map(|stored| u64::from_le_bytes(*stored)) {
            _ if !self.head.has_checksum() => "none",
            None => {
                self.fault(&Trouble::damage(end, "the file ends before its checksum"));
                "missing"
            }
            Some(0) => "none",
            Some(stored) if stored == crc64(&self.file[..end]) => "right",
            Some(_) => {
                self.fault(&Trouble::damage(end, CHECKSUM_WRONG));
                "wrong"
            }
        };
        self.line("checksum", &[&found]);
    }

    /// The report.
    fn finish(mut self) -> String {
        for ((db, kind), [keys, ending]) in std::mem::take(&mut self.keys) {
            self.line("keys", &[&db, &kind, &keys, &ending]);
        }
        let (expired, empty, faults) = (self.expired, self.empty, self.faults);
        self.line("expired", &[&expired]);
        self.line("empty", &[&empty]);
        self.line("faults", &[&faults]);
        let mut sum = Checksum::default();
        let mut end = vec![opcode::EOF];
        for part in std::mem::take(&mut self.kept) {
            sum.add(&self.file[part.clone()]);
            self.line("keep", &[&part.start, &part.end]);
        }
        sum.add(&end);
        if self.head.has_checksum() {
            end.extend(sum.value().to_le_bytes());
        }
        let digits: String = end.iter().map(|byte| format!("{byte:02x}")).collect();
        self.line("end", &[&digits]);
        self.report
    }
}
