//! One side of a book: price levels, the best last, each with its orders in the order of their arrival.

use std::ptr::NonNull;

use allocator_api2::alloc::Allocator;
use allocator_api2::boxed::Box;
use allocator_api2::vec::Vec;

use super::stream::Side;

/// An order that rests in the book: a block of its own, linked to its neighbours in the queue of its level.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) id: u64,
    pub(super) side: Side,
    /// In ticks.
    pub(super) price: u32,
    /// What has not been traded yet; never 0 while the order rests.
    pub(super) open: u32,
    older: Option<NonNull<Order>>,
    newer: Option<NonNull<Order>>,
}

impl Order {
    pub(super) const fn new(id: u64, side: Side, price: u32, open: u32) -> Self {
        Self { id, side, price, open, older: None, newer: None }
    }
}

/// The orders of one price. Never empty.
#[derive(Debug)]
struct Level {
    price: u32,
    oldest: NonNull<Order>,
    newest: NonNull<Order>,
}

/// The levels of one side, sorted so that the best is the last: most orders come, go and trade near the best price, and so
/// near the end, where inserting and removing a level moves few others.
///
/// Owns the orders in its queues: each was made by [`Box`] with `allocator`, lies in one queue, and is freed when it leaves
/// or with the ladder.
pub(super) struct Ladder<A: Allocator + Copy> {
    side: Side,
    levels: Vec<Level, A>,
    allocator: A,
}

impl<A: Allocator + Copy> Ladder<A> {
    pub(super) const fn new(side: Side, allocator: A) -> Self {
        Self { side, levels: Vec::new_in(allocator), allocator }
    }

    /// Where the level of `price` is, or belongs.
    fn find(&self, price: u32) -> Result<usize, usize> {
        match self.side {
            Side::Buy => self.levels.binary_search_by(|level| level.price.cmp(&price)),
            Side::Sell => self.levels.binary_search_by(|level| price.cmp(&level.price)),
        }
    }

    /// The order that is next to trade: the oldest of the best price.
    pub(super) fn best(&self) -> Option<NonNull<Order>> {
        self.levels.last().map(|level| level.oldest)
    }

    /// The best price.
    pub(super) fn best_price(&self) -> Option<u32> {
        self.levels.last().map(|level| level.price)
    }

    /// Puts an order at the end of its level's queue; the pointer is valid until the order is removed.
    pub(super) fn append(&mut self, order: Order) -> NonNull<Order> {
        let price = order.price;
        let mut new = Box::into_non_null(Box::new_in(order, self.allocator)).0;
        match self.find(price) {
            Ok(at) => {
                let level = &mut self.levels[at];
                // SAFETY: orders in a queue are alive, this one is not yet in it, and `&mut self` guards both.
                unsafe {
                    level.newest.as_mut().newer = Some(new);
                    new.as_mut().older = Some(level.newest);
                }
                level.newest = new;
            }
            Err(at) => self.levels.insert(at, Level { price, oldest: new, newest: new }),
        }
        new
    }

    /// Takes an order out of its queue and frees it; gives back its number. The queue is changed in constant time; its level is looked for only if
    /// the order is at one of its ends.
    ///
    /// # Safety
    /// The order came from [`append`](Self::append) of this ladder and has not been removed; nobody uses the pointer again.
    pub(super) unsafe fn remove(&mut self, order: NonNull<Order>) -> u64 {
        // SAFETY: it was made by `Box` with this allocator, and is alive and not used again (the caller's promise).
        let order = unsafe { Box::from_raw_in(order.as_ptr(), self.allocator) };
        if let Some(mut older) = order.older {
            // SAFETY: the neighbours of an order in a queue are alive, and `&mut self` guards them.
            unsafe { older.as_mut() }.newer = order.newer;
        }
        if let Some(mut newer) = order.newer {
            // SAFETY: as above.
            unsafe { newer.as_mut() }.older = order.older;
        }
        if let (Some(_), Some(_)) = (order.older, order.newer) {
            return order.id;
        }
        let at = self.find(order.price).expect("an order that rests has a level");
        let level = &mut self.levels[at];
        match (order.older, order.newer) {
            (None, Some(newer)) => level.oldest = newer,
            (Some(older), None) => level.newest = older,
            _ => drop(self.levels.remove(at)),
        }
        order.id
    }

    /// Every order, the worst price first, the oldest of a price first.
    pub(super) fn orders(&self) -> impl Iterator<Item = &Order> {
        // SAFETY: orders in a queue are alive, and `&self` guards them as long as the references live.
        let at = |order: NonNull<Order>| unsafe { order.as_ref() };
        self.levels.iter().flat_map(move |level| {
            std::iter::successors(Some(at(level.oldest)), move |order| order.newer.map(at))
        })
    }
}

impl<A: Allocator + Copy> Drop for Ladder<A> {
    fn drop(&mut self) {
        for level in &self.levels {
            let mut next = Some(level.oldest);
            while let Some(order) = next {
                // SAFETY: an order in a queue is alive, was made by `Box` with this allocator, and lies in no other queue;
                // the one before it was freed, and this one's successor is read before it is.
                let order = unsafe { Box::from_raw_in(order.as_ptr(), self.allocator) };
                next = order.newer;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use allocator_api2::alloc::System;

    use super::*;

    fn ids(ladder: &Ladder<System>) -> std::vec::Vec<u64> {
        ladder.orders().map(|order| order.id).collect()
    }

    fn filled(side: Side) -> (Ladder<System>, std::vec::Vec<NonNull<Order>>) {
        let mut ladder = Ladder::new(side, System);
        let orders = [(1, 100), (2, 102), (3, 100), (4, 101), (5, 100)];
        let orders = orders.map(|(id, price)| ladder.append(Order::new(id, side, price, 1)));
        (ladder, orders.to_vec())
    }

    #[test]
    fn the_best_price_is_last_and_a_level_is_in_the_order_of_arrival() {
        assert_eq!(ids(&filled(Side::Buy).0), [1, 3, 5, 4, 2]);
        assert_eq!(ids(&filled(Side::Sell).0), [2, 4, 1, 3, 5]);
    }

    #[test]
    fn an_order_leaves_from_the_front_the_middle_and_the_end_of_its_queue() {
        for (gone, left) in [(0, [3, 5, 4, 2]), (2, [1, 5, 4, 2]), (4, [1, 3, 4, 2])] {
            let (mut ladder, orders) = filled(Side::Buy);
            // SAFETY: it was appended just now and is removed once.
            unsafe { ladder.remove(orders[gone]) };
            assert_eq!(ids(&ladder), left);
            let newest = ladder.append(Order::new(9, Side::Buy, 100, 1));
            // SAFETY: as above.
            assert_eq!(unsafe { ladder.remove(newest) }, 9);
        }
    }

    #[test]
    fn a_level_goes_with_its_last_order() {
        let (mut ladder, orders) = filled(Side::Buy);
        // SAFETY: each was appended above and is removed once.
        unsafe {
            ladder.remove(orders[1]);
            assert_eq!(ladder.best_price(), Some(101));
            ladder.remove(orders[3]);
            assert_eq!(ladder.best_price(), Some(100));
            for at in [0, 2, 4] {
                ladder.remove(orders[at]);
            }
        }
        assert_eq!((ladder.best_price(), ladder.best()), (None, None));
    }
}
