//! Many clients at once, on two workers, while releases are swapped and keys expire: what is told
//! leads to the same data, which it only does if everything is told in the order it was done.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::replay::{Recorder, assert_replayed};
use crate::harness::connection::encode;
use crate::harness::{Connection, Random, Server};

const CLIENTS: u64 = 8;
const SWAPS: usize = 4;
/// Pushes in a pipeline: enough of them that workers run at the same time.
const PUSHES: usize = 100;
/// Keys that all clients share.
const SHARED: u64 = 12;

/// A command on shared keys; its reply depends on what others do.
fn shared(random: &mut Random) -> String {
    let mut text = || format!("t{}", random.below(SHARED));
    let (text, other) = (text(), text());
    let mut list = || format!("l{}", random.below(SHARED));
    let (list, end) = (list(), list());
    let mut set = || format!("s{}", random.below(SHARED));
    let (set, third) = (set(), set());
    let hash = format!("h{}", random.below(SHARED));
    let mut zset = || format!("z{}", random.below(SHARED));
    let (zset, zset2) = (zset(), zset());
    let value = random.below(1000);
    match random.below(36) {
        0 => format!("SET {text} {value}"),
        1 => format!("SET {text} {value} PX {}", 1 + value % 20),
        2 => format!("SET {text} {value} KEEPTTL"),
        3 => format!("APPEND {text} {value}"),
        4 => format!("INCRBYFLOAT {text} 0.25"),
        5 => format!("PEXPIRE {text} {}", 1 + value % 20),
        6 => format!("DEL {text} {other}"),
        7 => format!("RENAME {text} {other}"),
        8 => format!("MSET {text} {value} {other} {value}"),
        9 => format!("GETEX {text} PX {}", 1 + value % 20),
        10 => format!("BITOP OR {text} {text} {other}"),
        11 | 12 => format!("LPUSH {list} {value} {value}"),
        13 => format!("LMOVE {list} {end} LEFT RIGHT"),
        14 => format!("BLPOP {list} {end} 0.01"),
        15 => format!("BLMOVE {list} {end} LEFT RIGHT 0.01"),
        16 => format!("LMPOP 2 {list} {end} RIGHT COUNT 3"),
        17 => format!("HSET {hash} {} {value} f v", value % 20),
        18 => format!("HINCRBYFLOAT {hash} n 0.25"),
        19 => format!("HDEL {hash} {} f n", value % 20),
        20 => format!("HSET {hash} {value} {}", "x".repeat(70)),
        21 => format!("SADD {set} {value} {}", value % 50),
        22 => format!("SADD {set} member:{}", value % 50),
        23 => format!("SPOP {set} {}", value % 8),
        24 => format!("SMOVE {set} {third} {}", value % 50),
        25 => format!("SUNIONSTORE {set} {set} {third}"),
        26 => format!("SDIFFSTORE {set} {set} {third}"),
        27 => format!("ZADD {zset} {value} {} {} {}", value % 40, value % 7, value % 50),
        28 => format!("ZINCRBY {zset} 0.1 member:{}", value % 30),
        29 => format!("ZPOPMIN {zset} {}", value % 4),
        30 => format!("BZMPOP 0.01 2 {zset} {zset2} MAX COUNT 3"),
        31 => format!("BZPOPMAX {zset} {zset2} 0.01"),
        32 => format!("ZUNIONSTORE {zset} 2 {zset2} {set} WEIGHTS 0.5 2"),
        33 => format!("ZRANGESTORE {zset} {zset2} 0 {}", value % 20),
        34 => format!("ZADD {zset} {value} {}", "x".repeat(70)),
        _ => format!("PEXPIRE {list} {}", 1 + value % 20),
    }
}

/// Pushes to a list that keeps the order in which all clients have pushed.
fn push(client: &mut Connection, number: u64, round: u64) {
    let push = |nth| encode(&["RPUSH", "order", &format!("{number}:{round}:{nth}")]);
    client.send_raw(&(0..PUSHES).flat_map(push).collect::<Vec<_>>());
    (0..PUSHES).for_each(|_| assert!(client.read().number() > 0));
}

/// Runs commands until it is told to stop; what belongs to this client alone is checked.
fn work(mut client: Connection, number: u64, stop: &AtomicBool) -> u64 {
    let mut random = Random(number + 1);
    let (count, own) = (format!("count:{number}"), format!("own:{number}"));
    let mut rounds = 0;
    while !stop.load(Relaxed) {
        rounds += 1;
        assert_eq!(client.ask(&format!("INCR {count}")).number() as u64, 2 * rounds - 1);
        push(&mut client, number, rounds);
        for _ in 0..random.below(4) {
            client.ask(&shared(&mut random));
        }
        client.send_raw(b"MULTI\r\n");
        client.expect(b"+OK\r\n");
        let push = format!("RPUSH {own} {rounds}");
        let commands = [shared(&mut random), format!("INCR {count}"), push, shared(&mut random)];
        commands.iter().for_each(|command| assert_eq!(client.ask(command), "+QUEUED\r\n"));
        let replies = client.ask("EXEC").raw();
        assert!(replies.contains(&format!("\r\n:{}\r\n:{rounds}\r\n", 2 * rounds)), "{replies}");
    }
    rounds
}

#[test]
fn effects_of_many_clients_lead_to_the_same_data() {
    let server = Server::start();
    let recorder = Recorder::start(&server);
    let stop = AtomicBool::new(false);
    let rounds = std::thread::scope(|scope| {
        let start = |number| {
            let (client, stop) = (server.connect(), &stop);
            scope.spawn(move || work(client, number, stop))
        };
        let clients: Vec<_> = (0..CLIENTS).map(start).collect();
        // A panic here must end the threads too.
        let swaps = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            (0..SWAPS).for_each(|_| server.swap());
        }));
        stop.store(true, Relaxed);
        swaps.expect("every swap succeeds");
        clients.into_iter().map(|client| client.join().expect("it ends well")).sum::<u64>()
    });
    assert!(rounds > CLIENTS, "every client has done something");
    assert!(server.connect().info("expired_keys") > 0, "keys have expired");
    assert_replayed("under load", &server, &recorder);
}
