//! Collections, and threads that free what others made.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::sync::{Mutex, mpsc};
use std::thread;

use super::{alone, is_ours, scaled};

#[test]
fn ordinary_collections_live_in_it() {
    let _alone = alone();
    let mut counts = HashMap::new();
    let mut text = String::new();
    let numbers = scaled(20_000);
    for number in 0..numbers {
        write!(text, "{number},").expect("a string takes everything");
        counts.entry(number % 777).or_insert_with(|| Box::new(0_usize));
        *counts.get_mut(&(number % 777)).expect("just entered").as_mut() += 1;
    }
    assert_eq!(counts.values().map(|count| **count).sum::<usize>(), numbers);
    assert_eq!(text.split(',').filter(|part| !part.is_empty()).count(), numbers);
    assert!(is_ours(counts[&5].as_ref()));
}

#[test]
fn threads_exchange_boxes_through_channels() {
    let _alone = alone();
    let (to_workers, from_main) = mpsc::channel::<Box<[u64]>>();
    let from_main = Mutex::new(from_main);
    let (to_main, from_workers) = mpsc::channel::<Box<u64>>();
    let slices = scaled(3_000) as u64;
    thread::scope(|scope| {
        for _ in 0..3 {
            let (to_main, from_main) = (to_main.clone(), &from_main);
            scope.spawn(move || {
                loop {
                    let next = from_main.lock().expect("no panic under the lock").recv();
                    let Ok(numbers) = next else { break };
                    to_main.send(Box::new(numbers.iter().sum())).expect("main waits");
                }
            });
        }
        drop(to_main);
        for length in 0..slices {
            to_workers.send((0..length % 300).collect()).expect("workers wait");
        }
        drop(to_workers);
        let expected: u64 = (0..slices).map(|length| (0..length % 300).sum::<u64>()).sum();
        let received = from_workers.iter().map(|sum| if is_ours(&*sum) { *sum } else { 0 });
        assert_eq!(received.sum::<u64>(), expected);
    });
}

#[test]
fn threads_allocate_while_they_are_born_work_and_end() {
    let _alone = alone();
    let keys = scaled(200) as u64;
    for _ in 0..scaled(20) {
        let (sender, receiver) = mpsc::channel::<(String, Box<[u64; 8]>)>();
        let threads: Vec<_> = (0..8)
            .map(|number: u64| {
                let sender = sender.clone();
                thread::spawn(move || {
                    let mut map = BTreeMap::new();
                    for key in 0..keys {
                        map.insert(key * number, format!("value {key}"));
                        sender.send((format!("{number} {key}"), Box::new([key; 8]))).expect("received");
                    }
                    map.len() as u64
                })
            })
            .collect();
        drop(sender);
        let good = |(text, words): &(String, Box<[u64; 8]>)| {
            is_ours(text.as_str()) && is_ours(&**words) && text.ends_with(&words[7].to_string())
        };
        assert_eq!(receiver.iter().filter(good).count() as u64, 8 * keys);
        let lengths: Vec<_> = threads.into_iter().map(|thread| thread.join().expect("no panic")).collect();
        assert_eq!(lengths[0], 1);
        assert!(lengths[1..].iter().all(|&length| length == keys));
    }
}
