//! Files made by hand.

use crate::server::dump::crc64;
use crate::server::dump::old::string;

/// A file of a version with these records, its end and its checksum.
pub fn file(magic: &str, records: &[Vec<u8>]) -> Vec<u8> {
    let bytes = [magic.as_bytes(), &records.concat(), &[255]].concat();
    [&bytes[..], &crc64(&bytes).to_le_bytes()].concat()
}

/// A file of Redis 7.0.
pub fn of_7_0(records: &[Vec<u8>]) -> Vec<u8> {
    file("REDIS0010", records)
}

/// A key with a value of a type.
pub fn key(kind: u8, name: &str, value: &[u8]) -> Vec<u8> {
    [&[kind][..], &string(name.as_bytes()), value].concat()
}

/// A key that holds a string.
pub fn text(name: &str, value: &str) -> Vec<u8> {
    key(0, name, &string(value.as_bytes()))
}

/// The database of the keys behind it.
pub fn database(number: u8) -> Vec<u8> {
    vec![254, number]
}
