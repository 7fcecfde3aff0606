//! Who dies next in a heap of constant size, if most die young and few live long.
//!
//! Lifetimes are counted in births. Their density falls with the power 3/2 from 1 on, and is cut at the square of the
//! number of blocks: so their mean is that number, which is what Little's law asks of a heap in which each birth replaces a
//! death. Half of the blocks die within 4 births, nine in ten within 100; of the blocks that are alive at a moment nearly all
//! are among the long-lived.
//!
//! What can be said against it: the exponent is a choice. Public profiles of servers give, for each size, how often it is
//! allocated and how many are alive, not how long single blocks live. Nor do lifetimes depend on sizes here, as they do in
//! programs. (Only square roots and divisions: the same table comes out on every machine.)

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::stats::random::Random;

/// A population of blocks, by slot, each with the moment of its death.
#[derive(Clone, Debug)]
pub struct Lifetimes {
    /// The next to die is on top; of several the lowest slot.
    deaths: BinaryHeap<Reverse<(u64, u32)>>,
    /// Square root of the longest lifetime.
    longest_root: f64,
}

impl Lifetimes {
    /// A population of `blocks` that has been there for ever: old blocks among young ones, as in the middle of a run.
    ///
    /// # Panics
    /// If there are none.
    pub fn steady(blocks: u32, random: &mut Random) -> Self {
        assert!(blocks > 0, "somebody must die");
        let longest_root = f64::from(blocks);
        let deaths = (0..blocks).map(|slot| {
            // Whoever lives long is met more often at a given moment: density falling with the root of the lifetime. And
            // that moment is anywhere in the life.
            let root = 1.0 + random.unit_f64() * (longest_root - 1.0);
            Reverse(((root * root * random.unit_f64()) as u64, slot))
        });
        Self { deaths: deaths.collect(), longest_root }
    }

    /// The slot whose block dies next. The one that replaces it is born at once.
    pub fn replace(&mut self, random: &mut Random) -> u32 {
        let mut next = self.deaths.peek_mut().expect("a population has members");
        let Reverse((now, slot)) = *next;
        *next = Reverse((now + lifetime(self.longest_root, random), slot));
        slot
    }
}

/// Inverse of the distribution function F(x) = (1 − 1/√x) / (1 − 1/√longest).
fn lifetime(longest_root: f64, random: &mut Random) -> u64 {
    let root = 1.0 / (1.0 - random.unit_f64() * (1.0 - 1.0 / longest_root));
    (root * root) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_die_young_and_few_live_long() {
        let mut random = Random::new(1);
        let drawn: Vec<u64> = (0..100_000).map(|_| lifetime(10_000.0, &mut random)).collect();
        let share = |births: u64| drawn.iter().filter(|&&life| life < births).count() as f64 / 100_000.0;
        assert!((0.49..0.51).contains(&share(4)) && (0.89..0.91).contains(&share(100)));
        assert!((0.985..0.995).contains(&share(10_000)) && share(1_000_000) < 0.9999);
    }

    #[test]
    fn a_population_is_as_old_at_the_start_as_later() {
        let (mut random, blocks) = (Random::new(1), 2_000);
        let mut lives = Lifetimes::steady(blocks, &mut random);
        // Slots that are replaced at least once while as many blocks are born as there are.
        let mut replaced = || {
            let mut seen = vec![false; blocks as usize];
            (0..blocks).for_each(|_| seen[lives.replace(&mut random) as usize] = true);
            seen.into_iter().filter(|&seen| seen).count()
        };
        let first: usize = (0..10).map(|_| replaced()).sum();
        let later: usize = (0..210).map(|_| replaced()).skip(200).sum();
        let ratio = first as f64 / later as f64;
        assert!((0.7..1.4).contains(&ratio), "{first} and {later}");
        assert!(first / 10 < blocks as usize / 4, "{first}: most blocks stay");
    }
}
