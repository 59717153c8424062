//! What takes long on one key holds up the clients of its own worker and commands on keys of the
//! same shards, nobody else.

use std::time::{Duration, Instant};

use crate::harness::{Connection, Server, command};

const WORKERS: usize = 4;
/// Elements of a large value.
const ELEMENTS: usize = 50_000;
/// How long the commands take together that others are to be served beside.
const LONG: Duration = Duration::from_millis(250);
/// Keys of others, so many that few have the shards of the large values.
const OTHERS: usize = 24;
/// How often it is tried, each time for twice as long.
const TRIES: usize = 5;
/// A quarter has the worker of who is busy, and a few may have the shards.
const SERVED_MIN: usize = OTHERS * 5 / 8;

/// Commands that are linear in a large value.
const COMMANDS: &[&str] = &[
    "SORT list ALPHA LIMIT 0 1",
    "SORT set BY nosort LIMIT 0 1",
    "HGETALL hash",
    "SMEMBERS set",
    "ZRANGE zset 0 -1",
    "SUNIONSTORE stored set",
    "ZUNIONSTORE stored 1 zset",
    "LREM list 0 none",
    "COPY hash stored REPLACE",
];

/// Makes the large values.
fn fill(client: &mut Connection) {
    let of = |head: &str, part: &dyn Fn(usize) -> String| -> Vec<_> {
        let numbers: Vec<_> = (0..ELEMENTS).collect();
        let lines = numbers.chunks(500).map(|some| {
            let parts: Vec<_> = some.iter().map(|number| part(*number)).collect();
            command(&format!("{head} {}", parts.join(" ")))
        });
        lines.collect()
    };
    let commands = [
        of("RPUSH list", &|number| format!("element:{number}")),
        of("SADD set", &|number| format!("member:{number}")),
        of("HSET hash", &|number| format!("field:{number} value")),
        of("ZADD zset", &|number| format!("{number} member:{number}")),
    ];
    client.pipeline(&commands.concat());
}

/// A transaction of one command, again and again.
fn repeated(line: &str, times: usize) -> Vec<u8> {
    format!("MULTI\r\n{}EXEC\r\n", format!("{line}\r\n").repeat(times)).into_bytes()
}

/// How many replies it has.
fn replies_of(times: usize) -> usize {
    times + 2
}

fn read_all(client: &mut Connection, times: usize) {
    (0..replies_of(times)).for_each(|_| _ = client.read());
}

/// How often the command is to be repeated to take long.
fn times(client: &mut Connection, line: &str) -> usize {
    let mut times = 1;
    loop {
        let begin = Instant::now();
        client.send_raw(&repeated(line, times));
        read_all(client, times);
        if begin.elapsed() > LONG {
            return times;
        }
        times *= 2;
    }
}

/// How many of the others, who all send a command on a key of their own, are answered before who is
/// busy has all its replies.
fn served_meanwhile(busy: &mut Connection, replies: usize, others: &mut [Connection]) -> usize {
    for (number, other) in others.iter_mut().enumerate() {
        other.send(&["SET", &format!("other:{number}"), "v"]);
    }
    let (mut served, mut left) = (0, replies);
    while served < others.len() {
        let now = others.iter_mut().filter_map(|other| other.has_reply().then_some(())).count();
        while left > 0 && busy.has_reply() {
            busy.read();
            left -= 1;
        }
        if left == 0 {
            break;
        }
        served = now;
        std::thread::sleep(Duration::from_millis(1));
    }
    (0..left).for_each(|_| _ = busy.read());
    others.iter_mut().for_each(|other| other.expect(b"+OK\r\n"));
    served
}

/// How many of the others are served while who is busy repeats a command for a certain time.
fn served_beside(
    line: &str,
    times: usize,
    busy: &mut Connection,
    waiting: &mut Connection,
    others: &mut [Connection],
) -> usize {
    busy.send_raw(&repeated(line, times));
    // Whoever wants the key waits for it, and holds up nobody of another worker.
    waiting.send(&["EXISTS", line.split(' ').nth(1).expect("a key")]);
    let served = served_meanwhile(busy, replies_of(times), others);
    waiting.expect(b":1\r\n");
    served
}

#[test]
fn others_are_served_while_a_command_on_a_large_value_runs() {
    let server = Server::start_with(&["--workers", &WORKERS.to_string()]);
    // New connections go to the worker with the fewest: a quarter of the others share the first's.
    let (mut busy, mut waiting) = (server.connect(), server.connect());
    let mut others: Vec<_> = (0..OTHERS).map(|_| server.connect()).collect();
    fill(&mut busy);
    for line in COMMANDS {
        let mut times = times(&mut busy, line);
        let mut served = || {
            times *= 2;
            served_beside(line, times / 2, &mut busy, &mut waiting, &mut others)
        };
        // On a machine with much else to do it takes longer until they get to run. If they cannot,
        // it does not help that the command takes longer.
        let are_served = (0..TRIES).any(|_| served() >= SERVED_MIN);
        assert!(are_served, "{line}: the others were not served meanwhile");
    }
}
