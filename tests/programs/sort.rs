//! rayon: parallel sorts, compared with sequential ones.

use rayon::prelude::*;

use super::{Random, alone, assert_share, is_ours, scaled};

/// More strings than a pool of the test holds, and enough that rayon splits the slice many times.
const STRINGS: usize = scaled(60_000);

/// Runs `work` on threads of its own, which end with it: more of them than most machines that run tests have cores free.
fn on_four_threads<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let threads = rayon::ThreadPoolBuilder::new().num_threads(4).build().expect("four threads can be had");
    threads.install(work)
}

#[test]
fn strings_are_sorted_in_parallel_as_they_are_in_sequence() {
    let _alone = alone();
    let sorted: Vec<String> = on_four_threads(|| {
        // Made by all of the threads, and moved about by all of them.
        let word = |number: usize| Random::new(number).word(1 + number % 20);
        let mut strings: Vec<String> = (0..STRINGS).into_par_iter().map(word).collect();
        let mut expected = strings.clone();
        strings.par_sort();
        expected.sort();
        assert!(strings == expected);
        strings
    });
    assert_share(sorted.iter().map(String::as_str));
    assert!(sorted.is_sorted() && sorted.len() == STRINGS);
}

#[test]
fn numbers_are_sorted_in_parallel_as_they_are_in_sequence() {
    let _alone = alone();
    let mut random = Random::new(0);
    let numbers: Vec<u64> = (0..scaled(200_000)).map(|_| random.next()).collect();
    let mut expected = numbers.clone();
    expected.sort_unstable();
    on_four_threads(|| {
        let (mut stable, mut unstable) = (numbers.clone(), numbers.clone());
        let least = |numbers: &[u64]| numbers.first().copied().map(Box::new).expect("there are some");
        let (first, second) = rayon::join(
            || {
                stable.par_sort();
                least(&stable)
            },
            || {
                unstable.par_sort_unstable();
                least(&unstable)
            },
        );
        assert!(first == second && is_ours(&*first) && is_ours(&*second));
        assert!(stable == expected && unstable == expected);
    });
}

#[test]
fn a_tree_of_parallel_tasks_collects_what_each_made() {
    let _alone = alone();
    fn digits(from: usize, to: usize) -> Vec<String> {
        if to - from == 1 {
            return vec![from.to_string()];
        }
        let middle = from.midpoint(to);
        let (mut left, right) = rayon::join(|| digits(from, middle), || digits(middle, to));
        left.extend(right);
        left
    }
    let all = on_four_threads(|| digits(0, scaled(5_000)));
    assert!(all.iter().map(|text| text.parse::<usize>()).eq((0..scaled(5_000)).map(Ok)));
    assert!(all.iter().all(|text| is_ours(text.as_str())));
}
