//! What a connection has told the server about itself, and what was told of it.

use crate::harness::{Connection, Server, eventually};

/// The line of `CLIENT LIST` of a connection without what changes from moment to moment.
fn described(watcher: &mut Connection, id: &str) -> String {
    let line = watcher.ask(&format!("CLIENT LIST ID {id}")).text();
    let lasting = |field: &&str| {
        !["age=", "idle=", "qbuf", "tot-mem="].iter().any(|name| field.starts_with(name))
    };
    line.split_whitespace().filter(lasting).collect::<Vec<_>>().join(" ")
}

#[test]
fn protocol_name_database_and_flags_stay() {
    let server = Server::start();
    server.swap();
    let (mut client, mut watcher) = (server.connect(), server.connect());
    client.ask("HELLO 3 SETNAME worker-7");
    for line in [
        "CLIENT SETINFO LIB-NAME tester",
        "CLIENT SETINFO LIB-VER 1.2",
        "CLIENT NO-TOUCH ON",
        "CLIENT NO-EVICT ON",
        "SELECT 9",
        "SET k nine",
        "WATCH k",
        "MULTI",
    ] {
        assert_eq!(client.ask(line), "+OK\r\n", "{line}");
    }
    assert_eq!(client.ask("GET k"), "+QUEUED\r\n");
    let id = {
        let list = watcher.ask("CLIENT LIST").text();
        let line = list.lines().find(|line| line.contains(" name=worker-7 ")).expect("its line");
        line.split(['=', ' ']).nth(1).expect("its id").to_owned()
    };
    let before = described(&mut watcher, &id);
    for field in ["db=9", "resp=3", "lib-name=tester", "lib-ver=1.2", "flags=xeT", "multi=1"] {
        assert!(before.contains(&format!(" {field} ")), "{before}");
    }
    // The first release tells less of it.
    server.swap();
    let told: Vec<_> = before.split(' ').collect();
    let less = described(&mut watcher, &id);
    assert!(less.split(' ').all(|field| told.contains(&field)), "{less} of {before}");
    server.swap();
    assert_eq!(described(&mut watcher, &id), before);
    assert_eq!(client.ask("EXEC"), "*1\r\n$4\r\nnine\r\n");
    assert_eq!(client.ask("GET missing"), "_\r\n");
    assert_eq!(client.ask("CLIENT GETNAME"), "$8\r\nworker-7\r\n");
    assert_eq!(watcher.ask("EXISTS k"), ":0\r\n");
    assert_eq!(client.ask("RESET"), "+RESET\r\n");
    assert_eq!(client.ask("GET k"), "$-1\r\n");
}

#[test]
fn who_has_given_the_password_need_not_do_so_again() {
    let server = Server::start_with(&["--requirepass", "secret"]);
    let (mut known, mut stranger) = (server.connect(), server.connect());
    let refusal = "-NOAUTH Authentication required.\r\n";
    assert_eq!(known.ask("GET k"), refusal);
    assert_eq!(known.ask("AUTH secret"), "+OK\r\n");
    server.swap();
    assert_eq!(known.ask("GET k"), "$-1\r\n");
    assert_eq!(stranger.ask("GET k"), refusal);
    let wrong = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
    assert_eq!(stranger.ask("AUTH other"), wrong);
    assert_eq!(server.connect().ask("GET k"), refusal);
    assert_eq!(stranger.ask("AUTH default secret"), "+OK\r\n");
    server.swap();
    assert_eq!(stranger.ask("GET k"), "$-1\r\n");
}

#[test]
fn idle_connections_of_both_workers_are_there_after_many_swaps() {
    let server = Server::start();
    let mut clients: Vec<_> = (0..200).map(|_| server.connect()).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.ask(&format!("CLIENT SETNAME c{n}")), "+OK\r\n");
    }
    (0..4).for_each(|_| server.swap());
    for (n, client) in clients.iter_mut().enumerate() {
        let name = format!("c{n}");
        assert_eq!(client.ask("CLIENT GETNAME").text(), name);
    }
    drop(clients);
    let mut watcher = server.connect();
    eventually("they are gone", || watcher.ask("CLIENT LIST").text().lines().count() == 1);
}
