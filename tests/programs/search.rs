//! regex: one expression searched with by several threads, its counts compared with those of a plain search.

use std::collections::BTreeMap;
use std::thread;

use regex::Regex;

use super::{Random, alone, is_ours, scaled};

const WORDS: usize = scaled(6_000);
const THREADS: usize = 4;

/// Words, dates and clutter with single spaces in between.
fn text(seed: usize) -> String {
    let mut random = Random::new(seed);
    let mut parts = Vec::new();
    for _ in 0..WORDS {
        let length = 1 + random.below(8);
        let word = random.word(length);
        parts.push(match random.below(5) {
            0 => format!("{word}ing"),
            1 => format!("{:04}-{:02}", random.below(10_000), random.below(100)),
            2 => format!("{word}ing?"),
            3 => format!("{:05}-{word}", random.below(100_000)),
            _ => word,
        });
    }
    parts.join(" ")
}

/// How often each stem and each year occurs, by hand.
fn plain_counts(text: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for part in text.split(' ') {
        let letters = part.bytes().all(|byte| byte.is_ascii_lowercase());
        let date = part.len() == 7
            && part
                .bytes()
                .enumerate()
                .all(|(at, byte)| if at == 4 { byte == b'-' } else { byte.is_ascii_digit() });
        let key = match part.strip_suffix("ing") {
            Some(stem) if letters && !stem.is_empty() => stem,
            _ if date => &part[..4],
            _ => continue,
        };
        *counts.entry(key.to_owned()).or_insert(0) += 1;
    }
    counts
}

/// The same with the expression, whose first group is a stem and whose second is a year.
fn counts(expression: &Regex, text: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for part in text.split(' ') {
        let Some(captures) = expression.captures(part) else { continue };
        let key = captures.get(1).or_else(|| captures.get(2)).expect("one of both").as_str();
        *counts.entry(key.to_owned()).or_insert(0) += 1;
    }
    counts
}

#[test]
fn threads_that_share_an_expression_find_what_a_plain_search_finds() {
    let _alone = alone();
    let expression = Regex::new(r"^(?:([a-z]+)ing|([0-9]{4})-[0-9]{2})$").expect("well formed");
    thread::scope(|scope| {
        for number in 0..THREADS {
            let expression = &expression;
            scope.spawn(move || {
                let text = text(number);
                let found = counts(expression, &text);
                assert_eq!(found, plain_counts(&text));
                assert!(found.len() > WORDS / 10);
                assert!(found.keys().all(|key| is_ours(key.as_str())));
            });
        }
    });
}

#[test]
fn expressions_are_built_and_dropped_on_different_threads() {
    let _alone = alone();
    let text = text(THREADS);
    for length in 1..=scaled(8) {
        let expression =
            thread::spawn(move || Regex::new(&format!(" [a-z]{{{length}}}[?]")).expect("well formed"))
                .join()
                .expect("no panic");
        assert!(is_ours(expression.as_str()));
        let plain =
            text.split(' ').skip(1).filter(|part| part.len() == length + 1 && part.ends_with('?')).count();
        assert_eq!(expression.find_iter(&text).count(), plain);
        let replaced = expression.replace_all(&text, "!");
        assert_eq!(replaced.matches('!').count(), plain);
        assert_eq!(replaced.len() + plain * (length + 1), text.len());
    }
}
