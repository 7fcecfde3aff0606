//! A hash function that is the same in every process, for the maps of the workloads.

use std::hash::{BuildHasherDefault, Hasher};

/// What a map of a workload hashes its keys with.
pub type BuildWordHasher = BuildHasherDefault<WordHasher>;

/// Hashes keys of one word by a folded multiplication: the product's two halves, one xor the other, so that every bit of
/// the key reaches the low bits, which choose the bucket, and the high ones, which hashbrown compares first.
///
/// Not the standard library's: `RandomState` draws a key for each process, so that two processes would do different work,
/// and its algorithm may change with the compiler. And not SipHash with a fixed key: it would take more time than the
/// request for memory beside it. Programs that care for the time of their maps use such a function too (rustc's, foldhash).
/// It does not resist keys chosen to collide, and nobody chooses keys here.
#[derive(Clone, Copy, Debug, Default)]
pub struct WordHasher(u64);

/// Two odd words without a pattern: 2^64 divided by the golden ratio, as in Knuth's multiplicative hashing (TAOCP 3, 6.4),
/// and the first bits of the fraction of pi, as Blowfish has them, made odd.
const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;
const OFFSET: u64 = 0x243F_6A88_85A3_08D3;

impl Hasher for WordHasher {
    #[inline]
    fn write_u64(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word ^ OFFSET) * u128::from(MULTIPLIER);
        self.0 = (product >> 64) as u64 ^ product as u64;
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;

    use super::*;

    /// The most keys of `keys` that share a value of `part`.
    fn most_alike(keys: impl Iterator<Item = u64>, part: impl Fn(u64) -> usize) -> usize {
        let mut counts = [0; 128];
        for key in keys {
            counts[part(BuildWordHasher::default().hash_one(key)) % 128] += 1;
        }
        counts.into_iter().max().expect("128 counts")
    }

    #[test]
    fn numbers_in_a_row_and_multiples_spread_over_low_and_high_bits() {
        // 12 800 keys over 128 values: 100 each, and of a random function's counts none above 150 (five deviations).
        for stride in [1, 8, 64, 4096, 1 << 32] {
            let keys = || (0..12_800_u64).map(|key| key * stride);
            let most = most_alike(keys(), |hash| hash as usize);
            assert!(most < 150, "stride {stride}, low bits: {most}");
            let most = most_alike(keys(), |hash| (hash >> 57) as usize);
            assert!(most < 150, "stride {stride}, high bits: {most}");
        }
    }
}
