//! The second release's own way to the length of a common subsequence is seen in nothing but time.

use crate::harness::Server;

#[test]
fn the_second_release_tells_of_the_same_misses() {
    let server = Server::start();
    let (mut client, mut listener) = (server.connect(), server.connect());
    client.ask("CONFIG SET notify-keyspace-events Em");
    listener.ask("SUBSCRIBE __keyevent@0__:keymiss");
    client.ask("ZADD zset 1 a");
    client.ask("SET string abc");
    let mut told = |client: &mut crate::harness::Connection| {
        for line in ["LCS none zset LEN", "LCS none string LEN", "LCS string string LEN"] {
            client.ask(line);
        }
        let counts = ["keyspace_hits", "keyspace_misses"].map(|name| client.info(name));
        assert_eq!(client.ask("CONFIG RESETSTAT"), "+OK\r\n");
        listener.send(&["PING"]);
        let mut events = Vec::new();
        loop {
            let event = listener.read();
            if event.raw().contains("pong") {
                return (counts, events);
            }
            events.push(event);
        }
    };
    let first = told(&mut client);
    server.swap();
    assert_eq!(told(&mut client), first);
}
