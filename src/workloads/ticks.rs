//! `ticks`: a market-data stream through a bounded window.

use std::num::NonZeroU32;

use allocator_api2::alloc::{Allocator, System};
use allocator_api2::boxed::Box;
use allocator_api2::vec::Vec;

use super::checksum::{Checksum, byte_sum};
use super::heap::Heap;
use super::mode::{Mode, Touch};
use super::params::Params;
use super::probe::Probe;
use super::shape::{
    Body, Clock, Declared, Drive, Facts, Family, Needs, OneThread, Pass, Scope, Shape, timed,
};
use super::sizes::Sizes;
use super::table::Table;
use crate::allocators::contract::Demand;
use crate::stats::random::Random;

/// Messages decoded into ticks, of which the last 1 024 are kept.
#[derive(Clone, Copy, Debug)]
pub struct Ticks;

/// Ticks kept: what a moving indicator looks back on. With their payloads 220 KB, more than a first-level cache has, so
/// that a tick that leaves the window is cold.
const WINDOW: usize = 1_024;

/// Ticks in a pass: four windows, so that three quarters of those that leave were made in the same pass.
const TICKS: usize = 4 * WINDOW;

/// Bytes of a message's payload: conditions, venue, quotes around it. 32 to 512, as `stream` has them too; the span is the
/// one that feeds state (a trade message of ITCH has 44 bytes, one of FIX a few hundred), its shape is an assumption.
const PAYLOADS: Sizes = Sizes::LogUniform(32, 512);

/// The mean price, in hundredths.
const PRICE: u64 = 10_000;

/// A message as it arrives, without its payload.
#[derive(Clone, Copy)]
struct Message {
    price: u64,
    quantity: u32,
    bytes: NonZeroU32,
    /// Where its payload begins in the stream.
    start: u32,
}

/// A message as the program keeps it.
struct Tick<A: Allocator> {
    price: u64,
    quantity: u32,
    payload: Vec<u8, A>,
}

impl Shape for Ticks {
    const FACTS: Facts = Facts {
        id: "ticks",
        title: "a market-data stream through a bounded window",
        family: Family::Applications,
        why: "Feeds, telemetry, logs: records arrive, are kept for a while because something looks back on them, and go in \
              the order in which they came. Each message is decoded into a record of its own with a payload of 32 to \
              512 bytes, two blocks; it enters a window of 1 024, the sums and extremes over the window are brought up to \
              date, and the oldest record is read once more and dropped.\n\n\
              First in, first out is the order that thread caches of recently freed blocks like least: the block that is \
              freed is the coldest, and its neighbours, taken with it, go soon after. Pages become empty all the time, in \
              the order in which they were filled.\n\n\
              The window lives on from pass to pass, so the heap is in the state of a program that has been running.",
        effect: "Close together: reading and copying the payload is common to all. Who splits and merges neighbours (the \
              system's) finds neighbours free together and is not behind here, though it is in `churn`.",
        origin: "A shape of our own, after the tick buffers of trading programs; `stream` is its typed sibling. FIFO order \
              with one size is a mode of `batch` and of mimalloc-pprof's batch-fifo, without a window that lives.",
        operation: "tick",
        step: "tick",
        probes: &[Probe::Time, Probe::Latency, Probe::Instructions],
        parameters: &[],
    };

    fn cases(scope: Scope) -> std::vec::Vec<Self> {
        scope.pick(vec![], vec![Self])
    }

    fn params(&self) -> Params {
        Params::default()
    }

    fn needs(&self) -> Needs {
        Needs { mixed_sizes: true, frees: true, threads: false, global: false }
    }

    fn demand(&self) -> Demand {
        let ticks = WINDOW + TICKS;
        let of_window = WINDOW * (size_of::<usize>() + 2 * size_of::<Mark>());
        let pass_bytes = PAYLOADS.budget(ticks) + ticks * size_of::<Tick<&System>>() + of_window;
        Demand { block: None, live_blocks: 2 * WINDOW + 5, pass_bytes, threads: 1 }
    }

