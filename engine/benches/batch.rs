//! What a batch costs from input to output, without sockets and without cache misses: for counting
//! instructions.
//!
//! `valgrind --tool=callgrind <the bench's binary> get` counts those of 200,000 GETs in pipelines
//! of 100; likewise `set`, `incr`, `mset`, `lpush`. Two counts of the same build differ by less than 0.1 %.
//! `set-read` and its like are the same while somebody reads the effects stream and discards it.

#[path = "../tests/host/mod.rs"]
mod host;

use abi::effects::{Consumer, Policy, Ring, Stream};
use host::{Server, request};

const PIPELINE: usize = 100;
const BATCHES: usize = 2_000;
const KEYS: usize = 1_000;
const RING_BYTES: usize = 16 << 20;

fn main() {
    let kinds = [
        "get",
        "set",
        "set-read",
        "mset",
        "mset-read",
        "incr",
        "lpush",
        "lpush-read",
        "publish",
        "evalsha",
        "evalsha-long",
    ];
    let chosen: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    for kind in kinds.iter().filter(|k| chosen.is_empty() || chosen.iter().any(|c| c == *k)) {
        let begin = std::time::Instant::now();
        measure(kind);
        let ns = begin.elapsed().as_nanos() as usize / (PIPELINE * BATCHES);
        println!("{kind:10} {ns} ns a command");
    }
}

/// Somebody who reads all effects and forgets them.
struct Reader {
    stream: Stream<'static>,
    consumer: Consumer,
    room: Vec<u8>,
}

impl Reader {
    fn of(server: &Server) -> Self {
        let stream = server.effects();
        let ring = Box::leak(vec![0u64; RING_BYTES / 8].into_boxed_slice()).as_ptr() as u64;
        // SAFETY: the ring is never freed.
        unsafe { stream.open(Ring { address: ring, capacity: RING_BYTES as u64 }, 1 << 20) };
        let consumer = stream.join("bench", Policy::CutOff, None).expect("there is a place");
        Self { stream, consumer, room: vec![0; 1 << 20] }
    }

    fn discard(&mut self) {
        let len = self.stream.read(&mut self.consumer, &mut self.room).expect("it keeps up");
        assert!(len > 0, "nothing was told");
        self.stream.advance(&mut self.consumer, len as u64).expect("it keeps up");
    }
}

fn measure(kind: &str) {
    let mut server = Server::new();
    let client = server.connect();
    let (kind, mut reader) = match kind.strip_suffix("-read") {
        Some(kind) => (kind, Some(Reader::of(&server))),
        None => (kind, None),
    };
    (0..KEYS).for_each(|key| drop(server.say(client, &format!("set key:{key} 0123456789"))));
    for script in [SHORT, LONG] {
        let load = format!("*3\r\n$6\r\nscript\r\n$4\r\nload\r\n${}\r\n{script}\r\n", script.len());
        server.write_request(client, load.as_bytes());
        server.run(client);
        server.read(client);
    }
    let requests: Vec<Vec<u8>> = (0..KEYS).map(|key| request(&command(kind, key))).collect();
    let batches: Vec<Vec<u8>> = requests.chunks(PIPELINE).map(<[_]>::concat).collect();
    for batch in batches.iter().cycle().take(BATCHES) {
        server.write_request(client, batch);
        server.run(client);
        assert!(!server.read(client).starts_with('-'), "{kind} failed");
        reader.iter_mut().for_each(Reader::discard);
    }
    server.say(client, "flushall");
}

/// Scripts as applications have them: one line, and a table that becomes JSON and comes back.
const SHORT: &str = "return redis.call('get', KEYS[1])";
const LONG: &str = "local value = redis.call('get', KEYS[1]) \
    local t = {key = KEYS[1], value = value, list = {}} \
    for i = 1, 5 do t.list[i] = i * 2 end \
    local sum = 0 for i, n in ipairs(t.list) do sum = sum + n end t.sum = sum \
    if value then t.length = #value else t.length = 0 end \
    local text = cjson.encode(t) return cjson.decode(text).sum .. text";

fn command(kind: &str, key: usize) -> String {
    match kind {
        "get" => format!("get key:{key}"),
        "set" => format!("set key:{key} 0123456789"),
        "mset" => format!("mset key:{key} 0123456789 other:{key} 0123456789"),
        "incr" => format!("incr counter:{key}"),
        "evalsha" => format!("evalsha {} 1 key:{key}", digest(SHORT)),
        "evalsha-long" => format!("evalsha {} 1 key:{key}", digest(LONG)),
        "lpush" => format!("lpush list:{key} 0123456789"),
        _ => format!("publish channel:{key} 0123456789"),
    }
}

fn digest(script: &str) -> String {
    base::sha1::hex(script.as_bytes()).iter().map(|byte| char::from(*byte)).collect()
}
