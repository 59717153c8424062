//! Takes steps on both servers.

use std::collections::BTreeSet;

use super::data::{self, Sameness};
use super::equal::{equal, equal_in_transaction};
use super::exchange::Exchange;
use super::families::DEFAULTS;
use super::line::{Call, View};
use super::plan::{CLIENTS, Step};
use super::replicas::Replicas;
use super::streams::Counts;
use crate::harness::connection::{Reply, encode};
use crate::harness::{Connection, Peer, Server, eventually};

/// Commands of one client that are sent before their replies are read.
const PIPELINE: usize = 200;

/// Events that are told when they differ.
const EVENTS_SHOWN: usize = 6;

/// What was not the same, and after which step.
#[derive(Debug)]
pub struct Difference {
    pub at: usize,
    pub kind: Kind,
    pub what: String,
}

/// Of what kind a difference is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Reply,
    Data,
    Events,
    Effects,
}

/// This server, `redis-server`, and two that are told the effects of this.
pub struct Servers {
    ours: Server,
    theirs: Peer,
    replicas: Replicas,
    swaps: u64,
}

impl Servers {
    /// Starts all.
    pub fn start() -> Self {
        let (ours, theirs) = (Server::start(), Peer::start());
        let replicas = Replicas::of(&ours);
        Self { ours, theirs, replicas, swaps: 0 }
    }

    /// Takes steps, beginning without data and with the first release.
    pub fn run(&mut self, steps: &[Step]) -> Result<(), Difference> {
        if self.swaps % 2 == 1 {
            self.swap();
        }
        let sides = [self.ours.port, self.theirs.port].map(Side::open);
        let mut run = Run { servers: self, sides, clients: Default::default(), at: 0 };
        run.steps(steps)?;
        let [ours, _] = &mut run.sides;
        let result = run.servers.replicas.compare(&mut ours.control);
        let at = steps.len().saturating_sub(1);
        result.map_err(|what| Difference { at, kind: Kind::Effects, what })
    }

    fn swap(&mut self) {
        self.ours.swap();
        self.swaps += 1;
    }

    /// What counts of what is told of streams, by the release that serves.
    fn counts(&self) -> Counts {
        if self.swaps.is_multiple_of(2) { Counts::All } else { Counts::AllButLag }
    }
}

/// Connections to one of the servers.
struct Side {
    clients: Vec<Connection>,
    ids: Vec<String>,
    /// Looks and settles; it speaks RESP2.
    control: Connection,
    /// Hears events.
    listener: Connection,
}

impl Side {
    /// To a server from which all data are removed.
    fn open(port: u16) -> Self {
        let mut control = Connection::open(port);
        // Who waited in a run before would take what this one adds.
        eventually("clients of before have gone", || control.info("connected_clients") == 1);
        for line in ["FLUSHALL", DEFAULTS, "DEBUG SET-ACTIVE-EXPIRE 0"] {
            assert_eq!(control.ask(line), "+OK\r\n", "{line}");
        }
        let mut clients: Vec<_> = (0..CLIENTS).map(|_| Connection::open(port)).collect();
        let ids = clients.iter_mut().map(Connection::id).collect();
        clients.iter_mut().skip(1).step_by(2).for_each(|client| _ = client.ask("HELLO 3"));
        let mut listener = Connection::open(port);
        listener.ask("PSUBSCRIBE __key*");
        Self { clients, ids, control, listener }
    }

    /// Events since the last time. When a key is found to have expired, whether that is a miss, and in
    /// which order a command looks for keys that are not there, is left open: these stand behind the
    /// others, sorted, without the misses of keys that have expired.
    fn events(&mut self) -> Vec<String> {
        self.listener.send(&["PING"]);
        let (mut events, mut misses, mut expiries) = (Vec::new(), Vec::new(), BTreeSet::new());
        loop {
            let parts: Vec<_> = self.listener.read().elements().iter().map(Reply::text).collect();
            let [_, _, channel, event] = &parts[..] else { break };
            let (subject, name) = channel.split_once(':').expect("a channel of events");
            match (&**event, name) {
                (_, "expired") => _ = expiries.insert(event.clone()),
                ("expired", key) => _ = expiries.insert(key.into()),
                (key, "keymiss") | ("keymiss", key) => {
                    misses.push((subject.to_owned(), key.to_owned()))
                }
                // What is taken by chance here is removed by name there.
                _ => events.push(format!("{channel} {event}").replace("spop", "srem")),
            }
        }
        misses.retain(|(_, key)| !expiries.contains(key));
        misses.sort();
        events.extend(misses.into_iter().map(|(subject, key)| format!("{subject}: {key} missed")));
        events.extend(expiries.into_iter().map(|key| format!("{key} expired")));
        events
    }

