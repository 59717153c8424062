//! A full arena: a command for which there is no memory has changed nothing, leaks nothing, and
//! succeeds once there is memory.
//!
//! Each command is run with memory running out at its first allocation, at its second, and so on.

mod host;

use base::heap::testing;
use host::Server;

const OOM: &str = "-OOM command not carried out: the arena is full\r\n";

/// What is known of a server's keys: how many, their values and times to live, and whether the
/// tables agree about who has one.
fn state(server: &mut Server, who: usize) -> String {
    let mut state = String::new();
    for db in ["0", "1"] {
        server.say(who, &format!("select {db}"));
        let keys = server.say(who, "keys *");
        let names: Vec<&str> = keys.split("\r\n").filter(is_name).collect();
        let count = |reply: String| reply[1..].trim_end().parse::<usize>().unwrap();
        assert_eq!(count(server.say(who, "dbsize")), names.len(), "{keys}");
        let with_ttl = names
            .iter()
            .filter(|name| !server.say(who, &format!("pexpiretime {name}")).starts_with(":-"));
        let with_ttl = with_ttl.count();
        let told = format!("db{db}:keys={},expires={with_ttl},", names.len());
        let info = server.say(who, "info keyspace");
        assert!(names.is_empty() || info.contains(&told), "{told} {info}");
    }
    server.say(who, "select 0");
    let keys = server.say(who, "keys *");
    for name in keys.split("\r\n").filter(is_name) {
        if server.say(who, &format!("type {name}")) == "+stream\r\n" {
            state += &server.say(who, &format!("xinfo stream {name}"));
            state += &server.say(who, &format!("xinfo groups {name}"));
        }
    }
    for command in ["dbsize", "debug digest", "acl list", "config get requirepass"] {
        state += &server.say(who, command);
    }
    state
}

fn is_name(line: &&str) -> bool {
    line.starts_with(|first: char| first.is_ascii_alphabetic())
}

/// A server without what stays for good, and two clients.
fn server(before: &[&str]) -> (Server, i64) {
    let mut server = Server::new();
    server.configure("latency-tracking", "no");
    server.configure("slowlog-log-slower-than", "-1");
    server.configure("enable-debug-command", "yes");
    let first = server.connect();
    server.say(first, "config resetstat");
    server.disconnect(first);
    let held = testing::outstanding();
    for _ in 0..2 {
        let client = server.connect();
        // Gives the client's output room, as a worker does.
        server.say(client, "ping");
    }
    for command in before {
        let reply = server.say(1, command);
        assert!(!reply.starts_with('-'), "{command}: {reply}");
    }
    (server, held)
}

/// Runs the command as client 1, of which client 2 is to see all or nothing.
fn check(before: &[&str], command: &str) {
    check_until_it_succeeds(before, command, true);
}

/// As [`check`], of a command that changes one key after the other: some may have been.
fn check_each(before: &[&str], command: &str) {
    check_until_it_succeeds(before, command, false);
}

fn check_until_it_succeeds(before: &[&str], command: &str, is_whole: bool) {
    let (mut control, _) = server(before);
    let (expected, after) = (control.say(1, command), state(&mut control, 2));
    assert!(!expected.starts_with('-'), "{command}: {expected}");
    control.say(2, "flushall");
    drop(control);
    for allocations in 0.. {
        let (mut server, held) = server(before);
        let unchanged = state(&mut server, 2);
        server.write(1, command);
        testing::allow_allocations(allocations);
        server.run(1);
        let left = testing::allocations_left();
        testing::allow_allocations(u64::MAX);
        let context = format!("{before:?} {command}, {allocations} allocations");
        let mut reply = server.read(1);
        if reply == OOM {
            let is_unchanged = state(&mut server, 2) == unchanged;
            assert!(is_unchanged || !is_whole, "{context}: something has changed");
            reply = server.say(1, command);
        }
        assert_eq!(reply, expected, "{context}");
        assert_eq!(state(&mut server, 2), after, "{context}");
        server.deliver();
        server.disconnect(1);
        server.configure("latency-monitor-threshold", "0");
        server.configure("slowlog-log-slower-than", "-1");
        server.configure("requirepass", "");
        const TIDY: [&str; 5] =
            ["flushall", "latency reset", "slowlog reset", "config resetstat", "acl deluser u v"];
        TIDY.iter().for_each(|command| drop(server.say(2, command)));
        server.disconnect(2);
        let leaked = testing::outstanding() - held;
        assert!(leaked <= 0, "{context} leaks {leaked} bytes");
        if left > 0 {
            return;
        }
    }
}

