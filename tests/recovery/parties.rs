//! Clients that are in the middle of something.

use crate::harness::{Connection, Server, eventually};

/// Each waits for something else, and goes on with it whatever becomes of the process that serves.
pub struct Parties {
    waits: Connection,
    queues: Connection,
    listens: Connection,
    watches: Connection,
    half: Connection,
    named: Connection,
}

impl Parties {
    pub fn of(server: &Server) -> Self {
        let [mut waits, mut queues, mut listens, mut watches, mut half, mut named] =
            [(); 6].map(|()| server.connect());
        waits.send(&["BLPOP", "nothing:a", "nothing:b", "0"]);
        queues.ask("MULTI");
        queues.ask("INCR queued");
        listens.ask("SUBSCRIBE channel");
        watches.ask("WATCH watched");
        watches.ask("MULTI");
        half.send_raw(b"*3\r\n$3\r\nSET\r\n$4\r\nhalf\r\n$10\r\n01234");
        named.ask("HELLO 3 SETNAME me");
        Self { waits, queues, listens, watches, half, named }
    }

    /// Waits until all that they have sent is read, and puts something besides there.
    pub fn settle(client: &mut Connection) {
        client.ask("CONFIG SET maxmemory 123456789");
        eventually("one waits", || client.ask("INFO clients").raw().contains("blocked_clients:1"));
        eventually("the rest is read", || client.ask("CLIENT LIST").raw().contains("qbuf=33"));
    }

    /// Each goes on where it stood.
    pub fn go_on(&mut self, client: &mut Connection) {
        let Self { waits, queues, listens, watches, half, named } = self;
        assert!(client.ask("INFO clients").raw().contains("blocked_clients:1"));
        let maxmemory = client.ask("CONFIG GET maxmemory");
        assert_eq!(maxmemory, "*2\r\n$9\r\nmaxmemory\r\n$9\r\n123456789\r\n");
        assert_eq!(client.ask("RPUSH nothing:b x"), ":1\r\n");
        assert_eq!(waits.read(), "*2\r\n$9\r\nnothing:b\r\n$1\r\nx\r\n");
        assert_eq!(queues.ask("EXEC"), "*1\r\n:1\r\n");
        assert_eq!(client.ask("PUBLISH channel text"), ":1\r\n");
        assert_eq!(listens.read(), "*3\r\n$7\r\nmessage\r\n$7\r\nchannel\r\n$4\r\ntext\r\n");
        assert_eq!(client.ask("SET watched x"), "+OK\r\n");
        assert_eq!(watches.ask("EXEC"), "*-1\r\n");
        half.send_raw(b"56789\r\n");
        assert_eq!(half.read(), "+OK\r\n");
        assert_eq!(client.ask("GET half"), "$10\r\n0123456789\r\n");
        assert_eq!(named.ask("CLIENT GETNAME"), "$2\r\nme\r\n");
        assert_eq!(named.ask("GET nothing"), "_\r\n", "it speaks RESP3");
    }
}
