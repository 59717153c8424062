//! Client-side caching where memory runs out: nobody keeps in its cache what it could not be told of.

mod host;

use std::sync::atomic::Ordering::Relaxed;

use abi::client::flag;
use base::heap::testing;
use host::Server;

const OOM: &str = "-OOM command not carried out: the arena is full\r\n";

/// A server without what stays for good.
fn server() -> (Server, i64) {
    let mut server = Server::new();
    server.configure("latency-tracking", "no");
    server.configure("slowlog-log-slower-than", "-1");
    let first = server.connect();
    server.say(first, "config resetstat");
    server.disconnect(first);
    (server, testing::outstanding())
}

/// Two clients whose outputs have room.
fn clients(server: &mut Server) -> (usize, usize) {
    let clients = [server.connect(), server.connect()];
    for client in clients {
        server.say(client, "ping");
    }
    (clients[0], clients[1])
}

/// Runs a command with memory for so many allocations. Returns its reply, and whether more of them
/// were left.
fn run(server: &mut Server, who: usize, command: &str, allocations: u64) -> (String, bool) {
    server.write(who, command);
    testing::allow_allocations(allocations);
    server.run(who);
    let left = testing::allocations_left();
    testing::allow_allocations(u64::MAX);
    (server.read(who), left > 0)
}

fn end(mut server: Server, who: &[usize], held: i64) {
    for client in who {
        server.disconnect(*client);
    }
    let last = server.connect();
    server.say(last, "flushall");
    server.say(last, "config resetstat");
    server.disconnect(last);
    assert!(testing::outstanding() <= held, "{} bytes leak", testing::outstanding() - held);
}

#[test]
fn who_cannot_be_told_of_a_change_is_closed() {
    for mode in ["client tracking on", "client tracking on bcast prefix k"] {
        let (mut were_told, mut were_closed) = (0, 0);
        for allocations in 0.. {
            let (mut server, held) = server();
            let (cache, writer) = clients(&mut server);
            for command in ["hello 3", mode] {
                server.say(cache, command);
            }
            server.say(writer, "set k old");
            server.deliver();
            server.read(cache);
            server.say(cache, "get k");
            let (reply, is_enough) = run(&mut server, writer, "set k new", allocations);
            assert_eq!(reply, "+OK\r\n", "{mode}, {allocations}: it needs no memory itself");
            server.deliver();
            let is_told = server.read(cache).contains("invalidate");
            let is_closed = server.client(cache).flags.load(Relaxed) & flag::KILLED != 0;
            assert!(is_told || is_closed, "{mode}, {allocations} allocations");
            were_told += usize::from(is_told);
            were_closed += usize::from(is_closed);
            end(server, &[cache, writer], held);
            if is_enough {
                break;
            }
        }
        assert!(were_told > 0 && were_closed > 0, "{mode}: {were_told}, {were_closed}");
    }
}

#[test]
fn what_cannot_be_remembered_is_not_answered() {
    for allocations in 0.. {
        let (mut server, held) = server();
        let (cache, writer) = clients(&mut server);
        for command in ["hello 3", "client tracking on"] {
            server.say(cache, command);
        }
        server.say(writer, "mset k 1 l 2");
        let (reply, is_enough) = run(&mut server, cache, "mget k l none", allocations);
        server.say(writer, "mset k 2 l 3 none 4");
        server.deliver();
        let told = server.read(cache).matches("invalidate").count();
        if reply == OOM {
            assert!(told < 3, "{allocations} allocations");
        } else {
            assert_eq!(told, 3, "{allocations} allocations: {reply}");
        }
        end(server, &[cache, writer], held);
        if is_enough {
            assert!(reply.starts_with("*3"), "{reply}");
            break;
        }
    }
}

#[test]
fn who_cannot_be_entered_tracks_nothing() {
    let mode = "client tracking on bcast prefix a prefix bb prefix c";
    for allocations in 0.. {
        let (mut server, held) = server();
        let (cache, writer) = clients(&mut server);
        server.say(cache, "hello 3");
        let (reply, is_enough) = run(&mut server, cache, mode, allocations);
        let is_on = reply == "+OK\r\n";
        assert!(is_on || reply == OOM, "{reply}");
        assert_eq!(server.say(cache, "client getredir"), if is_on { ":0\r\n" } else { ":-1\r\n" });
        server.say(writer, "mset a 1 bb 1 c 1");
        server.deliver();
        assert_eq!(server.read(cache).matches("invalidate").count(), if is_on { 3 } else { 0 });
        if !is_on {
            assert!(server.say(writer, "info stats").contains("tracking_total_prefixes:0\r\n"));
            assert_eq!(server.say(cache, mode), "+OK\r\n", "none of them overlaps another");
        }
        end(server, &[cache, writer], held);
        if is_enough {
            assert!(is_on);
            break;
        }
    }
}

/// A client's output may have no room for what waits for it: it waits on.
#[test]
fn what_cannot_be_taken_waits() {
    let (mut server, held) = server();
    let (cache, writer) = clients(&mut server);
    for command in ["hello 3", "client tracking on", "get k"] {
        server.say(cache, command);
    }
    server.say(writer, "set k new");
    let output = &mut server.client(cache).output;
    let capacity = std::mem::replace(&mut output.capacity, output.end + 8);
    testing::allow_allocations(0);
    server.write(cache, "get l");
    server.run(cache);
    testing::allow_allocations(u64::MAX);
    server.client(cache).output.capacity = capacity;
    server.read(cache);
    server.deliver();
    assert!(server.read(cache).contains("invalidate"), "it is not lost");
    end(server, &[cache, writer], held);
}
