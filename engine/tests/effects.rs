//! What the effects stream is told of commands that end otherwise than they should.

mod host;

use abi::effects::{Consumer, Policy, Ring, Stream};
use base::heap::testing;
use host::Server;

const RING: u64 = 4096;

/// A server with somebody who reads its effects.
struct Watched {
    server: Server,
    stream: Stream<'static>,
    reader: Option<Consumer>,
}

impl Watched {
    fn new(policy: Policy, spill_max: u64) -> Self {
        let mut server = Server::new();
        server.configure("latency-tracking", "no");
        server.configure("enable-debug-command", "yes");
        let stream = server.effects();
        let ring = Box::leak(vec![0u64; RING as usize / 8].into_boxed_slice()).as_ptr() as u64;
        // SAFETY: the ring is never freed.
        assert!(unsafe { stream.open(Ring { address: ring, capacity: RING }, spill_max) });
        let reader = Some(stream.join("test", policy, None).expect("there is a place"));
        Self { server, stream, reader }
    }

    /// All effects since the last look.
    fn told(&mut self) -> Vec<Vec<String>> {
        let mut bytes = vec![0; 1 << 20];
        let reader = self.reader.as_mut().expect("it has not left");
        let len = self.stream.read(reader, &mut bytes).expect("it is not behind");
        self.stream.advance(reader, len as u64).expect("it is not behind");
        let text = String::from_utf8(bytes[..len].to_vec()).expect("text");
        let commands = text.split('*').skip(1).map(|command| {
            let words = command.split("\r\n").skip(2).step_by(2);
            words.filter(|word| !word.is_empty()).map(String::from).collect()
        });
        commands.collect()
    }

    /// The data, as commands that nobody is told of show it.
    fn data(&mut self, who: usize) -> String {
        let questions =
            ["select 0", "debug digest", "mget a b c d", "lrange l 0 -1", "pexpiretime a"];
        questions.map(|question| self.server.say(who, question)).join("")
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(reader) = self.reader.take() {
            self.stream.leave(reader);
            self.stream.close(|| ());
        }
    }
}

/// Runs a command with memory running out at its first allocation, at its second, and so on until
/// it succeeds. However it ends, what was told leads another server to the same data. Returns how
/// often it failed.
fn check_without_memory(before: &[&str], command: &[&str]) -> u64 {
    for allowed in 0.. {
        let mut watched = Watched::new(Policy::CutOff, 1 << 20);
        let one = watched.server.connect();
        watched.server.say(one, "ping");
        before.iter().for_each(|command| drop(watched.server.say(one, command)));
        let (last, queued) = command.split_last().expect("a command");
        queued.iter().for_each(|command| drop(watched.server.say(one, command)));
        watched.server.write(one, last);
        testing::allow_allocations(allowed);
        watched.server.run(one);
        testing::allow_allocations(u64::MAX);
        let failed = watched.server.read(one).contains("-OOM");
        let (told, expected) = (watched.told(), watched.data(one));
        drop(watched);
        let mut other = Watched::new(Policy::CutOff, 1 << 20);
        let follower = other.server.connect();
        other.server.say(follower, "debug apply-effects 1");
        for effect in &told {
            let reply = other.server.say(follower, &effect.join(" "));
            assert!(!reply.starts_with('-'), "{effect:?}: {reply}");
        }
        let got = other.data(follower);
        assert_eq!(got, expected, "{command:?} after {allowed} allocations told {told:?}");
        if !failed {
            return allowed;
        }
    }
    unreachable!("no command allocates without end")
}