    fn declared(&self) -> Option<Declared> {
        // A box and a payload for each; the window's own memory is taken before the clock.
        Some(Declared::pairs(2 * TICKS))
    }
}

impl OneThread for Ticks {
    fn open<H: Heap, M: Mode>(&self, heap: &mut H, mode: &mut M, seed: u64, drive: Drive<'_>) {
        let stream = Stream::drawn(seed);
        // A window that holds the stream's end when it begins: then every pass finds what the one before left.
        let expected = stream.run(&mut stream.window(System), System, &mut Touch);
        let handle = heap.handle();
        drive(&mut Feed { window: stream.window(handle), stream, expected, handle, mode });
    }
}

struct Stream {
    messages: Table<Message>,
    bytes: Table<u8>,
}

impl Stream {
    fn drawn(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let (mut price, mut start) = (PRICE, 0);
        let messages = Table::new(TICKS, |_| {
            // A random walk that stays within half and twice the mean.
            price = (price + random.below(21) - 10).clamp(PRICE / 2, 2 * PRICE);
            let bytes = PAYLOADS.draw(&mut random);
            let message = Message { price, quantity: 1 + random.below(1_000) as u32, bytes, start };
            start += bytes.get();
            message
        });
        let bytes = Table::new(start as usize, |_| random.next_u64() as u8);
        Self { messages, bytes }
    }

    /// A window that holds the last of the stream.
    fn window<A: Allocator + Copy>(&self, allocator: A) -> Window<A> {
        let mut window = Window::new(allocator);
        for message in &self.messages[TICKS - WINDOW..] {
            window.push(self.decode(message, allocator));
        }
        window
    }

    fn decode<A: Allocator + Copy>(&self, message: &Message, allocator: A) -> Box<Tick<A>, A> {
        let bytes = &self.bytes[message.start as usize..][..message.bytes.get() as usize];
        let mut payload = Vec::with_capacity_in(bytes.len(), allocator);
        payload.extend_from_slice(bytes);
        Box::new_in(Tick { price: message.price, quantity: message.quantity, payload }, allocator)
    }

    /// Runs the stream through the window once.
    fn run<A: Allocator + Copy, M: Mode>(&self, window: &mut Window<A>, allocator: A, mode: &mut M) -> u64 {
        let mut indicators = Checksum::new();
        mode.begin();
        for message in self.messages.iter() {
            let archived = window.push(self.decode(message, allocator));
            let low = window.lowest.price();
            let high = window.highest.price();
            indicators = indicators.word(window.average()).word(low).word(high).word(archived);
            mode.step();
        }
        indicators.value()
    }
}

/// The last [`WINDOW`] ticks and what is known of them.
struct Window<A: Allocator> {
    /// Tick number `i` lies at `i % WINDOW`.
    ring: Vec<Option<Box<Tick<A>, A>>, A>,
    /// Ticks so far.
    count: u64,
    /// Sums over the window: of the quantities, and of what was paid for them.
    quantity: u64,
    paid: u64,
    lowest: Extreme<A>,
    highest: Extreme<A>,
}

impl<A: Allocator + Copy> Window<A> {
    fn new(allocator: A) -> Self {
        let mut ring = Vec::with_capacity_in(WINDOW, allocator);
        ring.resize_with(WINDOW, || None);
        let lowest = Extreme::new(allocator, |new, old| new <= old);
        let highest = Extreme::new(allocator, |new, old| new >= old);
        Self { ring, count: 0, quantity: 0, paid: 0, lowest, highest }
    }

    /// The newest tick comes, the oldest goes if the window is full; gives back the sum of the one that went, with which it
    /// would be written to an archive.
    fn push(&mut self, tick: Box<Tick<A>, A>) -> u64 {
        let price = tick.price;
        self.quantity += u64::from(tick.quantity);
        self.paid += price * u64::from(tick.quantity);
        self.lowest.push(self.count, price);
        self.highest.push(self.count, price);
        let oldest = self.ring[self.count as usize % WINDOW].replace(tick);
        self.count += 1;
        let Some(oldest) = oldest else { return 0 };
        self.quantity -= u64::from(oldest.quantity);
        self.paid -= oldest.price * u64::from(oldest.quantity);
        byte_sum(&oldest.payload)
    }

