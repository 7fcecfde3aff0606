//! Distributions of block sizes. One place: each with its reason and what can be said against it.

use std::alloc::Layout;
use std::num::NonZeroU32;

use super::params::Value;
use super::table::Table;
use crate::stats::random::Random;

/// How block sizes are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sizes {
    /// All the same. What a pool is for, and what many benchmarks measure alone; real programs rarely are so.
    Fixed(usize),
    /// Evenly between two bounds, in bytes, both included. Every size class of an allocator is met in proportion to its
    /// width, so large classes dominate: real programs have far more small blocks than this.
    Uniform(usize, usize),
    /// Evenly between the logarithms of two bounds: as many blocks of 16–32 bytes as of 512–1024. Close to what programs
    /// do below 1 KiB; servers have an even heavier lower end (59–72 % of blocks at most 64 bytes in the ten profiles
    /// published with fleetbench).
    LogUniform(usize, usize),
    /// Density falling with the square of the size: half of all blocks are under twice the lower bound, and a few are
    /// very large. Heavy-tailed sizes as glibc's thread benchmark uses them; the exponent is a convention, not a
    /// measurement.
    InverseSquare(usize, usize),
    /// Density falling with the power 3/2 of the size. From 8 bytes to 32 KiB, 66 % of the blocks have at most 64 bytes
    /// and 93 % at most 1 KiB, as in the server profiles published with fleetbench (59–72 %, 88–98 %), and half of the
    /// bytes lie in blocks over 8 KiB. A smooth curve all the same: programs have spikes at the sizes of their types, and
    /// the blocks over 32 KiB that servers have too (0.04–1 %) are missing.
    ThreeHalves(usize, usize),
    /// From the first bound, left out, to the second, which is the first times a power of two: each doubling has half as many
    /// blocks as the one before it, the last two as many as each other; evenly within a doubling. Each doubling but the last
    /// has the same share of the bytes. As in alloc-test; a convention, not a measurement.
    Halving(usize, usize),
    /// What [`ThreeHalves`](Self::ThreeHalves) misses added: half of the blocks have one of thirteen sizes that types
    /// have, three in a thousand have 32 KiB to 256 KiB (density falling with the square), the others are three-halves
    /// from 8 bytes to 32 KiB. 67 % of the blocks have at most 64 bytes and 96 % at most 1 KiB; the mean is half a KiB,
    /// and nearly half of the bytes lie in the few large blocks. Within what the ten server profiles published with
    /// fleetbench show (59–72 %, 88–98 %, 0.04–1 % over 32 KiB, means of 197–1 334 bytes), but none of them: where its
    /// spikes are is a choice, and servers also have blocks of many MiB.
    Server,
}

/// Sizes that many blocks have: nodes, reference-counted strings, entries of tables, small buffers. Each as likely as the
/// others; some stand twice.
const SPIKES: [usize; 16] = [16, 16, 24, 24, 32, 32, 40, 48, 48, 56, 64, 80, 96, 128, 256, 1024];

/// The blocks of [`Sizes::Server`] that are no spike, and its few large ones.
const SERVER_BODY: Sizes = Sizes::ThreeHalves(8, 32_768);
const SERVER_TAIL: Sizes = Sizes::InverseSquare(32_769, 262_144);

/// Large ones in a thousand.
const SERVER_LARGE: u64 = 3;

/// Alignment of blocks that a word fits in: what most Rust types ask at most. Smaller blocks are bytes: no Rust type is
/// aligned to more than its size, and some allocators leave their fast path for such a request.
const ALIGN: usize = 8;

impl Sizes {
    /// The layout of a block of `size` bytes.
    #[inline(always)]
    pub fn layout(size: usize) -> Layout {
        let align = if size < ALIGN { 1 } else { ALIGN };
        Layout::from_size_align(size, align).expect("sizes of workloads are far below the limit")
    }

    /// A size as the tables hold it.
    ///
    /// # Panics
    /// For 0 and from 4 GiB on, which no workload asks for.
    pub fn size(bytes: usize) -> NonZeroU32 {
        u32::try_from(bytes).ok().and_then(NonZeroU32::new).expect("blocks of workloads have 1 byte to 4 GiB")
    }

    /// How a case names it: the number of a fixed size, else words.
    pub fn value(self) -> Value {
        match self {
            Self::Fixed(size) => Value::from(size),
            Self::Uniform(low, high) => Value::from(format!("uniform-{low}-{high}").as_str()),
            Self::LogUniform(low, high) => Value::from(format!("log-uniform-{low}-{high}").as_str()),
            Self::InverseSquare(low, high) => Value::from(format!("inverse-square-{low}-{high}").as_str()),
            Self::ThreeHalves(low, high) => Value::from(format!("three-halves-{low}-{high}").as_str()),
            Self::Halving(low, high) => Value::from(format!("halving-{}-{high}", low + 1).as_str()),
            Self::Server => Value::from("server"),
        }
    }

