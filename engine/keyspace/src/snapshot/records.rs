//! Keys as records of the file: dumps of them, or the commands that make them.
#![forbid(unsafe_code)]

use core::sync::atomic::Ordering::Relaxed;

use abi::snapshot::Snapshot;

use super::{LARGE_BYTES, form};
use crate::access;
use base::core::Core;
use base::effects::write_command;
use base::lzf::Compressor;
use base::roots::Roots;
use base::settings::setting;
use value::entry::Entry;
use value::rdb::write::{self, Used};
use value::remake::remake;

/// What a file is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Dumps, as a file of data is.
    Dumps,
    /// Commands, as a log is. A value is written at once, however large it is.
    Commands,
}

/// Records on their way to the file.
pub struct Records {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// 1 more than the database that the file has selected; 0: none.
    selected: u64,
    form: Form,
}

impl Records {
    /// None, to follow on what the file has.
    pub fn follow(roots: Roots, state: &Snapshot) -> Self {
        Self { bytes: Vec::new(), selected: state.selected.load(Relaxed), form: form(roots) }
    }

    /// Remembers what the file has selected, which has all these records.
    pub fn remember(&self, state: &Snapshot) {
        state.selected.store(self.selected, Relaxed);
    }

    /// Has the next key be one of a database.
    pub fn select(&mut self, db: u64) {
        if self.selected != db + 1 {
            select(self.form, &mut self.bytes, db);
            self.selected = db + 1;
        }
    }

    /// Appends records that others have made, the last of which leave this selected.
    pub(super) fn append(&mut self, records: &[u8], selected: u64) {
        self.bytes.extend_from_slice(records);
        self.selected = selected;
    }

    /// Appends a whole key.
    pub(super) fn key(&mut self, core: &mut Core, db: u64, entry: Entry<'_>) {
        self.select(db);
        whole(core, entry, &mut self.bytes);
    }

    /// Appends a key and the first part of its value. Returns where that goes on, or 0 if it does
    /// not.
    pub(super) fn begin_key(&mut self, core: &mut Core, db: u64, entry: Entry<'_>) -> u64 {
        self.select(db);
        if self.form == Form::Commands {
            as_commands(entry, &mut self.bytes);
            return 0;
        }
        begin(core, entry, &mut self.bytes);
        self.go_on(core, entry, 0)
    }

    /// Appends some more of a value. Returns where it goes on, or 0 at its end.
    pub(super) fn go_on(&mut self, core: &mut Core, entry: Entry<'_>, place: u64) -> u64 {
        let compressor = compressor(core);
        write::value(&mut self.bytes, compressor, entry, place, LARGE_BYTES / 4)
    }
}

/// Has the next key of a file be one of a database.
pub(super) fn select(form: Form, out: &mut Vec<u8>, db: u64) {
    match form {
        Form::Dumps => write::select(out, db),
        Form::Commands => {
            let db = itoa::Buffer::new().format(db).to_owned();
            write_command(out, [b"SELECT", db.as_bytes()].into_iter());
        }
    }
}

/// A key's record without the selection of its database.
pub(super) fn whole(core: &mut Core, entry: Entry<'_>, out: &mut Vec<u8>) {
    if form(core.roots) == Form::Commands {
        return as_commands(entry, out);
    }
    begin(core, entry, out);
    rest(core, entry, 0, out);
}

fn as_commands(entry: Entry<'_>, out: &mut Vec<u8>) {
    let mut say = |words: &[&[u8]]| write_command(out, words.iter().copied());
    remake(entry, entry.key(), &mut say);
}

/// What is left of a value from a place on.
pub(super) fn rest(core: &mut Core, entry: Entry<'_>, place: u64, out: &mut Vec<u8>) {
    let mut place = place;
    loop {
        place = write::value(out, compressor(core), entry, place, usize::MAX);
        if place == 0 {
            return;
        }
    }
}

/// What compresses strings, if they are to be.
fn compressor(core: &mut Core) -> Option<&mut Compressor> {
    core.get(setting::RDBCOMPRESSION).then_some(&mut core.compressor)
}

fn begin(core: &mut Core, entry: Entry<'_>, out: &mut Vec<u8>) {
    let policy = core.settings.policy;
    let used = match () {
        () if policy.is_lfu() => Used::Times(access::frequency(core, entry) as u8),
        () if policy.is_lru() => Used::NotFor(access::idle_ms(core, entry) / 1000),
        () => Used::Untold,
    };
    write::begin_key(out, compressor(core), entry, used);
}