const LONG: &str = "set long \
    aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// Commands that make a list of many elements.
fn filled(key: &str) -> String {
    let elements: Vec<String> = (0..400).map(|number| format!("element:{number}")).collect();
    format!("rpush {key} {}", elements.join(" "))
}

/// Runs a command whose client's output has `room` bytes left, with no memory for more.
fn check_without_room(before: &str, command: &str, room: u64) {
    let (mut server, _) = server(&[before]);
    let unchanged = state(&mut server, 2);
    server.write(1, command);
    let output = &mut server.client(1).output;
    // As if what is there had been written to before.
    let capacity = std::mem::replace(&mut output.capacity, output.end + room);
    testing::allow_allocations(0);
    server.run(1);
    testing::allow_allocations(u64::MAX);
    server.client(1).output.capacity = capacity;
    if server.read(1) != ":1\r\n" {
        assert_eq!(
            state(&mut server, 2),
            unchanged,
            "{command} with {room}: something has changed"
        );
    }
    server.say(2, "flushall");
}

#[test]
fn nothing_is_gone_where_there_is_no_room_for_the_reply() {
    for room in 0..40 {
        check_without_room("hset h f v", "hdel h f", room);
        check_without_room("sadd s m", "srem s m", room);
        check_without_room("zadd z 1 m", "zrem z m", room);
        check_without_room("rpush l e", "lrem l 0 e", room);
    }
}

#[test]
fn strings() {
    let many = "mset a 1 b 2 c 3 d four e five";
    check(&[], "set a 1");
    check(&["set a 1"], "set a text");
    check(&["set a 1 px 100000"], "set a text keepttl");
    check(&["set a 1"], "set a 2 px 100000");
    check(&["set a 1 px 100000"], "set a 2");
    check(&["rpush a 1 2"], "set a 2 px 100000");
    check(&[], "setex a 100 x");
    check(&["set a 1"], "getset a text");
    check(&["set a 1"], "append a text");
    check(&[], "append a text");
    check(&["set a 1 px 100000"], "setrange a 300 x");
    check(&[], "setrange a 300 x");
    check(&[LONG], "setrange long 300 x");
    check(&["set a 1"], "incr a");
    check(&["set a text"], "setbit a 4000 1");
    check(&["set a 9.5"], "incrbyfloat a 1");
    check(&[LONG], "getdel long");
    check(&[LONG], "getex long px 100000");
    check(&[LONG, "pexpire long 100000"], "getex long persist");
    check_each(&[], many);
    check_each(&["set c x", "rpush e 1"], many);
    check(&[], "msetnx a 1 b 2 c 3");
    check(&["set a text", "set b more"], "bitop and c a b");
    check(&["set a text", "rpush c x"], "bitop not c a");
}

#[test]
fn lists() {
    let many = filled("l");
    check(&[], "rpush l a b c");
    check(&["rpush l a"], &many);
    check(&["rpush l a"], &many.replace("rpush", "lpush"));
    check(&["rpush l a"], "rpushx l b c d e f g h i j k l m n o p q r s t u v w x y z");
    check(&[&many], "lpop l");
    check(&[&many], "lpop l 399");
    check(&[&many], "rpop l 350");
    check(&[&many], "ltrim l 100 110");
    check(&[&many], "ltrim l 500 600");
    check(&[&many], "lrem l 0 element:200");
    check(
        &[&many],
        "lset l 200 something-much-longer-than-it-was-before-and-still-longer-than-that",
    );
    check(&[&many], "linsert l before element:200 x");
    check(&[&many], "linsert l after element:399 x");
    check(&[&many], "lmove l other left right");
    check(&[&many], "lmove l l left right");
    check(&["rpush l a"], "lmove l other left left");
    check(&["rpush l a", "rpush m b"], "rpoplpush l m");
    check(&[&many], "lmpop 2 none l left count 300");
    check(&["config set list-max-listpack-size 4", &many], "linsert l before element:201 x");
    check(&["config set list-max-listpack-size 4", &many], "lrem l -1 element:201");
    check(&["config set list-max-listpack-size 4", &many], "lpop l 250");
    check(&["rpush l 3 1 2"], "sort l store other");
    check(&["rpush l 3 1 2", "set other x px 100000"], "sort l store other");
}

/// Fields or members: enough for a table to grow several times.
const FILLED: usize = 30;
/// A member that makes its set a large one.
const LONG_MEMBER: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// A hash, set or sorted set that its command fills, `parts` a time.
fn filled_with(command: &str, parts: &str) -> String {
    let all: Vec<String> =
        (0..FILLED).map(|number| parts.replace('#', &number.to_string())).collect();
    format!("{command} {}", all.join(" "))
}

