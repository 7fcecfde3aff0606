//! The matching engine: limit orders, market orders and cancellations of one instrument, by price and then by time.

use std::ptr::NonNull;

use allocator_api2::alloc::Allocator;
use allocator_api2::vec::Vec;
use hashbrown::HashMap;

use super::ladder::{Ladder, Order};
use super::stream::{Action, Event, Side};
use crate::workloads::checksum::Checksum;
use crate::workloads::hash::BuildWordHasher;

/// A trade, at the price of the order that rested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trade {
    pub(super) resting: u64,
    pub(super) incoming: u64,
    pub(super) price: u32,
    pub(super) quantity: u32,
}

/// The book of one instrument and the trades of its session.
///
/// | event | cost |
/// |---|---|
/// | limit order | a block, an entry in the index, a binary search among the levels; a new level moves those that are better |
/// | cancellation | a look-up in the index, constant time in the queue; an order at an end of its queue: a binary search |
/// | trade | constant time; one that fills the resting order takes it out, as a cancellation does |
pub(super) struct Book<A: Allocator + Copy> {
    buy: Ladder<A>,
    sell: Ladder<A>,
    /// Every order that rests, by its number. Each lies in the ladder of its side.
    index: HashMap<u64, NonNull<Order>, BuildWordHasher, A>,
    trades: Vec<Trade, A>,
}

impl<A: Allocator + Copy> Book<A> {
    /// An empty one.
    pub(super) fn new(allocator: A) -> Self {
        Self {
            buy: Ladder::new(Side::Buy, allocator),
            sell: Ladder::new(Side::Sell, allocator),
            index: HashMap::with_hasher_in(BuildWordHasher::default(), allocator),
            trades: Vec::new_in(allocator),
        }
    }

    /// Applies an event.
    pub(super) fn apply(&mut self, event: &Event) {
        let Event { id, side, price, quantity, .. } = *event;
        match event.action {
            Action::Limit => self.limit(id, side, price, quantity),
            Action::Market => drop(self.match_with(id, side, None, quantity)),
            Action::Cancel => drop(self.cancel(id)),
        }
    }

    /// Trades what the price allows; the rest waits in the book.
    fn limit(&mut self, id: u64, side: Side, price: u32, quantity: u32) {
        let open = self.match_with(id, side, Some(price), quantity);
        if open > 0 {
            let order = self.ladder(side).append(Order::new(id, side, price, open));
            self.index.insert(id, order);
        }
    }

    /// Trades `quantity` with the other side up to the price `limit`; gives back what found nobody.
    fn match_with(&mut self, id: u64, side: Side, limit: Option<u32>, quantity: u32) -> u32 {
        let mut open = quantity;
        while open > 0 {
            let Some(mut best) = self.ladder(side.other()).best() else { break };
            // SAFETY: an order in a ladder is alive; `&mut self` guards it, and the reference ends before it is removed.
            let resting = unsafe { best.as_mut() };
            if limit.is_some_and(|limit| !side.accepts(resting.price, limit)) {
                break;
            }
            let quantity = open.min(resting.open);
            open -= quantity;
            resting.open -= quantity;
            let filled = resting.open == 0;
            let trade = Trade { resting: resting.id, incoming: id, price: resting.price, quantity };
            if filled {
                self.index.remove(&trade.resting);
                // SAFETY: it is the ladder's best order, and its entry in the index is gone.
                unsafe { self.ladder(side.other()).remove(best) };
            }
            self.trades.push(trade);
        }
        open
    }

    /// Takes an order out of the book; false if it is not there, because it was filled or cancelled before.
    pub(super) fn cancel(&mut self, id: u64) -> bool {
        let Some(order) = self.index.remove(&id) else { return false };
        // SAFETY: the index holds orders that rest, which are alive.
        let side = unsafe { order.as_ref() }.side;
        // SAFETY: an order of the index lies in the ladder of its side; its entry is gone.
        unsafe { self.ladder(side).remove(order) };
        true
    }

    fn ladder(&mut self, side: Side) -> &mut Ladder<A> {
        match side {
            Side::Buy => &mut self.buy,
            Side::Sell => &mut self.sell,
        }
    }

    /// The best price of a side.
    pub(super) fn best_price(&self, side: Side) -> Option<u32> {
        match side {
            Side::Buy => self.buy.best_price(),
            Side::Sell => self.sell.best_price(),
        }
    }

    /// Whether an order rests in the book.
    pub(super) fn holds(&self, id: u64) -> bool {
        self.index.contains_key(&id)
    }

    /// The trades so far.
    pub(super) fn trades(&self) -> &[Trade] {
        &self.trades
    }

    /// The orders that rest: bids, then offers, each with the worst price first and a price's oldest first.
    pub(super) fn resting(&self) -> impl Iterator<Item = &Order> {
        self.buy.orders().chain(self.sell.orders())
    }

    /// Over all trades and the orders that are left.
    pub(super) fn checksum(&self) -> u64 {
        let mut sum = Checksum::new().word(self.index.len() as u64);
        for trade in self.trades() {
            let what = u64::from(trade.price) << 32 | u64::from(trade.quantity);
            sum = sum.words([trade.resting, trade.incoming, what]);
        }
        for order in self.resting() {
            sum = sum.words([order.id, u64::from(order.price) << 32 | u64::from(order.open)]);
        }
        sum.value()
    }
}

#[cfg(test)]
mod tests;
