//! `shell check` of logs: the same as a server says of them, without one.

use std::path::Path;

use super::{again, folder, kill, rewrite, setup, wait_until_written};
use crate::harness::Server;
use crate::harness::cli;

fn set(key: &str, value: &str) -> String {
    format!("*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${}\r\n{value}\r\n", key.len(), value.len())
}

fn shown(path: &Path) -> String {
    path.to_str().expect("a path").to_owned()
}

/// A server of the folder that was salvaged.
fn of_folder(folder: &Path) -> Server {
    setup("logic_v1").folder("appendonlydir", folder).start()
}

#[test]
fn a_whole_log_is_told_part_by_part() {
    let mut server = setup("logic_v1").start();
    let mut client = server.connect();
    client.ask("RPUSH list a b");
    rewrite(&mut client);
    for command in ["MULTI", "SET a 1", "SET b 2", "EXEC"] {
        client.ask(command);
    }
    wait_until_written(&server, &mut client);
    kill(&mut server);
    let manifest = shown(&folder(&server).join("appendonly.aof.manifest"));
    let ended = cli::run(&["check", &manifest, "--json"]);
    assert_eq!(ended.exit, 0, "{}", ended.stderr);
    let report = ended.json();
    assert_eq!(report["faults"], 0);
    let parts = report["parts"].as_array().expect("parts");
    assert_eq!(parts[0]["data"]["keys"][0]["type"], "list");
    assert_eq!(parts[1]["transactions"], 1);
    let text = cli::run(&["check", &manifest]).stdout;
    assert!(text.contains("can be loaded") && text.contains("with 1 transactions"), "{text}");
}

#[test]
fn what_is_readable_of_a_damaged_log_is_salvaged_and_the_log_left_alone() {
    let dir = tempfile::tempdir().expect("a folder");
    let (log, out) = (dir.path().join("log"), dir.path().join("out"));
    std::fs::create_dir(&log).expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(log.join(name), text).expect("a file");
    write(
        "appendonly.aof.manifest",
        "file a.1.incr.aof seq 1 type i\nfile a.2.incr.aof seq 2 type i\nfile a.3.incr.aof seq 3 type i\n",
    );
    write("a.1.incr.aof", &set("a", "1"));
    let damaged = set("b", "2") + "?" + &set("c", "3");
    write("a.2.incr.aof", &damaged);
    write("a.3.incr.aof", &set("d", "4"));
    let manifest = shown(&log.join("appendonly.aof.manifest"));
    let ended = cli::run(&["check", &manifest, "--salvage", &shown(&out)]);
    assert_eq!(ended.exit, 55, "{}", ended.stdout);
    let place = format!("byte {}: neither a command", set("b", "2").len());
    assert!(ended.stdout.contains(&place), "{}", ended.stdout);
    assert_eq!(std::fs::read_to_string(log.join("a.2.incr.aof")).expect("it"), damaged);
    let server = of_folder(&out);
    let mut client = server.connect();
    assert_eq!(client.ask("MGET a b c d").raw(), "*4\r\n$1\r\n1\r\n$1\r\n2\r\n$-1\r\n$-1\r\n");
    let ended = cli::run(&["check", &manifest, "--salvage", &shown(&out)]);
    assert_eq!(ended.exit, 57, "there is such a folder");
}

#[test]
fn a_log_is_cut_at_a_time() {
    let dir = tempfile::tempdir().expect("a folder");
    let (file, out) = (dir.path().join("a.aof"), dir.path().join("b.aof"));
    let text = [
        "#TS:100\r\n",
        &set("a", "1"),
        "#TS:200\r\n",
        &set("a", "2"),
        "#TS:300\r\n",
        &set("a", "3"),
    ];
    std::fs::write(&file, text.concat()).expect("a file");
    let (file, out_text) = (shown(&file), shown(&out));
    let cut = ["check", &file, "--salvage", &out_text, "--truncate-to-timestamp", "250"];
    assert_eq!(cli::run(&cut).exit, 0);
    assert_eq!(std::fs::read_to_string(&out).expect("it"), text[..4].concat());
    let bytes = std::fs::read(&out).expect("it");
    let server = setup("logic_v1").file("appendonly.aof", &bytes).start();
    assert_eq!(server.connect().ask("GET a").text(), "2");
}

#[test]
fn a_log_that_begins_with_data_is_looked_at_and_loaded_as_a_whole() {
    // As servers before Redis 7 wrote it: data, and commands behind it.
    let data = Server::start();
    let mut client = data.connect();
    client.ask("RPUSH list a");
    assert_eq!(client.ask("SAVE"), "+OK\r\n");
    let mut bytes = std::fs::read(data.dir().join("dump.rdb")).expect("the file");
    bytes.extend_from_slice(set("after", "1").as_bytes());
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("appendonly.aof");
    std::fs::write(&file, &bytes).expect("a file");
    let report = cli::run(&["check", &shown(&file), "--json"]).json();
    let part = &report["parts"][0];
    assert_eq!(
        (part["commands"].as_u64(), part["valid_bytes"].as_u64()),
        (Some(1), Some(bytes.len() as u64))
    );
    assert_eq!(part["data"]["checksum"], "right");
    let server = setup("logic_v2").file("appendonly.aof", &bytes).start();
    let mut client = server.connect();
    assert_eq!(client.ask("LLEN list"), ":1\r\n");
    assert_eq!(client.ask("GET after").text(), "1");
    client.ask("SET more 2");
    wait_until_written(&server, &mut client);
    assert_eq!(again(&server).connect().ask("GET more").text(), "2");
}
