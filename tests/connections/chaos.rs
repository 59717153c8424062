//! Many clients that behave badly at once, and what they leave behind: nothing.

use std::io::Write;
use std::net::Shutdown;

use crate::harness::{Lines, Random, Server, eventually};

const THREADS: u64 = 6;
const STEPS: u64 = 250;
const SEED: u64 = 0x5eed_0001;

/// One client's life. It may be killed by others at any time, so every failure of its socket is
/// as good as success; only what it does read must be right.
fn misbehave(server: &Server, random: &mut Random) {
    let mut client = server.lines();
    // Ids count from 1, which is the watcher: these are others, some of them alive, or nobody.
    let (worker, id) = (random.below(2), 2 + random.below(STEPS * THREADS));
    let text = match random.below(10) {
        0 => "block 0\nqueued\n".to_owned(),
        1 => format!("block {}\nafter\n", 1 + random.below(20)),
        2 => format!("kill {worker} {id}\nx\n"),
        3 => format!("post {worker} {id} hello\n").repeat(1 + random.below(200) as usize),
        4 => format!("big {}\n", random.below(2_000_000)),
        5 => format!("bulk 100000\n{}", "b".repeat(random.below(100_000) as usize)),
        6 => "line\n".repeat(random.below(30_000) as usize),
        7 => "pause 5\nlater x\nunpause\n".to_owned(),
        8 => "subscribe\njob\nquit\nnever\n".to_owned(),
        _ => "half a li".to_owned(),
    };
    let _ = client.writer.write_all(text.as_bytes());
    match random.below(4) {
        0 => drop(client),
        1 => client.writer.shut(Shutdown::Write),
        2 => read_some(&mut client),
        _ => {
            let _ = client.writer.write_all(b"\nmore\n");
            read_some(&mut client);
        }
    }
}

fn read_some(client: &mut Lines) {
    let mut chunk = [0; 512];
    client.writer.wait_at_most(5);
    let _ = std::io::Read::read(&mut client.reader, &mut chunk);
}

#[test]
fn nothing_is_left_of_clients_that_misbehave() {
    let server = Server::echo("--maxclients 200 --normal-hard 1000000 --hz 100");
    let mut watcher = server.lines();
    assert_eq!(watcher.address().1, 1, "those that are killed have higher ids");
    let used = |client: &mut Lines| client.ask("used").parse::<u64>().unwrap();
    let round = |seed: u64| {
        std::thread::scope(|scope| {
            for thread in 1..=THREADS {
                let server = &server;
                scope.spawn(move || {
                    let mut random = Random(seed * thread);
                    (0..STEPS).for_each(|_| misbehave(server, &mut random));
                });
            }
        });
    };
    round(SEED);
    eventually("all are gone", || watcher.stats()[7] == 1);
    assert_eq!(watcher.ask("alive"), "alive");
    let first = used(&mut watcher);
    round(SEED + 1);
    eventually("all are gone", || watcher.stats()[7] == 1);
    let second = used(&mut watcher);
    assert!(second < first + 64 * 1024, "{first} bytes after one round, {second} after two");
}
