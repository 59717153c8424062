//! What is told of files that cannot be loaded.

use super::files::{database, file, key, of_7_0, text};
use super::{refusal, refusal_of, setup};
use crate::harness::Setup;
use crate::server::dump::old::{counted, string, ziplist};

const MORE: &str = "`shell check` tells more of it, and can save what is readable in another file";

/// Holds what is told of a file against what is expected, which begins behind the file's name.
fn check(file: &[u8], expect: &str) {
    assert_eq!(refusal(file).strip_prefix("dump.rdb: "), Some(expect));
}

#[test]
fn how_a_file_begins() {
    const FOREIGN: &str = "byte 0: this is no RDB file, which begins with REDIS or VALKEY and a \
                           version; check dir and dbfilename, or remove the file to start without data";
    for bytes in [&b""[..], b"REDIS", b"*3\r\n$3\r\nSET\r\n"] {
        check(bytes, FOREIGN);
    }
    for (head, version) in [("REDIS0013", 13), ("REDIS0080", 80), ("VALKEY081", 81)] {
        let expect = format!(
            "byte 0: version {version} of the format, and this server knows 1 to 12 of Redis's and \
             80 of Valkey's; load it with the server that wrote it, or one of a later version than \
             this"
        );
        check(&file(head, &[]), &expect);
    }
}

#[test]
fn damage_is_told_with_its_byte() {
    let sound = of_7_0(&[text("a", "1"), text("b", "2")]);
    check(&sound[..9], &format!("byte 9: it ends too early; {MORE}"));
    let expect = "byte 17: it ends too early, in the value of key \"b\" (string) of database 0";
    check(&sound[..17], &format!("{expect}; {MORE}"));
    check(&sound[..20], &format!("byte 20: the file ends before its checksum; {MORE}"));
    let mut other = sound.clone();
    other[13] = b'7';
    let expect =
        "byte 20: the checksum of all that is before it is another one: the file is damaged";
    check(&other, &format!("{expect}; {MORE}"));
    let mut list = ziplist(&[b"x".to_vec()]);
    list[10] = 9;
    let damaged = of_7_0(&[text("a", "1"), key(10, "l", &string(&list))]);
    let expect =
        "byte 17: a ziplist that is damaged, in the value of key \"l\" (list) of database 0";
    check(&damaged, &format!("{expect}; {MORE}"));
    let doubled = counted(&[b"m".to_vec(), b"m".to_vec()].map(|member| string(&member)));
    let expect =
        "byte 15: an element that is there twice, in the value of key \"s\" (set) of database 0";
    check(&of_7_0(&[key(2, "s", &doubled)]), &format!("{expect}; {MORE}"));
    let expect = "byte 14: a key that was in the file before";
    check(&of_7_0(&[text("a", "1"), text("a", "2")]), &format!("{expect}; {MORE}"));
    let expect = "byte 9: a value of an unknown type, in the value of key \"a\" (unknown type) of database 0";
    let text = refusal(&of_7_0(&[key(100, "a", b"x")]));
    assert!(text.contains(&expect.replace("byte 9", "byte 12")), "{text}");
}

#[test]
fn what_this_server_has_not_is_told_with_what_to_do() {
    let module = [&[247][..], &module_number("searchmod"), &[2, 1, 5, 1, b'x', 0]].concat();
    check(
        &of_7_0(&[module]),
        "byte 9: data of the module searchmod, and this server has no modules; save again on a \
         server without the module",
    );
    let value = [&module_number("searchmod")[..], &[5, 1, b'x', 0]].concat();
    check(
        &of_7_0(&[key(7, "m", &value)]),
        "byte 12: a value of a module, and this server has no modules, in the value of key \"m\" \
         (module) of database 0; delete or change the key on a server that reads it, and save \
         again; or `shell check` with --salvage writes a file without it",
    );
    check(
        &of_7_0(&[database(20), text("a", "1")]),
        "byte 9: database 20, and this server has 16; set databases to 21 or more",
    );
    check(
        &of_7_0(&[vec![246, 0]]),
        "byte 9: functions in a form that only release candidates of Redis 7.0 have written; load \
         the file with a released version of what wrote it, and save again",
    );
    let library = [&[245][..], &string(b"#!lua name=lib\nnonsense(")].concat();
    let text = refusal(&of_7_0(&[library]));
    let expect =
        "dump.rdb: byte 9: a library of functions that cannot be loaded: ERR Error compiling";
    assert!(text.starts_with(expect), "{text}");
    check(
        &of_7_0(&[vec![243, 0]]),
        "byte 9: a record of an unknown kind; load it with the server that wrote it, or one of a \
         later version than this",
    );
}

