//! What the second release tells of ranks, and the first does not know.

use crate::harness::Server;

#[test]
fn the_second_release_tells_scores_beside_ranks() {
    let server = Server::start();
    let mut connection = server.connect();
    connection.ask("ZADD z 1 a 2.5 b 3 c");
    let first = "-ERR wrong number of arguments for 'zrank' command\r\n";
    assert_eq!(connection.ask("ZRANK z b WITHSCORE"), first);
    _ = server.upgrade("logic_v2", &[]).report();
    for (line, reply) in [
        ("ZRANK z b", ":1\r\n"),
        ("ZRANK z b WITHSCORE", "*2\r\n:1\r\n$3\r\n2.5\r\n"),
        ("ZREVRANK z a withscore", "*2\r\n:2\r\n$1\r\n1\r\n"),
        ("ZRANK z none WITHSCORE", "*-1\r\n"),
        ("ZRANK none a WITHSCORE", "*-1\r\n"),
        ("ZRANK z b WITHSCORES", "-ERR syntax error\r\n"),
        ("ZRANK z b WITHSCORE x", first),
    ] {
        assert_eq!(connection.ask(line), reply, "{line}");
    }
    _ = server.upgrade("logic_v1", &[]).report();
    assert_eq!(connection.ask("ZRANK z b WITHSCORE"), first);
}
