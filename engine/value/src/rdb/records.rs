//! A file, record by record.

use std::borrow::Cow;

use super::{opcode, pass};
use crate::serialized::fault::Fault;
use crate::serialized::reader::Reader;

/// Where a record begins, and what is known there: enough to go on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Bytes of the file before it.
    pub at: usize,
    /// The database that keys are in.
    pub db: u64,
}

/// What a record is.
#[derive(Debug)]
pub enum Record<'a> {
    /// A key, whose value is to be read or passed over next.
    Key(Key),
    /// The source of a library of functions.
    Library(Cow<'a, [u8]>),
    /// A library in a form that nobody has released.
    OldLibrary,
    /// A field about the file.
    Aux(Cow<'a, [u8]>, Cow<'a, [u8]>),
    /// Data of the module with this number. Whether there is any.
    Module(u64, bool),
    /// The database that the next keys are in.
    Database(u64),
    /// How many keys the database has, and how many of them have a time to live, if that is true.
    Sizes(u64, u64),
    /// Something that says how much there is: it is not needed.
    Hint,
    /// The end of the records.
    End,
}

/// A key, and what stands before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// The database it is in.
    pub db: u64,
    /// Its type: one of [`kind`](crate::serialized::kind).
    pub kind: u8,
    /// When it expires, in Unix ms.
    pub expires_at: Option<i64>,
    /// Seconds for which it had not been used.
    pub idle_s: Option<u64>,
    /// How often it was used, as LFU counts.
    pub frequency: Option<u8>,
    /// Where its name begins.
    pub name_at: usize,
    /// Where its value begins.
    pub value_at: usize,
}

/// The time of a key that does not expire.
const NEVER: i64 = -1;

/// Attributes that the next key is to have.
#[derive(Clone, Copy, Default)]
struct Attributes {
    expires_at: Option<i64>,
    idle_s: Option<u64>,
    frequency: Option<u8>,
}

/// Reads a file from a place on.
pub struct Records<'a> {
    file: &'a [u8],
    /// Stands where the next record, or a key's value, begins.
    pub reader: Reader<'a>,
    version: u16,
    db: u64,
    attributes: Attributes,
}

impl<'a> Records<'a> {
    /// Of a file of a version, from a place on.
    pub fn new(file: &'a [u8], version: u16, from: Place) -> Self {
        let reader = Reader::from(file, from.at);
        Self { file, reader, version, db: from.db, attributes: Attributes::default() }
    }

    /// Where the next record begins. To be asked for behind a key's value only.
    pub fn place(&self) -> Place {
        Place { at: self.reader.at(), db: self.db }
    }

    /// The next record. What stands before a key, and belongs to it, comes with it.
    pub fn read(&mut self) -> Result<Record<'a>, Fault> {
        loop {
            let kind = self.reader.byte()?;
            let attributes = &mut self.attributes;
            match kind {
                ..opcode::SLOT_IMPORT => return self.key(kind),
                opcode::EXPIRETIME_MS => {
                    attributes.expires_at = Some(i64::from_le_bytes(self.reader.array()?));
                }
                opcode::EXPIRETIME => {
                    let seconds = u32::from_le_bytes(self.reader.array()?);
                    attributes.expires_at = Some(i64::from(seconds) * 1000);
                }
                opcode::IDLE => attributes.idle_s = Some(self.reader.length()?),
                opcode::FREQ => attributes.frequency = Some(self.reader.byte()?),
                other => return self.other(other),
            }
        }
    }

    fn key(&mut self, kind: u8) -> Result<Record<'a>, Fault> {
        let name_at = self.reader.at();
        self.reader.pass_string()?;
        let Attributes { expires_at, idle_s, frequency } = std::mem::take(&mut self.attributes);
        let expires_at = expires_at.filter(|at| *at != NEVER);
        let value_at = self.reader.at();
        let db = self.db;
        Ok(Record::Key(Key { db, kind, expires_at, idle_s, frequency, name_at, value_at }))
    }

    /// What is no key, nor belongs to one.
    #[cold]
    fn other(&mut self, kind: u8) -> Result<Record<'a>, Fault> {
        let reader = &mut self.reader;
        Ok(match kind {
            opcode::EOF => Record::End,
            opcode::SELECTDB => {
                self.db = reader.length()?;
                Record::Database(self.db)
            }
            opcode::RESIZEDB => Record::Sizes(reader.length()?, reader.length()?),
            opcode::SLOT_INFO => {
                pass::numbers(reader, 3)?;
                Record::Hint
            }
            opcode::AUX => Record::Aux(reader.string()?, reader.string()?),
            opcode::FUNCTION2 => Record::Library(reader.string()?),
            opcode::FUNCTION_PRE_GA => Record::OldLibrary,
            opcode::MODULE_AUX => {
                let number = reader.length()?;
                // When it is to be read: a number, and before it that it is one.
                pass::numbers(reader, 2)?;
                Record::Module(number, pass::module_data(reader)?)
            }
            _ => return Err(Fault::unknown(reader.begin(), "a record of an unknown kind")),
        })
    }

    /// Passes over the value of a key.
    pub fn pass_value(&mut self, key: &Key) -> Result<(), Fault> {
        pass::value(&mut self.reader, key.kind, self.version)
    }

    /// Goes to where the value of a key begins.
    pub fn return_to_value(&mut self, key: &Key) {
        self.reader = Reader::from(self.file, key.value_at);
    }

    /// The name of a key.
    pub fn name(&self, key: &Key) -> Result<Cow<'a, [u8]>, Fault> {
        Reader::from(self.file, key.name_at).string()
    }
}