    /// The one layout, if there is only one.
    pub fn one(self) -> Option<Layout> {
        match self {
            Self::Fixed(size) => Some(Self::layout(size)),
            Self::Uniform(..)
            | Self::LogUniform(..)
            | Self::InverseSquare(..)
            | Self::ThreeHalves(..)
            | Self::Halving(..)
            | Self::Server => None,
        }
    }

    /// The largest size it can give.
    pub const fn largest(self) -> usize {
        match self {
            Self::Fixed(size) => size,
            Self::Uniform(_, high)
            | Self::LogUniform(_, high)
            | Self::InverseSquare(_, high)
            | Self::ThreeHalves(_, high)
            | Self::Halving(_, high) => high,
            Self::Server => SERVER_TAIL.largest(),
        }
    }

    /// The mean size, in bytes.
    pub fn mean(self) -> f64 {
        match self {
            Self::Fixed(size) => size as f64,
            Self::Uniform(low, high) => (low + high) as f64 / 2.0,
            Self::LogUniform(low, high) => (high - low) as f64 / (high as f64 / low as f64).ln(),
            Self::InverseSquare(low, high) => {
                let (low, high) = (low as f64, high as f64);
                (high / low).ln() / (1.0 / low - 1.0 / high)
            }
            Self::ThreeHalves(low, high) => (low as f64 * high as f64).sqrt(),
            Self::Halving(low, high) => {
                let doublings = (high / low).ilog2();
                let mean = |doubling: u32| 1.5 * (low << doubling) as f64 + 0.5;
                let share = |doubling: u32| 0.5_f64.powi((doubling + 1).min(doublings - 1) as i32);
                (0..doublings).map(|doubling| share(doubling) * mean(doubling)).sum()
            }
            Self::Server => {
                let spikes = SPIKES.iter().sum::<usize>() as f64 / SPIKES.len() as f64;
                let large = SERVER_LARGE as f64 / 1_000.0;
                0.5 * spikes + (0.5 - large) * SERVER_BODY.mean() + large * SERVER_TAIL.mean()
            }
        }
    }

    /// Bytes that `blocks` blocks will not exceed, alignment padding included.
    ///
    /// One and a half times the mean, and two of the largest: with a thousand draws of the heaviest tail here, four
    /// standard deviations. Memory that is not enough is refused and said, never overrun.
    pub fn budget(self, blocks: usize) -> usize {
        match self {
            Self::Fixed(size) => blocks * size.next_multiple_of(ALIGN),
            _ => (1.5 * self.mean() * blocks as f64) as usize + blocks * ALIGN + 2 * self.largest(),
        }
    }

    /// One size.
    pub fn draw(self, random: &mut Random) -> NonZeroU32 {
        let size = match self {
            Self::Fixed(size) => size,
            Self::Uniform(low, high) => low + random.below((high - low + 1) as u64) as usize,
            Self::LogUniform(low, high) => {
                let (low_f, high_f) = (low as f64, (high + 1) as f64);
                let size = low_f * (high_f / low_f).powf(random.unit_f64());
                (size as usize).clamp(low, high)
            }
            Self::InverseSquare(low, high) => {
                // Inverse of the distribution function F(x) = (1/low − 1/x) / (1/low − 1/high).
                let (low_f, high_f) = (low as f64, high as f64);
                let size = 1.0 / (1.0 / low_f - random.unit_f64() * (1.0 / low_f - 1.0 / high_f));
                (size as usize).clamp(low, high)
            }
            Self::ThreeHalves(low, high) => {
                // Inverse of F(x) = (1/√low − 1/√x) / (1/√low − 1/√high).
                let (most, least) = (1.0 / (low as f64).sqrt(), 1.0 / (high as f64).sqrt());
                let root = most - random.unit_f64() * (most - least);
                ((1.0 / (root * root)) as usize).clamp(low, high)
            }
            Self::Halving(low, high) => {
                // The number of zeroes before the first one of a row of coins: each with half the probability of the last.
                let last = (high / low).ilog2() - 1;
                let base = low << random.next_u64().trailing_zeros().min(last);
                base + 1 + random.below(base as u64) as usize
            }
            Self::Server => match random.below(1_000) {
                0..500 => SPIKES[random.below(SPIKES.len() as u64) as usize],
                large if large >= 1_000 - SERVER_LARGE => return SERVER_TAIL.draw(random),
                _ => return SERVER_BODY.draw(random),
            },
        };
        Self::size(size)
    }