/// A payload of a value of this type with so many elements, each made of these strings with its
/// number for `#`. All bytes are text, as [`Server::write`] needs them: the last number is such that
/// those of the checksum are too.
fn payload(kind: u8, count: usize, strings: &[&str]) -> String {
    let string = |text: String| {
        let len = text.len() as u8;
        let head = if len < 64 { &[len][..] } else { &[0x40, len] };
        [head, text.as_bytes()].concat()
    };
    let sealed = |salt: usize| {
        let mut bytes = vec![kind, count as u8];
        for number in 0..count {
            let number = if number + 1 < count { number } else { salt };
            let strings = strings.iter().map(|text| text.replace('#', &number.to_string()));
            bytes.extend(strings.flat_map(string));
        }
        bytes.extend(10u16.to_le_bytes());
        bytes.extend(base::crc64::crc64(&bytes).to_le_bytes());
        bytes
    };
    let is_text = |bytes: &Vec<u8>| bytes.is_ascii() && !bytes.contains(&b' ');
    let found = (count..).map(sealed).find(is_text).expect("one of some hundreds");
    String::from_utf8(found).expect("it is text")
}

#[test]
fn dumps() {
    for payload in [
        payload(1, FILLED, &["element:#"]),
        payload(2, FILLED, &["#"]),
        payload(2, FILLED, &["member:#"]),
        payload(2, FILLED, &[&format!("{LONG_MEMBER}#")]),
        payload(3, FILLED, &["member:#", "#"]),
        payload(3, FILLED, &[&format!("{LONG_MEMBER}#"), "#"]),
        payload(4, FILLED, &["field:#", "value:#"]),
        payload(4, FILLED, &["field:#", &format!("{LONG_MEMBER}#")]),
    ] {
        check(&[], &format!("restore k 0 {payload}"));
        check(&["set k v"], &format!("restore k 100000 {payload} replace"));
        check(&["rpush k a b", "pexpire k 100000"], &format!("restore k 0 {payload} replace"));
    }
    check(&[LONG], "dump long");
    check(&[&filled("l")], "dump l");
}

#[test]
fn hashes() {
    let many = filled_with("hset h", "field:# value:#");
    let table = "hset h long aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    check(&[], "hset h a 1");
    check(&["hset h a 1"], "hset h a 2");
    check(&["hset h a 1"], "hset h a something-longer");
    check(&["hset h a 1"], "hset h b 2 c 3 a 4");
    check(&["hset h a 1", "pexpire h 100000"], "hset h b 2");
    check(&["hset h a 1", "pexpire h 100000"], table);
    check(&[], &many);
    check(&[&many], "hset h field:7 x another y");
    check(&[&many], table);
    check(&["config set hash-max-listpack-entries 1", &many], "hset h another y");
    check(&["config set hash-max-listpack-entries 1", &many], "hset h field:7 something-longer");
    check(&["config set hash-max-listpack-entries 1", "hset h a 1 field:7 2"], &many);
    check(&["config set hash-max-listpack-entries 1", &many], "hdel h field:7");
    check(&[&many], "hdel h field:7");
    check(&["hset h a 1"], "hdel h a");
    check(&[&many], "hdel h field:7 field:8 field:9");
    check(&["hset h a 1"], "hsetnx h b 1");
    check(&["hset h a 1"], "hincrby h a 10000");
    check(&["hset h a 1"], "hincrbyfloat h a 0.5");
    check(&[&many], "hgetall h");
}

