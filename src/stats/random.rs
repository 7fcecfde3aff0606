//! A small generator whose output is fixed for ever: orders and simulations must repeat from a seed that stands in a
//! record, so it must not change when a dependency does.
//!
//! The generator is xoshiro256\*\* (D. Blackman and S. Vigna, "Scrambled linear pseudorandom number generators", ACM
//! Transactions on Mathematical Software 47(4), 2021), its state filled by SplitMix64 (G. Steele, D. Lea, C. Flood,
//! "Fast splittable pseudorandom number generators", OOPSLA 2014), as its authors advise. Not for secrets.

/// A generator of pseudo-random numbers.
///
/// # Examples
/// ```
/// use allocmark::stats::{Random, seed_from};
///
/// let (seed, case, round) = (42, 7, 0);
/// let mut order = ["jemalloc", "mimalloc", "system"];
/// Random::new(seed_from(&[seed, case, round])).shuffle(&mut order);
/// assert_eq!(order, ["system", "mimalloc", "jemalloc"]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Random {
    state: [u64; 4],
}

/// The odd constant by which SplitMix64 counts: 2⁶⁴ divided by the golden ratio.
const GOLDEN_GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

impl Random {
    /// A generator whose whole sequence follows from `seed`. Any seed will do, 0 too.
    pub fn new(seed: u64) -> Self {
        let mut counter = seed;
        let state = std::array::from_fn(|_| {
            counter = counter.wrapping_add(GOLDEN_GAMMA);
            mix(counter)
        });
        // The all-zero state, from which xoshiro never leaves, cannot come out: `mix` is a bijection and the four
        // counters differ.
        Self { state }
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        let [s0, s1, s2, s3] = &mut self.state;
        let result = s1.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let shifted = *s1 << 17;
        *s2 ^= *s0;
        *s3 ^= *s1;
        *s1 ^= *s2;
        *s0 ^= *s3;
        *s2 ^= shifted;
        *s3 = s3.rotate_left(45);
        result
    }

    /// A number from 0 to `bound` − 1, each equally likely.
    ///
    /// The high half of a 128-bit product, rejecting the few low halves that would favour some results. Source:
    /// D. Lemire, "Fast random integer generation in an interval", ACM Transactions on Modeling and Computer
    /// Simulation 29(1), 2019.
    ///
    /// # Panics
    /// If `bound` is 0: there is no such number.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "no number is below 0");
        // 2⁶⁴ mod bound low halves are one too many.
        let surplus = bound.wrapping_neg() % bound;
        loop {
            let product = u128::from(self.next_u64()) * u128::from(bound);
            if product as u64 >= surplus {
                return (product >> 64) as u64;
            }
        }
    }

    /// A number in [0, 1): 53 random bits, all that an `f64` there can hold evenly.
    pub fn unit_f64(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// Puts `items` into an order drawn from all orders with equal probability.
    ///
    /// Fisher and Yates' shuffle, in place. Source: R. Durstenfeld, "Algorithm 235: random permutation", CACM 7(7),
    /// 1964.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            let chosen = self.below(end as u64 + 1) as usize;
            items.swap(end, chosen);
        }
    }
}

/// One seed from several words, such as (seed of the run, hash of the case, round): each word, their order and their
/// number matter, and close words give far seeds.
pub fn seed_from(words: &[u64]) -> u64 {
    words.iter().fold(mix(words.len() as u64 ^ GOLDEN_GAMMA), |seed, &word| {
        mix(seed.wrapping_add(GOLDEN_GAMMA) ^ mix(word.wrapping_add(GOLDEN_GAMMA)))
    })
}

/// SplitMix64's finaliser: a bijection on 64 bits in which each input bit turns about half of the output's.
const fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_is_filled_by_splitmix64s_published_sequence() {
        assert_eq!(
            Random::new(0).state,
            [0xE220_A839_7B1D_CDAF, 0x6E78_9E6A_A1B9_65F4, 0x06C4_5D18_8009_454F, 0xF88B_B8A8_724C_81EC]
        );
    }

    #[test]
    fn the_sequence_is_that_of_xoshiro256_star_star() {
        let mut random = Random { state: [1, 2, 3, 4] };
        let sequence: Vec<u64> = (0..5).map(|_| random.next_u64()).collect();
        assert_eq!(
            sequence,
            [11_520, 0, 1_509_978_240, 1_215_971_899_390_074_240, 1_216_172_134_540_287_360]
        );
    }

    #[test]
    fn equal_seeds_give_equal_sequences_and_others_do_not() {
        let draw = |seed| {
            let mut random = Random::new(seed);
            [random.next_u64(), random.next_u64()]
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn every_number_below_the_bound_comes_equally_often() {
        let mut random = Random::new(1);
        let mut seen = [0_u32; 6];
        for _ in 0..60_000 {
            seen[random.below(6) as usize] += 1;
        }
        // 10 000 each, standard deviation 91: five of them on either side.
        assert!(seen.iter().all(|count| (9_545..=10_455).contains(count)), "{seen:?}");
        assert_eq!(random.below(1), 0);
        let half = 1_u64 << 63;
        assert!((0..100).all(|_| random.below(half + 1) <= half));
    }

    #[test]
    #[should_panic(expected = "no number is below 0")]
    fn there_is_no_number_below_zero() {
        Random::new(1).below(0);
    }

    #[test]
    fn units_fill_the_interval_and_never_reach_one() {
        let mut random = Random::new(2);
        let drawn: Vec<f64> = (0..10_000).map(|_| random.unit_f64()).collect();
        assert!(drawn.iter().all(|value| (0.0..1.0).contains(value)));
        let mean = drawn.iter().sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.015, "{mean}");
    }

    #[test]
    fn a_shuffle_keeps_the_items_and_every_order_comes_equally_often() {
        let mut random = Random::new(3);
        let mut seen = std::collections::BTreeMap::new();
        for _ in 0..60_000 {
            let mut items = [1, 2, 3];
            random.shuffle(&mut items);
            *seen.entry(items).or_insert(0_u32) += 1;
        }
        assert_eq!(seen.len(), 6);
        assert!(seen.values().all(|count| (9_545..=10_455).contains(count)), "{seen:?}");
        random.shuffle::<u8>(&mut []);
    }

    #[test]
    fn a_seed_depends_on_each_word_their_order_and_their_number() {
        let seeds = [
            seed_from(&[]),
            seed_from(&[0]),
            seed_from(&[0, 0]),
            seed_from(&[1, 0]),
            seed_from(&[0, 1]),
            seed_from(&[1, 2, 3]),
            seed_from(&[3, 2, 1]),
        ];
        let distinct: std::collections::BTreeSet<u64> = seeds.into_iter().collect();
        assert_eq!(distinct.len(), seeds.len());
    }

    #[test]
    fn seeds_stay_what_they_were_when_records_were_written() {
        assert_eq!(seed_from(&[42, 7, 0]), 8_040_569_922_888_278_463);
    }
}
