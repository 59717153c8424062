//! Which key to remove: candidates, looked at by chance and kept in order.

use abi::keyspace::SHARDS;

use keyspace::Keys;
use value::entry::Entry;
use base::core::Core;
use base::roots::Roots;
use base::settings::Policy;
use store::table::{TableRef, prefetch_line};

/// Candidates kept.
const CANDIDATES_MAX: usize = 16;
/// Places of a table looked at in a row, some of which may be empty.
const NEIGHBOURHOOD_MAX: usize = 8;
/// Choices of a table before the tables are weighed anew.
const DRAWS_PER_WEIGHING: u32 = 256;
/// Tables found empty, though they had keys when they were weighed, before it is given up.
const FRUITLESS_MAX: u32 = 64;

/// A key that may be removed.
pub struct Candidate {
    /// The higher, the sooner it goes.
    score: u64,
    /// What the score was derived from: if it has changed, the key is a candidate no longer.
    mark: u64,
    /// Its database.
    pub db: u32,
    /// Its hash.
    pub hash: u64,
    /// The key.
    pub key: Vec<u8>,
}

impl Candidate {
    /// Whether the key has neither been used nor got another time to live since it was looked at.
    pub fn is_unchanged(&self, entry: Entry<'_>, policy: Policy) -> bool {
        mark(entry, policy) == Some(self.mark)
    }
}

/// What the choice of a policy depends on. None: the policy does not concern the key.
fn mark(entry: Entry<'_>, policy: Policy) -> Option<u64> {
    let expires_at = entry.expires_at();
    if policy.is_volatile() && expires_at.is_none() {
        return None;
    }
    match policy {
        Policy::VolatileTtl => expires_at.map(|at| at as u64),
        Policy::AllKeysRandom | Policy::VolatileRandom => Some(0),
        _ => Some(entry.access() as u64),
    }
}

/// How much a key suits a policy.
fn score(keys: &Keys<'_>, entry: Entry<'_>, policy: Policy) -> u64 {
    match policy {
        Policy::VolatileTtl => u64::MAX - entry.expires_at().unwrap_or(i64::MAX) as u64,
        Policy::AllKeysLfu | Policy::VolatileLfu => 255 - keys.frequency(entry).min(255) as u64,
        Policy::AllKeysLru | Policy::VolatileLru => keys.idle_ms(entry),
        Policy::AllKeysRandom | Policy::VolatileRandom | Policy::NoEviction => 0,
    }
}

/// Candidates, and what is needed to find more. Scratch: nobody misses it.
#[derive(Default)]
pub struct Pool {
    policy: Policy,
    /// Lowest score first.
    candidates: Vec<Candidate>,
    weights: Weights,
    /// Addresses of entries being looked at; empty in between.
    drawn: Vec<u64>,
}

impl Pool {
    /// Forgets what was found for another policy.
    pub fn prepare(&mut self, policy: Policy) {
        if self.policy != policy {
            *self = Self { policy, ..Self::default() };
        }
    }

    /// The best candidate, which is taken out.
    pub fn best(&mut self) -> Option<Candidate> {
        self.candidates.pop()
    }

    /// Looks at some keys. Tells whether there is a candidate.
    pub fn fill(&mut self, core: &mut Core) -> bool {
        let samples = if self.policy.is_random() { 1 } else { core.settings.maxmemory_samples };
        for _ in 0..FRUITLESS_MAX {
            let Some((shard, db)) = self.weights.draw(core, self.policy) else { break };
            let mut keys = Keys::new(core, db);
            let found = keys.with_shard(shard, |keys| self.look_at(keys, shard, samples));
            if found {
                break;
            }
            // The table is empty by now.
            self.weights.forget();
        }
        !self.candidates.is_empty()
    }

    /// Looks at keys of a locked shard, chosen by chance. Tells whether it has any.
    fn look_at(&mut self, keys: &mut Keys<'_>, shard: usize, samples: u64) -> bool {
        let part = keys.part_at(shard);
        let table = if self.policy.is_volatile() { part.expires() } else { part.keys() };
        self.drawn.clear();
        draw_neighbours(table, keys.core.random.next_u64(), samples as usize, &mut self.drawn);
        for index in 0..self.drawn.len() {
            // SAFETY: items of the table are entries, and the shard is locked.
            self.consider(keys, unsafe { Entry::at(self.drawn[index]) });
        }
        !table.is_empty()
    }

    /// Takes a key in among the candidates if it is better than one of them or there is room.
    fn consider(&mut self, keys: &Keys<'_>, entry: Entry<'_>) {
        let Some(mark) = mark(entry, self.policy) else { return };
        let score = score(keys, entry, self.policy);
        let full = self.candidates.len() == CANDIDATES_MAX;
        if full && self.candidates[0].score >= score {
            return;
        }
        let hash = keys.hash(entry.key());
        if self.candidates.iter().any(|known| known.hash == hash && known.db == keys.db) {
            return;
        }
        if full {
            self.candidates.remove(0);
        }
        let place = self.candidates.partition_point(|known| known.score <= score);
        let key = entry.key().to_vec();
        self.candidates.insert(place, Candidate { score, mark, db: keys.db, hash, key });
    }
}

/// Collects about `count` items of a table that follow one another from a random place on. Where
/// a key is says nothing of how it is used, and neighbours come with one cache miss.
fn draw_neighbours(table: TableRef<'_>, random: u64, count: usize, drawn: &mut Vec<u64>) {
    let mut next = Some(random);
    for _ in 0..NEIGHBOURHOOD_MAX {
        let Some(position) = next.filter(|_| drawn.len() < count) else { break };
        next = table.scan(position, &mut |address| {
            prefetch_line(address);
            drawn.push(address);
        });
    }
    if drawn.is_empty() {
        drawn.extend(table.sample(random));
    }
}

/// How many keys each table has, roughly: so that every key is equally likely to be looked at.
#[derive(Default)]
struct Weights {
    /// For each shard and in it each database, the keys there and in all before.
    sums: Vec<u64>,
    draws_left: u32,
}

impl Weights {
    /// Chooses a shard and a database. None if there are no keys.
    fn draw(&mut self, core: &mut Core, policy: Policy) -> Option<(usize, u32)> {
        if self.draws_left == 0 {
            self.weigh(core.roots, policy);
        }
        self.draws_left -= 1;
        let total = self.sums.last().copied().filter(|total| *total > 0)?;
        let choice = core.random.below(total);
        let at = self.sums.partition_point(|sum| *sum <= choice);
        let databases = core.roots.databases() as usize;
        Some((at / databases, (at % databases) as u32))
    }

    /// Has the tables weighed before the next choice.
    fn forget(&mut self) {
        self.draws_left = 0;
    }

    fn weigh(&mut self, roots: Roots, policy: Policy) {
        let mut sum = 0;
        self.sums.clear();
        for shard in 0..SHARDS {
            for db in 0..roots.databases() {
                let (keys, expires) = roots.tables(shard, db);
                let table = if policy.is_volatile() { expires } else { keys };
                sum += TableRef::new(table).len() as u64;
                self.sums.push(sum);
            }
        }
        // Of an empty keyspace the next look is a new one.
        self.draws_left = if sum == 0 { 1 } else { DRAWS_PER_WEIGHING };
    }
}