#[test]
fn sets() {
    let (ints, small) = (filled_with("sadd s", "#"), filled_with("sadd s", "member:#"));
    let many = filled_with(&format!("sadd s {LONG_MEMBER}"), "member:#");
    check(&[], "sadd s 1");
    check(&["sadd s 1"], "sadd s 2");
    check(&["sadd s 1"], "sadd s 100000");
    check(&["sadd s 1"], "sadd s a");
    check(&["sadd s 1", "pexpire s 100000"], "sadd s a b c");
    check(&[&ints], "sadd s a");
    check(&[], &ints);
    check(&[], &many);
    check(&[&many], "sadd s another");
    check(&["sadd s a b"], &many);
    check(&[&format!("sadd s {LONG_MEMBER}")], &small);
    check(&[&small], &many);
    check(&[&small], "srem s member:7 member:8 member:9");
    check(&[&many], "srem s member:7");
    check(&[&ints], "srem s 7");
    check(&["sadd s a"], "srem s a");
    check(&["sadd s a b", "sadd t c"], "smove s t a");
    check(&["sadd s a"], "smove s t a");
    check(&["sadd s a"], "spop s");
    check(&["sadd s a b c d 1 2 3 4 5 6"], "srem s a c 3 4 5");
    check(&[&ints], "srem s 7 8 9 10 11 12 13 14 15 16 17 18 19 20");
    check(&[&many, &ints.replace("sadd s", "sadd t")], "smove t s 10");
    check(&[&many, "sadd t a b c"], "smove s t member:8");
    check(&[&many], "spop s 100");
    check(&[&many, &ints], "sunionstore d s");
    check(&[&many, "sadd t member:7 x"], "sinterstore s s t");
    check(&[&many, "sadd t member:7 x"], "sdiffstore t t s");
    check(&[&many, "sadd t member:7 x"], "sunion s t");
    check(&["sadd s 3 1 2"], "sort s store l");
}

#[test]
fn sorted_sets() {
    let small = filled_with("zadd z", "# member:#");
    let many = filled_with(&format!("zadd z 5 {LONG_MEMBER}"), "# member:#");
    check(&[], "zadd z 1 a");
    check(&["zadd z 1 a"], "zadd z 2 a");
    check(&["zadd z 1 a"], "zadd z 0.1 a 2 b");
    check(&["zadd z 1 a", "pexpire z 100000"], "zadd z 2 b");
    check(&[], &small);
    check(&[], &many);
    check(&[&small], &many);
    check(&[&small], &many.replace("member:", "other:"));
    check(&[&many], "zadd z 7 another");
    check(&[&many], "zadd z 70 member:7");
    check(&[&many], "zadd z 70 member:7 1 a 8 b 3 member:20");
    check(&[&many], "zincrby z 0.5 member:7");
    check(&[&many], "zrem z member:7 member:8");
    check(&[&small], "zrem z member:7 member:8");
    check(&["zadd z 1 a"], "zrem z a");
    check(&[&small], "zpopmin z 20");
    check(&[&many], "zpopmax z 20");
    check(&[&many], "zmpop 2 none z min count 100");
    check(&[&many], "zremrangebyscore z 3 20");
    check(&[&small], "zremrangebyrank z 3 20");
    check(&[&many], "zrangestore d z 3 20");
    check(&[&many], "zunionstore d 2 z z");
    check(&[&many, "sadd s member:7 x"], "zinterstore z 2 z s");
    check(&[&many, "sadd s member:7 x"], "zdiffstore z 2 z s");
    check(&[&many], "zrange z 0 -1 withscores");
    check(&[&many], "sort z by nosort store l");
    check(&[&many], "copy z y");
}

#[test]
fn streams() {
    let values = "a 1 b two c \"three and more of it\"";
    let entry = |id: u32| format!("xadd s {id}-1 {values}");
    let many: Vec<String> = (1..=100).map(entry).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let one = entry(1);
    check(&[], &one);
    check(&[&one], &entry(2));
    check(&[&one], "xadd s maxlen 1 5-1 other fields");
    check(&many, &entry(101));
    check(&many, "xdel s 1-1 50-1 100-1");
    check(&many, "xtrim s maxlen 5");
    check(&[], "xgroup create s g $ mkstream");
    let few = [&many[..3], &["xgroup create s g 0"]].concat();
    check(&few, "xgroup createconsumer s g c");
    check(&few, "xreadgroup group g c streams s >");
    check(&few, "xreadgroup group g c noack streams s >");
    check(&few, "xreadgroup group g c streams s 0");
    let read = [&many[..50], &["xgroup create s g 0", "xreadgroup group g c streams s >"]].concat();
    check(&read, "xreadgroup group g c count 1 streams s 0");
    check(&read, "xack s g 1-1 25-1 50-1");
    check(&read, "xgroup delconsumer s g c");
    check(&read, "copy s t");
    check_each(&read, "xclaim s g d 0 1-1 25-1");
    check_each(&read, "xautoclaim s g d 0 0 count 3 justid");
}

#[test]
fn positions() {
    let few = "geoadd g 13.361389 38.115556 a 15.087269 37.502669 b";
    let many = filled_with("geoadd g", "13.# 38.# member:#");
    check(&[], few);
    check(&[few], "geoadd g 1 2 a 3 4 c");
    check(&[few], "geosearch g fromlonlat 15 37 byradius 300 km asc withdist withcoord");
    check(&[few], "geosearchstore d g fromlonlat 15 37 byradius 300 km");
    check(&[few, "set d v"], "georadius g 15 37 300 km storedist d");
    check(&[few], "georadiusbymember g a 300 km store g");
    check(&[&many], "geosearchstore d g frommember member:7 bybox 900 900 km storedist");
    check(&[&many], "geosearchstore g none frommember member:7 bybox 900 900 km");
    check(&[&many], "geopos g member:1 member:2 member:3");
}