#[test]
fn what_a_command_has_done_before_memory_ran_out_is_told() {
    let long = "x".repeat(500);
    let before = [
        "config set list-max-listpack-size 1",
        "rpush l 2 1 3",
        "set a 1 pxat 9999999999999",
        "set b old",
        "set d 1",
    ];
    let commands = [
        &format!("mset a {long} b {long} c {long} d {long}"),
        &format!("set b {long} pxat 9999999999999"),
        &format!("getset a {long}"),
        &format!("append b {long}"),
        "setrange b 1000 x",
        "setbit b 10000 1",
        "bitfield b set u8 10000 1 set u8 20000 1",
        "bitop not c a",
        "incrbyfloat d 0.12345678901234567",
        "pexpireat d 9999999999999",
        &format!("rpush l {long} {long} {long} {long} {long}"),
        &format!("linsert l after 1 {long}"),
        &format!("lset l 1 {long}"),
        "lmove l c left right",
        "sort l store b",
        "rename a abcdefghijklmnopqrstuvwxyz",
        "move a 1",
        "copy a c",
        "copy l b replace",
    ];
    let failures = commands.map(|command| check_without_memory(&before, &[command]));
    assert!(failures.iter().sum::<u64>() > commands.len() as u64, "{failures:?}");
}

#[test]
fn what_a_transaction_has_done_before_memory_ran_out_is_told_as_one() {
    let long = "x".repeat(500);
    let set = |key: &str| format!("set {key} {long}");
    let commands = ["multi", &set("a"), &set("b"), "rpush l 1", &set("c"), "exec"];
    assert!(check_without_memory(&[], &commands) > 1);
}

#[test]
fn what_a_transaction_with_a_panic_in_it_has_done_is_told_as_one() {
    let mut watched = Watched::new(Policy::CutOff, 1 << 20);
    let client = watched.server.connect();
    for command in ["multi", "set a 1", "rpush l x", "debug panic", "set b 1"] {
        watched.server.say(client, command);
    }
    let replies = "*4\r\n+OK\r\n:1\r\n-ERR internal error\r\n+OK\r\n";
    assert_eq!(watched.server.say(client, "exec"), replies);
    let told: Vec<_> = watched.told().into_iter().map(|effect| effect.join(" ")).collect();
    assert_eq!(told, ["SELECT 0", "MULTI", "set a 1", "rpush l x", "set b 1", "EXEC"]);
    watched.server.say(client, "set a 2");
    assert_eq!(watched.told(), [["set", "a", "2"]]);
}

#[test]
fn what_is_larger_than_the_stream_takes_is_refused_before_it_writes() {
    let mut watched = Watched::new(Policy::Hold, 2 * RING);
    let client = watched.server.connect();
    let long = "x".repeat(RING as usize);
    watched.server.say(client, "multi");
    for key in ["a", "b", "c"] {
        assert_eq!(watched.server.say(client, &format!("set {key} {long}")), "+QUEUED\r\n");
    }
    let refused = "-EXECABORT Transaction discarded because of: command not carried out: what it \
                   would do is larger than the effects stream takes\r\n";
    assert_eq!(watched.server.say(client, "exec"), refused);
    assert_eq!(watched.server.say(client, "dbsize"), ":0\r\n");
    // One that fits beside the ring is carried out and told as a whole.
    for command in ["multi", &format!("set a {long}"), "incr n"] {
        watched.server.say(client, command);
    }
    assert_eq!(watched.server.say(client, "exec"), "*2\r\n+OK\r\n:1\r\n");
    let told = watched.told();
    let names: Vec<_> = told.iter().map(|effect| effect[0].as_str()).collect();
    assert_eq!(names, ["SELECT", "MULTI", "set", "incr", "EXEC"]);
    assert_eq!(told[2][2], long);
}

#[test]
fn renamed_commands_are_told_by_the_name_they_have_everywhere() {
    let mut watched = Watched::new(Policy::CutOff, 0);
    watched.server.configure_words("rename-command", &["append", "joined"]);
    let client = watched.server.connect();
    assert_eq!(watched.server.say(client, "joined k v"), ":1\r\n");
    assert_eq!(watched.told(), [vec!["SELECT", "0"], vec!["append", "k", "v"]]);
}