    /// Waits until a client that was sent a command waits, or has its reply.
    fn until_it_waits(&mut self, client: usize) {
        let list = format!("CLIENT LIST ID {}", self.ids[client]);
        eventually("the client waits or is answered", || {
            self.clients[client].has_reply() || self.control.ask(&list).text().contains(" flags=b")
        });
    }
}

/// What is known of a client.
#[derive(Default)]
struct Client {
    /// It was sent a command whose reply has not been read.
    pending: Option<View>,
    /// The views of the replies to the commands it has queued, in a transaction.
    queued: Option<Vec<View>>,
}

impl Client {
    /// Whether replies are equal, which tell whether it is in a transaction.
    fn compare(&mut self, call: &Call, ours: &Reply, theirs: &Reply, counts: Counts) -> bool {
        let is = |name: &str| call.words[0].eq_ignore_ascii_case(name.as_bytes());
        match &mut self.queued {
            Some(views) if *ours == "+QUEUED\r\n" => {
                views.push(call.view);
                ours == theirs
            }
            Some(views) if is("EXEC") => {
                let same = equal_in_transaction(ours, theirs, views, counts);
                self.queued = None;
                same
            }
            queued => {
                match *ours == "+OK\r\n" {
                    true if is("MULTI") => *queued = Some(Vec::new()),
                    true if is("DISCARD") => *queued = None,
                    _ if is("RESET") => *queued = None,
                    _ => {}
                }
                equal(ours, theirs, call.view, counts)
            }
        }
    }
}

struct Run<'a> {
    servers: &'a mut Servers,
    sides: [Side; 2],
    clients: [Client; CLIENTS],
    /// The step that is being taken.
    at: usize,
}