    /// The average price, weighted by quantity.
    fn average(&self) -> u64 {
        self.paid / self.quantity.max(1)
    }
}

/// A tick that may still become the window's extreme.
#[derive(Clone, Copy)]
struct Mark {
    number: u64,
    price: u64,
}

/// The lowest or highest price of the window: the ticks that no later one outdoes, first in first out, the extreme in
/// front. Each tick comes once and goes once, so a tick takes constant time on average.
struct Extreme<A: Allocator> {
    /// A ring: mark number `i` lies at `i % WINDOW`.
    marks: Vec<Mark, A>,
    first: usize,
    end: usize,
    /// Whether a new price makes an old one uninteresting.
    outdoes: fn(u64, u64) -> bool,
}

impl<A: Allocator> Extreme<A> {
    fn new(allocator: A, outdoes: fn(u64, u64) -> bool) -> Self {
        let mut marks = Vec::with_capacity_in(WINDOW, allocator);
        marks.resize(WINDOW, Mark { number: 0, price: 0 });
        Self { marks, first: 0, end: 0, outdoes }
    }

    fn push(&mut self, number: u64, price: u64) {
        // Who has left the window goes first, so there is room for one more.
        if self.first < self.end && self.marks[self.first % WINDOW].number + WINDOW as u64 <= number {
            self.first += 1;
        }
        while self.first < self.end && (self.outdoes)(price, self.marks[(self.end - 1) % WINDOW].price) {
            self.end -= 1;
        }
        self.marks[self.end % WINDOW] = Mark { number, price };
        self.end += 1;
    }

    fn price(&self) -> u64 {
        self.marks[self.first % WINDOW].price
    }
}

struct Feed<'m, A: Allocator, M> {
    window: Window<A>,
    stream: Stream,
    /// What a pass computes under the system's allocator.
    expected: u64,
    handle: A,
    mode: &'m mut M,
}

impl<A: Allocator + Copy, M: Mode> Body for Feed<'_, A, M> {
    fn pass(&mut self, clock: &dyn Clock) -> Pass {
        let mut indicators = 0;
        let pass = timed(clock, TICKS, || {
            indicators = self.stream.run(&mut self.window, self.handle, self.mode);
        });
        self.mode.result(indicators, self.expected);
        pass
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::allocators::arena::Arena;

    #[test]
    fn every_pass_and_every_allocator_computes_the_same() {
        let (stream, arena) = (Stream::drawn(1), Arena::new());
        let mut window = stream.window(System);
        let expected = stream.run(&mut window, System, &mut Touch);
        assert_eq!(stream.run(&mut window, System, &mut Touch), expected);
        assert_eq!(stream.run(&mut stream.window(&arena), &arena, &mut Touch), expected);
    }

    #[test]
    fn a_changed_byte_of_a_payload_changes_the_result() {
        let mut stream = Stream::drawn(1);
        let run = |stream: &Stream| stream.run(&mut stream.window(System), System, &mut Touch);
        let expected = run(&stream);
        let middle = stream.bytes.len() / 2;
        stream.bytes[middle] ^= 1;
        assert_ne!(run(&stream), expected);
    }

    #[test]
    fn sums_and_extremes_are_those_of_the_last_ticks() {
        let stream = Stream::drawn(1);
        let mut window = Window::new(System);
        let mut last: VecDeque<Message> = VecDeque::new();
        for message in stream.messages.iter() {
            window.push(stream.decode(message, System));
            last.push_back(*message);
            if last.len() > WINDOW {
                last.pop_front();
            }
            let prices = last.iter().map(|message| message.price);
            assert_eq!(Some(window.lowest.price()), prices.clone().min());
            assert_eq!(Some(window.highest.price()), prices.max());
            let quantity: u64 = last.iter().map(|message| u64::from(message.quantity)).sum();
            let paid: u64 = last.iter().map(|message| message.price * u64::from(message.quantity)).sum();
            assert_eq!(window.average(), paid / quantity);
        }
    }
}