/// The number of a module, which is made of its name, as it is written.
fn module_number(name: &str) -> Vec<u8> {
    const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let place = |letter| LETTERS.find(letter).expect("a letter of names") as u64;
    let number = name.chars().fold(0, |sum, letter| sum << 6 | place(letter)) << 10;
    [&[0x81][..], &number.to_be_bytes()].concat()
}

#[test]
fn what_is_there_all_the_same_is_passed_over() {
    let empty = |kind, name: &str| key(kind, name, &[0]);
    let records = [
        [&[250][..], &string(b"redis-ver"), &string(b"7.0.15")].concat(),
        [&[250][..], &string(b"unheard-of"), &string(b"x")].concat(),
        vec![247, 5, 2, 1, 0],
        database(2),
        vec![251, 9, 3],
        vec![244, 1, 1, 0],
        [&[252][..], &1_000u64.to_le_bytes(), &text("gone", "x")].concat(),
        [&[252][..], &u64::MAX.to_le_bytes(), &text("stays", "x")].concat(),
        empty(1, "list"),
        empty(2, "set"),
        empty(4, "hash"),
        empty(5, "zset"),
        key(14, "quick", &counted(&[string(&ziplist(&[]))])),
    ];
    let server = setup(&of_7_0(&records)).start();
    let mut client = server.connect();
    client.ask("SELECT 2");
    assert_eq!(client.ask("DBSIZE"), ":1\r\n");
    assert_eq!(client.ask("PTTL stays"), ":-1\r\n");
    assert_eq!(client.info("rdb_last_load_keys_loaded"), 1);
    assert_eq!(client.info("rdb_last_load_keys_expired"), 1);
    let log = server.log();
    assert!(log.contains("empty keys left out: 5"), "{log}");
    assert!(log.contains("key \"quick\" (list) of database 2 has no elements"), "{log}");
    assert!(log.contains("written by version 7.0.15"), "{log}");
}

#[test]
fn a_checksum_may_be_missing_or_not_wanted() {
    let sound = of_7_0(&[text("a", "1")]);
    let zeros = [&sound[..sound.len() - 8], &[0; 8]].concat();
    let wrong = [&sound[..sound.len() - 8], &[1; 8]].concat();
    let more = [&sound[..], b"what is behind it is none of it"].concat();
    for (file, arguments) in
        [(&zeros, &[][..]), (&wrong, &["--rdbchecksum", "no"]), (&more, &[]), (&sound, &[])]
    {
        let server = setup(file).arguments(arguments.iter().copied()).start();
        assert_eq!(server.connect().ask("GET a"), "$1\r\n1\r\n");
    }
    assert!(refusal(&wrong).contains("byte 15: the checksum"));
}

#[test]
fn a_start_without_a_file_is_empty_and_one_with_another_name_is_found() {
    let server = Setup::of("logic_v1").port(crate::harness::free_port()).start();
    assert_eq!(server.connect().ask("DBSIZE"), ":0\r\n");
    let sound = of_7_0(&[text("a", "1")]);
    let named = setup(b"not this one").file("other.rdb", &sound);
    let server = named.arguments(["--dbfilename", "other.rdb"]).start();
    assert_eq!(server.connect().ask("DBSIZE"), ":1\r\n");
    let folder = setup(&sound).arguments(["--dbfilename", "."]);
    let expect = "cannot read .: is a directory; check dir and dbfilename";
    assert_eq!(refusal_of(folder), expect);
}
