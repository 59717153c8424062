//! Which key to remove: candidates, looked at by chance and kept in order.

use abi::keyspace::SHARDS;

use crate::maintenance::clients::Leaving;
use base::core::Core;
use base::hash::hash;
use base::roots::Roots;
use base::settings::row::Policy;
use keyspace::Keys;
use keyspace::access;
use store::table;
use value::entry::Entry;

/// Candidates kept.
const CANDIDATES_MAX: usize = 16;
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
fn score(core: &Core, entry: Entry<'_>, policy: Policy) -> u64 {
    match policy {
        Policy::VolatileTtl => u64::MAX - entry.expires_at().unwrap_or(i64::MAX) as u64,
        Policy::AllKeysLfu | Policy::VolatileLfu => {
            255 - access::frequency(core, entry).min(255) as u64
        }
        Policy::AllKeysLru | Policy::VolatileLru => access::idle_ms(core, entry),
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
    /// Clients that go before keys do.
    pub leaving: Leaving,
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
        let (volatile, db) = (self.policy.is_volatile(), keys.db);
        let mut drawn = std::mem::take(&mut self.drawn);
        let any = keys.visit_neighbours(
            shard,
            volatile,
            samples as usize,
            &mut drawn,
            &mut |core, entry| {
                self.consider(core, db, entry);
            },
        );
        self.drawn = drawn;
        any
    }

    /// Takes a key in among the candidates if it is better than one of them or there is room.
    fn consider(&mut self, core: &Core, db: u32, entry: Entry<'_>) {
        let Some(mark) = mark(entry, self.policy) else { return };
        let score = score(core, entry, self.policy);
        let full = self.candidates.len() == CANDIDATES_MAX;
        if full && self.candidates[0].score >= score {
            return;
        }
        let hash = hash(entry.key(), core.roots.seed);
        if self.candidates.iter().any(|known| known.hash == hash && known.db == db) {
            return;
        }
        if full {
            self.candidates.remove(0);
        }
        let place = self.candidates.partition_point(|known| known.score <= score);
        let key = entry.key().to_vec();
        self.candidates.insert(place, Candidate { score, mark, db, hash, key });
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
                let part = roots.part(shard, db);
                let table = if policy.is_volatile() { &part.expires } else { &part.keys };
                sum += table::len(table) as u64;
                self.sums.push(sum);
            }
        }
        // Of an empty keyspace the next look is a new one.
        self.draws_left = if sum == 0 { 1 } else { DRAWS_PER_WEIGHING };
    }
}