#[test]
fn keys() {
    let many = filled("l");
    let fields = filled_with("hset l", "field:# value:#");
    let members = filled_with(&format!("sadd l {LONG_MEMBER}"), "member:#");
    check(&[&fields], "copy l m");
    check(&["config set hash-max-listpack-entries 1", &fields], "copy l m");
    check(&[&members], "copy l m");
    for source in
        ["set a 1", "set a 1 px 100000", "rpush a 1 2 3", "hset a b c", "sadd a b c", "zadd a 1 b"]
    {
        check(&[source], "rename a b");
        check(&[source, "set b x"], "rename a b");
        check(&[source, "set b x px 100000"], "rename a b");
        check(&[source], "copy a b");
        check(&[source, "rpush b x y"], "copy a b replace");
        check(&[source], "copy a b db 1");
        check(&[source], "move a 1");
        check(&[source], "pexpire a 200000");
        check(&[source], "persist a");
        check(&[source], "del a");
        check(&[source], "swapdb 0 1");
    }
    check(&[&many], "copy l m");
    check(&[&many, "set a 1"], "unlink l a");
    check(&[&many, "set a 1"], "flushall");
    check(&[&many, "set a 1"], "flushdb async");
}

#[test]
fn tables_that_grow() {
    for count in [6, 7, 8, 12, 13, 14, 26, 55, 56, 110] {
        // Keys of one shard, by their tag.
        let commands: Vec<String> =
            (0..count).map(|number| format!("set key:{number} x px 100000")).collect();
        let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
        check(&commands, "set another y px 100000");
    }
}

#[test]
fn sessions() {
    check(&["set a 1"], "watch a b c d e");
    check(&["multi"], "set a 1");
    check(&["multi", "set a 1", "rpush l a b c", "set c 2 px 100000"], "discard");
    check(&[], "client setname a-name-that-is-as-long-as-it-is");
    check(&["client setname before"], "client setname a-name-that-is-as-long-as-it-is");
    check(&["config set latency-monitor-threshold 1"], "debug sleep 0.01");
    check(&["config set slowlog-log-slower-than 0"], "get a");
    check(&["config set notify-keyspace-events KEA", "hello 3", "psubscribe *"], "ping");
}

#[test]
fn users() {
    check(&[], "acl setuser u on >secret ~a* %R~b &c (+get ~d) +@all -@dangerous");
    check(&["acl setuser u on nopass"], "acl setuser v on >secret ~a-pattern-that-is-long*");
    check(&["acl setuser u on nopass", "acl setuser v"], "acl deluser u");
    check(&["acl setuser u on nopass ~* +@all"], "auth u anything");
    check(&["acl setuser u on nopass ~* +@all", "auth u x"], "get a");
    check(&[], "config set requirepass a-password-that-is-as-long-as-it-is");
}

#[test]
fn an_element_is_never_lost_between_pusher_and_waiter() {
    for waiting in ["blpop l 0", "brpop k l 0", "blmpop 0 1 l right", "blmove l m left right 0"] {
        for allocations in 0.. {
            let (mut server, held) = server(&[]);
            let waiter = server.connect();
            assert_eq!(server.say(waiter, waiting), "");
            server.write(1, "rpush l element");
            testing::allow_allocations(allocations);
            server.run(1);
            let left = testing::allocations_left();
            testing::allow_allocations(u64::MAX);
            let pushed = server.read(1) == ":1\r\n";
            // Who could not be served for want of memory is when there is some.
            server.say(2, "ping");
            server.deliver();
            let served = server.read(waiter).contains("element\r\n");
            let still_there = server.say(2, "llen l") == ":1\r\n";
            let context = format!("{waiting}, {allocations} allocations");
            assert_eq!(pushed, served, "{context}: lost or not served");
            assert!(!still_there, "{context}: doubled");
            assert_eq!(server.client(waiter).wait.is_null(), served, "{context}");
            server.disconnect(waiter);
            server.disconnect(1);
            server.say(2, "flushall");
            server.say(2, "config resetstat");
            server.disconnect(2);
            assert!(testing::outstanding() <= held, "{context} leaks");
            if left > 0 {
                break;
            }
        }
    }
}
