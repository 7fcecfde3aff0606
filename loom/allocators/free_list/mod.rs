//! The pool's free list alone.

#[path = "../../../src/allocators/pool/free_list.rs"]
#[expect(clippy::module_inception, reason = "the file's name is the list's, the folder's that of its models")]
mod free_list;

use loom::sync::Arc;
use loom::thread;

use self::free_list::{Chain, END, FreeList, Head, TaggedHead};
use super::held::Held;
use super::sync::{AtomicU32, Ordering};
use crate::explore;

/// The head as tutorials print it: the index alone.
struct BareHead(AtomicU32);

impl Head for BareHead {
    type Seen = u32;

    fn empty() -> Self {
        Self(AtomicU32::new(END))
    }

    fn look(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    fn index(seen: u32) -> u32 {
        seen
    }

    fn exchange(&self, seen: u32, index: u32) -> bool {
        self.0.compare_exchange(seen, index, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }
}

struct World<H> {
    list: FreeList<H>,
    links: Vec<AtomicU32>,
    held: Held,
}

impl<H: Head> World<H> {
    /// A list of all blocks, 0 in front.
    fn new(blocks: u32) -> Arc<Self> {
        let links = (0..blocks).map(|_| AtomicU32::new(END)).collect();
        let world = Self { list: FreeList::new(), links, held: Held::new(blocks as usize) };
        for index in (0..blocks).rev() {
            world.list.push(&world.links, Chain { first: index, last: index });
        }
        Arc::new(world)
    }

    fn pop(&self, most: u32) -> Option<Chain> {
        self.held.step();
        let chain = self.list.pop(&self.links, most)?;
        self.members(chain).for_each(|block| self.held.take(block));
        Some(chain)
    }

    fn push(&self, chain: Chain) {
        self.held.step();
        self.members(chain).for_each(|block| self.held.give_back(block));
        self.list.push(&self.links, chain);
    }

    fn members(&self, chain: Chain) -> impl Iterator<Item = usize> {
        let next = move |&index: &u32| {
            // Relaxed, as the depot reads them.
            (index != chain.last).then(|| self.links[index as usize].load(Ordering::Relaxed))
        };
        std::iter::successors(Some(chain.first), next).map(|index| index as usize)
    }

    /// Every block that is not held is in the list, once.
    fn check(&self) {
        while self.pop(1).is_some() {}
        assert_eq!(self.held.count(), self.links.len(), "no block was lost");
    }
}

/// What hands a block out twice without the tag: while one thread pops, another takes two and puts the first back.
fn pop_while_another_takes_two_and_returns_the_first<H: Head + Send + Sync + 'static>() {
    explore(3, || {
        let world = World::<H>::new(3);
        let other = {
            let world = world.clone();
            thread::spawn(move || {
                let first = world.pop(1);
                let _second = world.pop(1);
                first.into_iter().for_each(|chain| world.push(chain));
            })
        };
        let _mine = world.pop(1);
        other.join().unwrap();
        world.check();
    });
}

#[test]
fn a_list_that_was_another_in_between_is_not_mistaken_for_the_same() {
    pop_while_another_takes_two_and_returns_the_first::<TaggedHead>();
}

#[test]
#[should_panic(expected = "was handed out twice")]
fn a_bare_head_hands_one_block_out_twice() {
    pop_while_another_takes_two_and_returns_the_first::<BareHead>();
}

#[test]
fn threads_that_pop_and_push_chains_never_hold_the_same_block() {
    explore(2, || {
        let world = World::<TaggedHead>::new(3);
        let threads = [2, 1].map(|most| {
            let world = world.clone();
            thread::spawn(move || {
                for _ in 0..2 {
                    world.pop(most).into_iter().for_each(|chain| world.push(chain));
                }
            })
        });
        world.pop(2).into_iter().for_each(|chain| world.push(chain));
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        world.check();
    });
}

#[test]
fn who_pops_sees_what_was_done_to_the_block_before_the_push() {
    explore(4, || {
        let world = World::<TaggedHead>::new(2);
        let chain = world.pop(2).expect("two blocks");
        let other = {
            let world = world.clone();
            thread::spawn(move || world.push(chain))
        };
        let _mine = world.pop(2);
        other.join().unwrap();
        world.check();
    });
}
