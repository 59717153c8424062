//! Choosing elements by chance.

use base::args::Args;
use base::error::{self, Error};
use base::random::Random;

/// How many elements are asked for: as many different ones at most, or just as many, of which some
/// may be the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// At most so many, all different.
    Different(usize),
    /// So many.
    Any(usize),
}

/// An argument as a count: a negative one asks for any.
pub fn count(args: Args<'_>, index: usize) -> Result<Wanted, Error> {
    let count = args.integer(index)?;
    if count == i64::MIN {
        return Err(error::out_of_range(-i64::MAX, i64::MAX));
    }
    let elements = count.unsigned_abs() as usize;
    Ok(if count < 0 { Wanted::Any(elements) } else { Wanted::Different(elements) })
}

/// Whether so many of `len` elements are better found by drawing until they differ than by a look
/// at all.
pub fn is_few(wanted: usize, len: usize) -> bool {
    wanted <= len / 3
}

/// Chooses some of a row of elements that are seen one by one: each subset is as likely as any
/// other.
pub struct Choice<'a> {
    random: &'a mut Random,
    wanted: usize,
    left: usize,
}

impl<'a> Choice<'a> {
    /// Of so many of `len` elements.
    pub fn new(random: &'a mut Random, wanted: usize, len: usize) -> Self {
        Self { random, wanted, left: len }
    }

    /// Whether the next element is chosen.
    pub fn takes_next(&mut self) -> bool {
        let takes = self.random.below(self.left.max(1) as u64) < self.wanted as u64;
        self.left = self.left.saturating_sub(1);
        self.wanted -= usize::from(takes);
        takes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_element_is_chosen_as_often_and_as_many_as_wanted() {
        const LEN: usize = 10;
        let (mut random, mut times) = (Random::new(1), [0; LEN]);
        for wanted in 0..=LEN {
            for _ in 0..2000 {
                let mut choice = Choice::new(&mut random, wanted, LEN);
                let chosen: Vec<usize> = (0..LEN).filter(|_| choice.takes_next()).collect();
                assert_eq!(chosen.len(), wanted);
                chosen.into_iter().for_each(|index| times[index] += 1);
            }
        }
        // 2000 times the sum of 0 to 10, divided by ten.
        assert!(times.iter().all(|count| (10_500..11_500).contains(count)), "{times:?}");
    }
}
