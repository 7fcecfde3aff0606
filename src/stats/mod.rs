//! Pure mathematics on `f64`: knows no allocator, no metric, no record.
//!
//! | file | what | source |
//! |---|---|---|
//! | [`mod@median`] | the middle value | textbook |
//! | [`means`] | geometric mean, logarithm of a ratio | Fleming & Wallace 1986 |
//! | [`binomial`] | the upper tail of a binomial distribution | textbook |
//! | [`sign_test`] | interval for a median, one-sided p-value | Conover 1999, §3.2 and §3.4 |
//! | [`mod@holm`] | p-values corrected for many questions | Holm 1979 |
//! | [`rank_sum`] | shift between two unpaired groups | Mann & Whitney 1947, Hodges & Lehmann 1963 |
//! | [`random`] | a small generator with fixed, documented output | Blackman & Vigna 2021 |
//!
//! One rule for bad input holds everywhere: a NaN or an infinity among the values gives `None`, never a panic and never
//! a number computed from the rest. The caller knows which file the value came from; this layer does not.

pub mod binomial;
pub mod holm;
pub mod means;
pub mod median;
pub mod random;
pub mod rank_sum;
pub mod sign_test;

pub use binomial::binomial_upper_tail;
pub use holm::holm;
pub use means::{geometric_mean, log_ratio};
pub use median::median;
pub use random::{Random, seed_from};
pub use rank_sum::{Shift, rank_sum_greater, shift};
pub use sign_test::{Interval, sign_test_greater, sign_test_interval};