impl Run<'_> {
    fn steps(&mut self, steps: &[Step]) -> Result<(), Difference> {
        while self.at < steps.len() {
            let taken = match &steps[self.at] {
                Step::Call(client, _) => {
                    self.settle(*client, false)?;
                    self.calls(&steps[self.at..])?
                }
                step => {
                    self.step(step)?;
                    1
                }
            };
            self.at += taken;
        }
        Ok(())
    }

    fn differ<T>(&self, kind: Kind, what: String) -> Result<T, Difference> {
        Err(Difference { at: self.at, kind, what })
    }

    /// Takes a step that is no call.
    fn step(&mut self, step: &Step) -> Result<(), Difference> {
        match step {
            Step::Call(..) => {}
            Step::Block(client, call) => self.block(*client, call)?,
            Step::Settle { with_error } => {
                (0..CLIENTS).try_for_each(|client| self.settle(client, *with_error))?;
            }
            Step::Exchange(exchange) => self.exchange(exchange)?,
            Step::Pass(ms) => std::thread::sleep(std::time::Duration::from_millis(*ms)),
            Step::Swap => self.servers.swap(),
            Step::Compare => self.compare_all()?,
        }
        Ok(())
    }

    /// Takes the first step, and those after it that can be sent together with it. Returns how many.
    fn calls(&mut self, steps: &[Step]) -> Result<usize, Difference> {
        let Some(Step::Call(client, first)) = steps.first() else { return Ok(0) };
        if first.view == View::Taken {
            self.taken(*client, first)?;
            return Ok(1);
        }
        let same = |step: &Step| match step {
            Step::Call(other, call) if other == client && call.view != View::Taken => {
                Some(call.clone())
            }
            _ => None,
        };
        let calls: Vec<Call> = steps.iter().take(PIPELINE).map_while(same).collect();
        let bytes: Vec<u8> = calls.iter().flat_map(|call| encode(&call.words)).collect();
        self.sides.iter_mut().for_each(|side| side.clients[*client].send_raw(&bytes));
        let begin = self.at;
        for (offset, call) in calls.iter().enumerate() {
            self.at = begin + offset;
            self.reply(*client, call)?;
        }
        self.at = begin;
        Ok(calls.len())
    }

    /// Reads and compares the replies to a call.
    fn reply(&mut self, client: usize, call: &Call) -> Result<(), Difference> {
        let [ours, theirs] = self.sides.each_mut().map(|side| side.clients[client].try_read());
        let counts = self.servers.counts();
        match (&ours, &theirs) {
            (Some(a), Some(b)) if self.clients[client].compare(call, a, b, counts) => Ok(()),
            _ => self.differ(Kind::Reply, format!("ours   {ours:?}\ntheirs {theirs:?}")),
        }
    }

    /// Takes members of a set by chance here, and by name there.
    fn taken(&mut self, client: usize, call: &Call) -> Result<(), Difference> {
        if self.clients[client].queued.is_some() {
            return Ok(());
        }
        let [ours, theirs] = &mut self.sides;
        let reply = ours.clients[client].call(&call.words);
        let members = match reply.0[0] {
            _ if reply.is_null() => Vec::new(),
            b'*' | b'~' => reply.elements().iter().map(data::value).collect(),
            b'$' => vec![data::value(&reply)],
            _ => Vec::new(),
        };
        if members.is_empty() {
            let other = theirs.clients[client].call(&call.words);
            return match reply == other {
                true => Ok(()),
                false => self.differ(Kind::Reply, format!("ours   {reply:?}\ntheirs {other:?}")),
            };
        }
        let mut words = vec![b"SREM".to_vec(), call.words[1].clone()];
        words.extend(members.iter().cloned());
        let removed = theirs.clients[client].call(&words);
        // Unlike `EXISTS`, this tells nobody of a miss.
        let left = theirs.clients[client].call(&[&b"OBJECT"[..], b"ENCODING", &call.words[1]]);
        let wanted =
            call.words.get(2).map_or(Some(1), |count| str::from_utf8(count).ok()?.parse().ok());
        let as_many = left.is_null() || left.is_error() || wanted == Some(members.len());
        match as_many && removed == &*format!(":{}\r\n", members.len()) {
            true => Ok(()),
            false => {
                self.differ(Kind::Reply, format!("took {reply:?}, of which there {removed:?}"))
            }
        }
    }

    /// Restores on each server what the other has dumped.
    fn exchange(&mut self, exchange: &Exchange) -> Result<(), Difference> {
        let client = exchange.client;
        self.settle(client, false)?;
        if self.clients[client].queued.is_some() {
            return Ok(());
        }
        let dump = [&b"DUMP"[..], &exchange.from];
        let dumps = self.sides.each_mut().map(|side| side.clients[client].call(&dump));
        if dumps[0].is_null() || dumps[1].is_null() {
            return match dumps[0] == dumps[1] {
                true => Ok(()),
                false => self.differ(Kind::Reply, format!("dumps {dumps:?}")),
            };
        }
        let [ours, theirs] = dumps.each_ref().map(|dump| exchange.restore(&data::value(dump)));
        let here = self.sides[0].clients[client].call(&theirs);
        let there = self.sides[1].clients[client].call(&ours);
        match here == there {
            true => Ok(()),
            false => self.differ(
                Kind::Reply,
                format!("ours {here:?} of {:?}\ntheirs {there:?} of {:?}", dumps[1], dumps[0]),
            ),
        }
    }

    fn block(&mut self, client: usize, call: &Call) -> Result<(), Difference> {
        self.settle(client, false)?;
        for side in &mut self.sides {
            side.clients[client].send(&call.words);
            side.until_it_waits(client);
        }
        self.clients[client].pending = Some(call.view);
        Ok(())
    }

    /// Reads the reply to a command that may wait, having it wait no longer.
    fn settle(&mut self, client: usize, with_error: bool) -> Result<(), Difference> {
        let Some(view) = self.clients[client].pending.take() else { return Ok(()) };
        let how = if with_error { "ERROR" } else { "TIMEOUT" };
        let [ours, theirs] = self
            .sides
            .each_mut()
            .map(|side| side.control.ask(&format!("CLIENT UNBLOCK {} {how}", side.ids[client])));
        if ours != theirs {
            return self.differ(
                Kind::Reply,
                format!("whether @{} waits: ours {ours:?} theirs {theirs:?}", client + 1),
            );
        }
        self.reply(client, &Call { words: vec![b"waited".to_vec()], view })
    }

    fn compare_all(&mut self) -> Result<(), Difference> {
        let [ours, theirs] = self.sides.each_mut().map(|side| data::read(&mut side.control));
        let found =
            data::differences(&ours, &theirs, Sameness::SameCommands(self.servers.counts()));
        if !found.is_empty() {
            return self.differ(Kind::Data, found.join("\n"));
        }
        let [ours, theirs] = self.sides.each_mut().map(|side| side.control.ask("DEBUG DIGEST"));
        if ours != theirs {
            return self.differ(Kind::Data, format!("digests: ours {ours:?} theirs {theirs:?}"));
        }
        let [ours, theirs] = self.sides.each_mut().map(Side::events);
        if ours != theirs {
            let at = ours.iter().zip(&theirs).take_while(|(a, b)| a == b).count();
            let [ours, theirs] =
                [&ours, &theirs].map(|events| &events[at..events.len().min(at + EVENTS_SHOWN)]);
            return self.differ(Kind::Events, format!("ours   {ours:?}\ntheirs {theirs:?}"));
        }
        Ok(())
    }
}