    /// A table of `n` sizes.
    pub fn table(self, n: usize, random: &mut Random) -> Table<NonZeroU32> {
        Table::new(n, |_| self.draw(random))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Sizes; 6] = [
        Sizes::Uniform(16, 1024),
        Sizes::LogUniform(16, 1024),
        Sizes::InverseSquare(4, 32_768),
        Sizes::ThreeHalves(8, 32_768),
        Sizes::Halving(4, 1024),
        Sizes::Server,
    ];

    fn drawn(sizes: Sizes) -> Vec<u32> {
        let mut random = Random::new(1);
        (0..20_000).map(|_| sizes.draw(&mut random).get()).collect()
    }

    #[test]
    fn every_size_lies_within_the_bounds_of_its_distribution() {
        for sizes in ALL {
            assert!(drawn(sizes).into_iter().all(|size| size as usize <= sizes.largest()), "{sizes:?}");
        }
    }

    #[test]
    fn no_block_is_aligned_to_more_than_its_size() {
        for size in 1..100 {
            let layout = Sizes::layout(size);
            assert!(layout.align() <= layout.size() && layout.align() <= ALIGN, "{layout:?}");
        }
    }

    #[test]
    fn the_mean_of_many_draws_is_the_mean() {
        for sizes in ALL {
            let total: u64 = drawn(sizes).into_iter().map(u64::from).sum();
            let ratio = total as f64 / 20_000.0 / sizes.mean();
            assert!((0.8..1.2).contains(&ratio), "{sizes:?}: {ratio}");
            assert!((total as usize) < sizes.budget(20_000));
        }
    }

    #[test]
    fn half_of_all_log_uniform_sizes_are_below_the_geometric_mean() {
        let below = drawn(Sizes::LogUniform(16, 1024)).into_iter().filter(|&size| size < 128).count();
        assert!((9_600..=10_400).contains(&below), "{below} of 20 000");
    }

    #[test]
    fn half_of_all_inverse_square_sizes_are_under_twice_the_lower_bound() {
        let below = drawn(Sizes::InverseSquare(4, 32_768)).into_iter().filter(|&size| size < 8).count();
        assert!((9_600..=10_400).contains(&below), "{below} of 20 000");
    }

    #[test]
    fn three_halves_sizes_are_as_small_as_those_of_servers() {
        let sizes = drawn(Sizes::ThreeHalves(8, 32_768));
        let share = |limit: u32| sizes.iter().filter(|&&size| size <= limit).count() as f64 / 20_000.0;
        assert!((0.64..0.68).contains(&share(64)) && (0.91..0.94).contains(&share(1024)));
        let large: u64 = sizes.iter().filter(|&&size| size > 8_192).map(|&size| u64::from(size)).sum();
        let total: u64 = sizes.iter().map(|&size| u64::from(size)).sum();
        assert!((0.4..0.6).contains(&(large as f64 / total as f64)), "{large} of {total}");
    }

    #[test]
    fn each_doubling_of_halving_sizes_has_half_of_what_is_left_and_the_last_the_rest() {
        let sizes = drawn(Sizes::Halving(4, 1024));
        assert!(sizes.iter().all(|&size| (5..=1024).contains(&size)));
        for (doubling, expected) in [10_000, 5_000, 2_500, 1_250, 625, 312, 156, 156].into_iter().enumerate()
        {
            let (low, high) = (4 << doubling, 8 << doubling);
            let within = sizes.iter().filter(|&&size| (low + 1..=high).contains(&size)).count();
            // Four standard deviations of a binomial count, at most.
            let margin = (4.0 * f64::from(expected).sqrt()) as usize;
            assert!(within.abs_diff(expected as usize) <= margin, "{within} in {low}..={high}");
        }
    }

    #[test]
    fn server_sizes_lie_within_what_server_profiles_show() {
        let sizes = drawn(Sizes::Server);
        let share = |limit: u32| sizes.iter().filter(|&&size| size <= limit).count() as f64 / 20_000.0;
        assert!((0.59..=0.72).contains(&share(64)), "{} have at most 64 bytes", share(64));
        assert!((0.88..=0.98).contains(&share(1_024)), "{} have at most 1 KiB", share(1_024));
        assert!(
            (0.0004..=0.01).contains(&(1.0 - share(32_768))),
            "{} have more than 32 KiB",
            1.0 - share(32_768)
        );
        assert!((197.0..=1_334.0).contains(&Sizes::Server.mean()), "{}", Sizes::Server.mean());
    }

    #[test]
    fn half_of_all_server_sizes_are_spikes() {
        let spikes =
            drawn(Sizes::Server).into_iter().filter(|&size| SPIKES.contains(&(size as usize))).count();
        assert!((10_000..13_000).contains(&spikes), "{spikes} of 20 000, some of them by chance");
    }
}
