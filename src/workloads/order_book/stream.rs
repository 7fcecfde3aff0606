//! The events of a session, drawn before the clock: what arrives at a matching engine, in which proportions.

use allocator_api2::alloc::System;

use super::engine::Book;
use crate::stats::random::Random;
use crate::workloads::table::Table;

/// Who buys and who sells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Buy,
    Sell,
}

/// What an event asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Trade at this price or better; wait with the rest.
    Limit,
    /// Trade at any price; forget the rest.
    Market,
    /// Take the order out of the book.
    Cancel,
}

/// A message to the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) action: Action,
    /// Of the order, or of the one to be cancelled.
    pub(super) id: u64,
    pub(super) side: Side,
    /// In ticks.
    pub(super) price: u32,
    pub(super) quantity: u32,
}

impl Side {
    pub(super) const fn other(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }

    /// Whether who is on this side and has set `limit` trades at `price`.
    pub(super) const fn accepts(self, price: u32, limit: u32) -> bool {
        match self {
            Self::Buy => price <= limit,
            Self::Sell => price >= limit,
        }
    }

    /// So many ticks further from the other side.
    const fn behind(self, price: u32, ticks: u32) -> u32 {
        match self {
            Self::Buy => price.saturating_sub(ticks),
            Self::Sell => price.saturating_add(ticks),
        }
    }
}

/// Orders that open the session: a book of some depth, as overnight orders leave it, before anything is cancelled.
pub(super) const OPENING: usize = 1_024;

/// Events of a hundred after the opening that bring a new order; nearly all others cancel one, so that the book keeps its
/// depth.
const NEW_OF_100: u64 = 51;

/// New orders of a thousand that trade at once: two in three of them at the market, the others by a limit beyond the best
/// price of the other side. Of the volume posted in US stocks 2.5–4.2 % traded, of that in exchange-traded products a tenth
/// of it (SEC, Data Highlight 2013-01, "Trade to Order Volume Ratios"); all else is cancelled.
const CROSSING_OF_1000: u64 = 35;

/// Cancellations of a hundred that come too late: for an order that may have been filled, or cancelled, before.
const LATE_OF_100: u64 = 1;

/// The price at which an empty book begins.
const PRICE: u32 = 100_000;

/// Draws a session of so many events, playing it at the same time: cancellations are for orders that rest, and prices are
/// set by who knows the best ones.
pub(super) fn drawn(events: usize, seed: u64) -> Table<Event> {
    let mut random = Random::new(seed);
    let mut book = Book::new(System);
    // The orders that rested when they were last looked at, the oldest first.
    let mut resting: Vec<u64> = Vec::new();
    Table::new(events, |index| {
        let id = index as u64 + 1;
        let new = index < OPENING || random.below(100) < NEW_OF_100;
        let event = if new {
            let crossing = index >= OPENING && random.below(1_000) < CROSSING_OF_1000;
            new_order(&book, id, crossing, &mut random)
        } else {
            let id = match random.below(100) {
                0..LATE_OF_100 => 1 + random.below(index as u64),
                _ => cancelled(&book, &mut resting, &mut random),
            };
            Event { action: Action::Cancel, id, side: Side::Buy, price: 0, quantity: 0 }
        };
        book.apply(&event);
        if new && book.holds(id) {
            resting.push(id);
        }
        event
    })
}

/// An order near the best price of its side, or one that trades at once.
fn new_order(book: &Book<System>, id: u64, crossing: bool, random: &mut Random) -> Event {
    let side = if random.below(2) == 0 { Side::Buy } else { Side::Sell };
    // Round lots, small ones more often: 100 to 800, halving in probability for each doubling.
    let quantity = 100 << random.next_u64().trailing_zeros().min(3);
    let (own, other) = (book.best_price(side), book.best_price(side.other()));
    // At the best price, or behind it by a distance that halves in probability every four ticks; one in sixteen is better
    // than the best by a tick.
    let distance = (-4.0 * (1.0 - random.unit_f64()).log2()) as u32;
    let best = own.unwrap_or(side.behind(PRICE, 1));
    let (action, price) = match (crossing, other) {
        (true, Some(other)) if random.below(3) == 0 => (Action::Limit, side.other().behind(other, distance)),
        (true, _) => (Action::Market, 0),
        (false, _) if random.below(16) == 0 => (Action::Limit, side.other().behind(best, 1)),
        (false, _) => (Action::Limit, side.behind(best, distance)),
    };
    // Who does not mean to trade stays on his side of the other's best price.
    let price = match (crossing, other) {
        (false, Some(other)) if side.accepts(other, price) => side.behind(other, 1),
        _ => price,
    };
    Event { action, id, side, price, quantity }
}

/// The order that is cancelled next: evenly on a logarithmic scale of how many came after it. Most orders are cancelled
/// soon after they came, by who quotes anew; some wait for long.
fn cancelled(book: &Book<System>, resting: &mut Vec<u64>, random: &mut Random) -> u64 {
    while !resting.is_empty() {
        let after = (resting.len() as f64).powf(random.unit_f64()) as usize - 1;
        let at = resting.len() - 1 - after.min(resting.len() - 1);
        // It may have been filled, or cancelled by chance, since it was noted.
        let id = resting.remove(at);
        if book.holds(id) {
            return id;
        }
    }
    // The book is empty: nothing to cancel, which the engine finds out.
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(part: u64, whole: u64) -> f64 {
        part as f64 / whole as f64
    }

    #[test]
    fn a_few_percent_of_what_is_posted_trades_and_the_book_keeps_its_depth() {
        for seed in 1..=5 {
            let events = drawn(8_192, seed);
            let mut book = Book::new(System);
            events.iter().for_each(|event| book.apply(event));
            let of = |action| events.iter().filter(move |event| event.action == action);
            let posted: u64 = of(Action::Limit).map(|event| u64::from(event.quantity)).sum();
            let traded: u64 = book.trades().iter().map(|trade| u64::from(trade.quantity)).sum();
            assert!((0.02..0.05).contains(&share(traded, posted)), "{traded} of {posted} traded");
            let cancellations = share(of(Action::Cancel).count() as u64, (events.len() - OPENING) as u64);
            assert!((0.47..0.51).contains(&cancellations), "{cancellations} of the events cancel");
            let depth = book.resting().count();
            assert!((OPENING / 2..2 * OPENING).contains(&depth), "{depth} orders are left");
        }
    }

    #[test]
    fn half_of_the_cancelled_orders_are_among_the_newest_few() {
        let events = drawn(8_192, 1);
        let mut ages: Vec<u64> = (1..)
            .zip(events.iter())
            .filter(|(_, event)| event.action == Action::Cancel)
            .map(|(number, event)| number - event.id)
            .collect();
        ages.sort_unstable();
        let (middle, old) = (ages[ages.len() / 2], ages[ages.len() * 9 / 10]);
        assert!(middle < 256 && old > 512, "{middle}, {old}");
    }
}
