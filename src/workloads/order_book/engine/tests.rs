use allocator_api2::alloc::System;

use super::super::stream;
use super::*;

/// A book after events, each told as (action, number, side, price, quantity).
fn played(events: &[(Action, u64, Side, u32, u32)]) -> Book<System> {
    let mut book = Book::new(System);
    for &(action, id, side, price, quantity) in events {
        book.apply(&Event { action, id, side, price, quantity });
    }
    book
}

/// (resting, incoming, price, quantity).
fn trades(book: &Book<System>) -> std::vec::Vec<(u64, u64, u32, u32)> {
    book.trades().iter().map(|trade| (trade.resting, trade.incoming, trade.price, trade.quantity)).collect()
}

fn left(book: &Book<System>) -> std::vec::Vec<(u64, u32, u32)> {
    book.resting().map(|order| (order.id, order.price, order.open)).collect()
}

use Action::{Cancel, Limit, Market};
use Side::{Buy, Sell};

#[test]
fn the_better_price_trades_first_and_at_one_price_the_older_order() {
    let book = played(&[
        (Limit, 1, Sell, 101, 10),
        (Limit, 2, Sell, 100, 10),
        (Limit, 3, Sell, 100, 10),
        (Limit, 4, Buy, 101, 25),
    ]);
    assert_eq!(trades(&book), [(2, 4, 100, 10), (3, 4, 100, 10), (1, 4, 101, 5)]);
    assert_eq!(left(&book), [(1, 101, 5)]);
}

#[test]
fn an_order_that_is_filled_in_part_keeps_its_place() {
    let book = played(&[
        (Limit, 1, Buy, 100, 10),
        (Limit, 2, Buy, 100, 10),
        (Market, 3, Sell, 0, 4),
        (Market, 4, Sell, 0, 7),
    ]);
    assert_eq!(trades(&book), [(1, 3, 100, 4), (1, 4, 100, 6), (2, 4, 100, 1)]);
    assert_eq!(left(&book), [(2, 100, 9)]);
}

#[test]
fn the_rest_of_a_crossing_limit_order_waits_at_its_own_price() {
    let book = played(&[
        (Limit, 1, Sell, 100, 10),
        (Limit, 2, Sell, 103, 10),
        (Limit, 3, Buy, 102, 15),
        (Limit, 4, Sell, 102, 2),
    ]);
    assert_eq!(trades(&book), [(1, 3, 100, 10), (3, 4, 102, 2)]);
    assert_eq!(left(&book), [(3, 102, 3), (2, 103, 10)]);
}

#[test]
fn prices_that_do_not_meet_do_not_trade() {
    let book = played(&[(Limit, 1, Sell, 101, 10), (Limit, 2, Buy, 100, 10)]);
    assert_eq!((trades(&book), left(&book)), (vec![], vec![(2, 100, 10), (1, 101, 10)]));
}

#[test]
fn the_rest_of_a_market_order_is_forgotten() {
    let mut book = played(&[(Limit, 1, Sell, 101, 10), (Market, 2, Buy, 0, 30)]);
    assert_eq!((trades(&book), left(&book)), (vec![(1, 2, 101, 10)], vec![]));
    assert!(!book.cancel(2));
}

#[test]
fn a_cancelled_order_does_not_trade_and_is_cancelled_once() {
    let mut book = played(&[(Limit, 1, Sell, 100, 10), (Limit, 2, Sell, 100, 10)]);
    assert!(book.cancel(1) && !book.cancel(1));
    book.apply(&Event { action: Market, id: 3, side: Buy, price: 0, quantity: 10 });
    assert_eq!((trades(&book), left(&book)), (vec![(2, 3, 100, 10)], vec![]));
}

#[test]
fn a_filled_order_cannot_be_cancelled() {
    let mut book = played(&[(Limit, 1, Sell, 100, 10), (Limit, 2, Buy, 100, 10)]);
    assert!(!book.cancel(1) && !book.cancel(2));
    assert_eq!(left(&book), []);
}

#[test]
fn a_changed_quantity_price_or_order_of_events_has_another_checksum() {
    let events = [(Limit, 1, Sell, 100, 10), (Limit, 2, Sell, 100, 10), (Market, 3, Buy, 0, 5)];
    let expected = played(&events).checksum();
    let (mut quantity, mut price, mut order, mut cancelled) = (events, events, events, events.to_vec());
    quantity[2].4 = 6;
    price[1].3 = 101;
    order.swap(0, 1);
    cancelled.push((Cancel, 2, Buy, 0, 0));
    for changed in [&quantity[..], &price, &order, &cancelled] {
        assert_ne!(played(changed).checksum(), expected, "{changed:?}");
    }
}

/// The same rules without any structure: a list of orders, searched from end to end.
#[derive(Default)]
struct Plain {
    /// In the order of their arrival: number, side, price, open.
    orders: std::vec::Vec<(u64, Side, u32, u32)>,
    trades: std::vec::Vec<(u64, u64, u32, u32)>,
}

impl Plain {
    fn apply(&mut self, event: &Event) {
        let Event { action, id, side, price, mut quantity } = *event;
        if action == Cancel {
            self.orders.retain(|order| order.0 != id);
            return;
        }
        while quantity > 0 {
            // `min_by_key` gives the first of equals, which is the oldest.
            let best =
                self.orders.iter_mut().filter(|order| order.1 != side).min_by_key(|order| match side {
                    Buy => i64::from(order.2),
                    Sell => -i64::from(order.2),
                });
            let Some(best) = best else { break };
            if action == Limit && (if side == Buy { best.2 > price } else { best.2 < price }) {
                break;
            }
            let traded = quantity.min(best.3);
            quantity -= traded;
            best.3 -= traded;
            self.trades.push((best.0, id, best.2, traded));
            self.orders.retain(|order| order.3 > 0);
        }
        if action == Limit && quantity > 0 {
            self.orders.push((id, side, price, quantity));
        }
    }
}

#[test]
fn a_session_ends_as_by_the_rules_without_structure() {
    for seed in 1..=3 {
        let (mut book, mut plain) = (Book::new(System), Plain::default());
        for event in stream::drawn(3_000, seed).iter() {
            book.apply(event);
            plain.apply(event);
        }
        assert!(plain.trades.len() > 20);
        assert_eq!(trades(&book), plain.trades, "seed {seed}");
        let mut orders: std::vec::Vec<_> =
            book.resting().map(|order| (order.id, order.side, order.price, order.open)).collect();
        orders.sort_unstable_by_key(|order| order.0);
        plain.orders.sort_unstable_by_key(|order| order.0);
        assert_eq!(orders, plain.orders, "seed {seed}");
    }
}
