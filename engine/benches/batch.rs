//! What a batch costs from input to output, without sockets and without cache misses: for counting
//! instructions.
//!
//! `valgrind --tool=callgrind <the bench's binary> get` counts those of a million GETs in pipelines
//! of 100; likewise `set`, `mset`, `lpush`. Two counts of the same build differ by less than 0.1 %.

#[path = "../tests/host/mod.rs"]
mod host;

use host::Server;

const PIPELINE: usize = 100;
const BATCHES: usize = 2_000;
const KEYS: usize = 1_000;

fn main() {
    let kinds = ["get", "set", "mset", "lpush", "publish"];
    let chosen: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    for kind in kinds.iter().filter(|k| chosen.is_empty() || chosen.iter().any(|c| c == *k)) {
        let begin = std::time::Instant::now();
        measure(kind);
        let ns = begin.elapsed().as_nanos() as usize / (PIPELINE * BATCHES);
        println!("{kind:8} {ns} ns a command");
    }
}

fn measure(kind: &str) {
    let mut server = Server::new();
    let client = server.connect();
    (0..KEYS).for_each(|key| drop(server.say(client, &format!("set key:{key} 0123456789"))));
    for batch in 0..BATCHES {
        for at in 0..PIPELINE {
            let key = (batch * PIPELINE + at) % KEYS;
            server.write(client, &command(kind, key));
        }
        server.run(client);
        assert!(!server.read(client).starts_with('-'), "{kind} failed");
    }
    server.say(client, "flushall");
}

fn command(kind: &str, key: usize) -> String {
    match kind {
        "get" => format!("get key:{key}"),
        "set" => format!("set key:{key} 0123456789"),
        "mset" => format!("mset key:{key} 0123456789 other:{key} 0123456789"),
        "lpush" => format!("lpush list:{key} 0123456789"),
        _ => format!("publish channel:{key} 0123456789"),
    }
}
