//! `strings`: formatting, pushing and joining text.

use std::alloc::Layout;
use std::fmt::Write;

use allocator_api2::alloc::{Allocator, System};
use allocator_api2::vec::Vec;

use super::checksum::Checksum;
use super::heap::{Heap, refused};
use super::mode::{Mode, Touch};
use super::params::{Axis, Params};
use super::probe::Probe;
use super::shape::{
    Body, Clock, Declared, Drive, Facts, Family, Needs, OneThread, Parameter, Pass, Scope, Shape, timed,
};
use super::table::Table;
use super::text::Text;
use crate::allocators::contract::Demand;
use crate::stats::random::Random;

/// Lines of a report, formatted and joined.
#[derive(Clone, Copy, Debug)]
pub struct Strings {
    capacity: Capacity,
}

/// Whether texts know how long they will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Capacity {
    /// They grow from nothing as they are written: several reallocations each.
    Grown,
    /// Room is reserved first: one allocation each.
    Reserved,
}

/// Lines in a pass: a small report or a page of a web shop.
const LINES: usize = 256;

/// Room for a line, and more than the longest is.
const LINE_BYTES: usize = 96;

impl Capacity {
    const fn id(self) -> &'static str {
        match self {
            Self::Grown => "grown",
            Self::Reserved => "reserved",
        }
    }
}

impl Shape for Strings {
    const FACTS: Facts = Facts {
        id: "strings",
        title: "format, push and join lines of text",
        family: Family::Applications,
        why: "Logs, reports, templates, protocols: most programs spend their allocations on short texts. Each line is \
              made of two temporary texts and kept; at the end all are joined into one and dropped. Texts that grow \
              from nothing reallocate a few times each; texts with reserved room allocate once.\n\n\
              Formatting itself takes most of the time and is the same for every allocator, as it is in a program: \
              the differences here are the ones such a program would see.",
        effect: "Reserved texts are faster than grown ones; the distance between the two is an allocator's price of \
              reallocation. General allocators differ little, for formatting takes most of the time.",
        origin: "A shape of our own, as a report or a log is written; Ruby's stress program of mimalloc-bench (rbstress) \
              makes strings too, inside an interpreter.",
        operation: "line",
        step: "line",
        probes: &[Probe::Time, Probe::Latency, Probe::Instructions],
        parameters: &[Parameter { name: "capacity", title: "room for the text", axis: Axis::Category }],
    };

    fn cases(scope: Scope) -> std::vec::Vec<Self> {
        let capacities = scope.pick(vec![Capacity::Grown], vec![Capacity::Grown, Capacity::Reserved]);
        capacities.into_iter().map(|capacity| Self { capacity }).collect()
    }

    fn params(&self) -> Params {
        Params::default().with("capacity", self.capacity.id())
    }

    fn needs(&self) -> Needs {
        Needs { mixed_sizes: true, frees: false, threads: false, global: false }
    }

    fn demand(&self) -> Demand {
        // Growing by doubling asks for twice the final size in total; three texts a line, and the joined one.
        let pass_bytes = 2 * LINES * 4 * (LINE_BYTES + 32) + LINES * size_of::<Text<System>>() * 4;
        Demand { block: None, live_blocks: LINES + 4, pass_bytes, threads: 1 }
    }

    fn declared(&self) -> Option<Declared> {
        // How often a text that grows is resized depends on its length, and that on the numbers drawn.
        None
    }
}

impl OneThread for Strings {
    fn open<H: Heap, M: Mode>(&self, heap: &mut H, mode: &mut M, seed: u64, drive: Drive<'_>) {
        let mut random = Random::new(seed);
        let numbers = Table::new(LINES, |_| random.next_u64());
        let expected = checksum(report(System, &numbers, self.capacity, &mut Touch).as_str());
        drive(&mut Report { numbers, capacity: self.capacity, expected, heap, mode });
    }
}

struct Report<'h, H, M> {
    numbers: Table<u64>,
    capacity: Capacity,
    /// The checksum under the system's allocator.
    expected: u64,
    heap: &'h mut H,
    mode: &'h mut M,
}

impl<H: Heap, M: Mode> Body for Report<'_, H, M> {
    fn pass(&mut self, clock: &dyn Clock) -> Pass {
        // The checksum is ours and not the program's: the clock stops for it.
        let mut joined = None;
        let build = timed(clock, LINES, || {
            joined = Some(report(self.heap.handle(), &self.numbers, self.capacity, self.mode));
        });
        let checksum = checksum(joined.as_ref().map_or("", Text::as_str));
        let release = timed(clock, 0, || drop(joined));
        let reset = timed(clock, 0, || self.heap.reset());
        self.mode.result(checksum, self.expected);
        let elapsed_ns = build.elapsed_ns + release.elapsed_ns + reset.elapsed_ns;
        Pass { elapsed_ns, operations: build.operations }
    }
}

/// Builds the lines, each of them a step, and joins them, which is none.
fn report<A: Allocator + Copy, M: Mode>(
    allocator: A,
    numbers: &[u64],
    capacity: Capacity,
    mode: &mut M,
) -> Text<A> {
    let text = |bytes: usize| {
        let mut text = Text::new_in(allocator);
        if capacity == Capacity::Reserved {
            text.reserve(bytes);
        }
        text
    };
    let mut lines = Vec::new_in(allocator);
    let reserved = if capacity == Capacity::Reserved { numbers.len() } else { 0 };
    if lines.try_reserve_exact(reserved).is_err() {
        refused(Layout::new::<Text<A>>());
    }
    mode.begin();
    for &number in numbers {
        let (low, high) = (number & 0xFFFF_FFFF, number >> 32);
        let (mut key, mut value) = (text(24), text(40));
        // Writing to a text cannot fail: a refusal ends the workload inside.
        let _ = write!(key, "order-{low}");
        let _ = write!(value, "{}.{:02} EUR", high / 100, high % 100);
        let mut line = text(LINE_BYTES);
        line.push_str(key.as_str());
        line.push_str(": ");
        line.push_str(value.as_str());
        line.push_str(if number % 3 == 0 { ", paid, shipped and closed" } else { ", open" });
        if lines.try_reserve(1).is_err() {
            refused(Layout::new::<Text<A>>());
        }
        lines.push(line);
        // The two temporary texts are a part of the line: they go before it is done, in the usual order.
        drop(value);
        drop(key);
        mode.step();
    }
    let mut joined = text(lines.iter().map(|line: &Text<A>| line.as_bytes().len() + 1).sum());
    for line in &lines {
        joined.push_str(line.as_str());
        joined.push_str("\n");
    }
    joined
}

fn checksum(text: &str) -> u64 {
    Checksum::new().bytes(text.as_bytes()).value()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_build_the_same_text() {
        let numbers: std::vec::Vec<u64> = (0..100).map(|number| number * 0x1234_5678_9ABC).collect();
        let text = |capacity| report(System, &numbers, capacity, &mut Touch).as_str().to_owned();
        assert_eq!(text(Capacity::Grown), text(Capacity::Reserved));
    }

    #[test]
    fn another_text_has_another_checksum() {
        let sum = |numbers: &[u64]| checksum(report(System, numbers, Capacity::Grown, &mut Touch).as_str());
        assert_ne!(sum(&[1, 2, 3]), sum(&[1, 2, 4]));
    }
}
