//! `order-book`: a session of a matching engine.
//!
//! | file | what |
//! |---|---|
//! | `engine` | the book: limit and market orders, cancellations, trades |
//! | `ladder` | one side of it: price levels, and queues of orders |
//! | `stream` | the events of a session, drawn beforehand |

mod engine;
mod ladder;
mod stream;

use std::mem;

use allocator_api2::alloc::{Allocator, System};

use self::engine::{Book, Trade};
use self::ladder::Order;
use self::stream::Event;
use super::heap::Heap;
use super::mode::{Mode, Touch};
use super::params::Params;
use super::probe::Probe;
use super::shape::{
    Body, Clock, Declared, Drive, Facts, Family, Needs, OneThread, Pass, Scope, Shape, timed,
};
use super::table::Table;
use crate::allocators::contract::Demand;

/// One instrument's session, from an empty book to the close.
#[derive(Clone, Copy, Debug)]
pub struct OrderBook;

/// Events of a session: eight times those that open it, so that opening and closing weigh little.
const EVENTS: usize = 8 * stream::OPENING;

impl Shape for OrderBook {
    const FACTS: Facts = Facts {
        id: "order-book",
        title: "a matching engine: orders come, are cancelled, and trade",
        family: Family::Applications,
        why: "An exchange's engine, or the copy of its book that a trading program keeps. Orders have numbers; those that \
              cannot trade yet wait in queues, one for each price, and trade by price and then by age. Each order that \
              waits is a block of its own (40 bytes), linked into its queue, so that it can be taken out of the middle; an \
              index finds it by its number; trades are recorded in a growing list. That is how such books are \
              commonly written, and why their authors write pools.\n\n\
              A session opens with 1 024 orders. Of the events that follow 51 % bring an order and 49 % cancel one, mostly a \
              recent one; 3.5 % of the orders trade at once. So a few percent of the posted volume trades, as the SEC found \
              for US stocks (2.5–4.2 %, Data Highlight 2013-01). All events are drawn beforehand; at the close the \
              trades and what is left in the book are checked.\n\n\
              The latency of a step is what such a program is asked about: an event that meets a slow path of the \
              allocator, or the growth of the index, is one that is late. An allocator that frees one block at a time ran \
              the form that drops the book, order by order; one that releases everything together ran the form for \
              which it would be chosen here: nothing comes back before the close, and then the heap is reset.",
        effect: "Most of an event's time is the index, the search for the level and the cache; so general allocators differ by \
              tens of percent and not by factors, and the tails of the latency by more than the medians. An arena saves the \
              frees and spreads the orders over the session's memory: it should be as fast as the best, not faster by \
              much.",
        origin: "A shape of our own. The book is built as programmers describe it to each other (levels, linked queues, an \
              index by number; W. K. Selph, \"How to Build a Fast Limit Order Book\", 2011); the proportions are the SEC's, \
              the distances and ages of orders assumptions.",
        operation: "event",
        step: "event",
        probes: &[Probe::Time, Probe::Latency, Probe::Instructions],
        parameters: &[],
    };

    fn cases(_scope: Scope) -> Vec<Self> {
        vec![Self]
    }

    fn params(&self) -> Params {
        Params::default()
    }

    fn needs(&self) -> Needs {
        Needs { mixed_sizes: true, frees: false, threads: false, global: false }
    }

    fn demand(&self) -> Demand {
        // At most every event brings an order that waits, and trades are fewer than events. What grows by doubling asks
        // for at most four times its end in total: the trades, the levels, and the index, which is half full at worst.
        let entry = size_of::<(u64, usize)>() + 1;
        let event = size_of::<Order>() + 4 * size_of::<Trade>() + 2 * 4 * entry;
        Demand { block: None, live_blocks: EVENTS + 4, pass_bytes: EVENTS * event, threads: 1 }
    }

    fn declared(&self) -> Option<Declared> {
        // How many orders wait, and how often the lists and the index grow, depends on the session drawn.
        None
    }
}

impl OneThread for OrderBook {
    fn open<H: Heap, M: Mode>(&self, heap: &mut H, mode: &mut M, seed: u64, drive: Drive<'_>) {
        let events = stream::drawn(EVENTS, seed);
        let expected = session(System, &events, &mut Touch).checksum();
        drive(&mut Exchange { events, expected, heap, mode });
    }
}

struct Exchange<'h, H, M> {
    events: Table<Event>,
    /// The checksum under the system's allocator.
    expected: u64,
    heap: &'h mut H,
    mode: &'h mut M,
}

impl<H: Heap, M: Mode> Body for Exchange<'_, H, M> {
    fn pass(&mut self, clock: &dyn Clock) -> Pass {
        let mut book = None;
        let trading = timed(clock, self.events.len(), || {
            book = Some(session(self.heap.handle(), &self.events, self.mode));
        });
        // The checksum is ours and not the program's: the clock stops for it.
        let checksum = book.as_ref().map_or(0, Book::checksum);
        let close = timed(clock, 0, || if H::FREES { drop(book) } else { mem::forget(book) });
        let reset = timed(clock, 0, || self.heap.reset());
        self.mode.result(checksum, self.expected);
        let elapsed_ns = trading.elapsed_ns + close.elapsed_ns + reset.elapsed_ns;
        Pass { elapsed_ns, operations: trading.operations }
    }
}

/// The book after all events, each of them a step.
fn session<A: Allocator + Copy, M: Mode>(allocator: A, events: &[Event], mode: &mut M) -> Book<A> {
    let mut book = Book::new(allocator);
    mode.begin();
    for event in events {
        book.apply(event);
        mode.step();
    }
    book
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocators::arena::Arena;
    use crate::allocators::contract::Subject;
    use crate::allocators::global::GlobalSubject;
    use crate::instruments::counting::Counting;

    #[test]
    fn a_dropped_session_and_a_reset_one_are_the_same() {
        let (events, mut arena) = (stream::drawn(EVENTS, 1), Arena::new());
        let expected = session(System, &events, &mut Touch).checksum();
        for _ in 0..2 {
            let book = session(&arena, &events, &mut Touch);
            assert_eq!(book.checksum(), expected);
            mem::forget(book);
            assert!(arena.used() <= OrderBook.demand().pass_bytes, "{}", arena.used());
            arena.reset();
        }
    }

    #[test]
    fn the_close_gives_everything_back() {
        let counting = Counting::new(GlobalSubject);
        drop(session(counting.handle(), &stream::drawn(EVENTS, 1), &mut Touch));
        let counts = counting.tally().snapshot();
        assert_eq!((counts.allocations, counting.tally().live_bytes()), (counts.frees, 0));
    }

    #[test]
    fn an_order_is_as_large_as_the_page_says() {
        assert_eq!(size_of::<Order>(), 40);
    }
}
