//! Threads that free each other's blocks, while some of them end and others begin.

use std::alloc::{GlobalAlloc, Layout};
use std::sync::Mutex;

use allocmark::allocators::slab::Slab;

const SLAB: Slab = Slab::new();

/// A block with a pattern, on its way to whichever thread picks it up.
struct Parcel {
    block: *mut u8,
    layout: Layout,
    seed: u8,
}

// SAFETY: blocks may be used and freed on any thread, and each parcel has one holder.
unsafe impl Send for Parcel {}

impl Parcel {
    fn new(random: &mut Random) -> Self {
        // Mostly small; now and then of the classes that have spans of several slices, or a huge one.
        let most = [64, 64, 512, 512, 2000, 20_000, 200_000][random.below(7)];
        let most = if random.below(2000) == 0 { 5 << 20 } else { most };
        let size = 1 + random.below(most);
        let layout = Layout::from_size_align(size, 1 << random.below(7)).expect("valid");
        // SAFETY: the size is not zero; the block's ends are its own.
        unsafe {
            let block = SLAB.alloc(layout);
            assert!(!block.is_null() && block.addr().is_multiple_of(layout.align()));
            let seed = random.below(256) as u8;
            block.write_bytes(seed, size.min(256));
            block.add(size - 1).write(seed);
            Self { block, layout, seed }
        }
    }

    fn check(&self) {
        let size = self.layout.size();
        // SAFETY: the block is live, and was written at these places.
        let good = unsafe {
            (0..size.min(256)).all(|at| self.block.add(at).read() == self.seed)
                && self.block.add(size - 1).read() == self.seed
        };
        assert!(good, "a block of {size} bytes was overwritten");
    }

    /// Changes its size, which may move it to the calling thread's heap.
    fn resize(&mut self, random: &mut Random) {
        self.check();
        let size = 1 + random.below(self.layout.size() * 2);
        // SAFETY: the block is live with that layout, and the size is not zero.
        unsafe {
            self.block = SLAB.realloc(self.block, self.layout, size);
            assert!(!self.block.is_null());
            self.block.write_bytes(self.seed, size.min(256));
            self.block.add(size - 1).write(self.seed);
        }
        self.layout = Layout::from_size_align(size, self.layout.align()).expect("valid");
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        self.check();
        // SAFETY: the block is live with that layout.
        unsafe { SLAB.dealloc(self.block, self.layout) };
    }
}

/// A small generator, so that each thread's sequence follows from its number.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound
    }
}

fn check_heap() {
    #[cfg(debug_assertions)]
    SLAB.check_invariants().expect("the heap is sound");
}

/// Runs `threads` at once, each of which trades parcels through `market`.
fn trade(market: &[Mutex<Vec<Parcel>>], threads: u64, generation: u64, steps: usize) {
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads)
            .map(|thread| {
                scope.spawn(move || {
                    let mut random = Random(0x9E37_79B9_7F4A_7C15 ^ (generation << 32) ^ (thread + 1));
                    for step in 0..steps {
                        let stall = &market[random.below(market.len())];
                        let mut stall = stall.lock().expect("no panic under the lock");
                        if random.below(stall.len() + 20) < 20 {
                            stall.push(Parcel::new(&mut random));
                        } else {
                            let index = random.below(stall.len());
                            let mut parcel = stall.swap_remove(index);
                            drop(stall);
                            if random.below(4) == 0 {
                                parcel.resize(&mut random);
                            }
                        }
                        if step % 512 == 0 {
                            check_heap();
                        }
                    }
                    check_heap();
                })
            })
            .collect();
        for handle in handles {
            handle.join().expect("no panic");
        }
    });
}

#[test]
fn blocks_freed_by_other_threads_keep_their_content_and_all_come_back() {
    let market: Vec<_> = (0..16).map(|_| Mutex::default()).collect();
    // Generations of different sizes: heaps are handed on, left idle with live blocks in them, and taken again.
    for (generation, threads) in (0..).zip([4, 1, 8, 2, 6, 3]) {
        trade(&market, threads, generation, 6000);
    }
    drop(market);
    SLAB.trim();
    let statistics = SLAB.statistics();
    assert_eq!((statistics.live_blocks(), statistics.live_bytes()), (0, 0));
    assert_eq!(statistics.idle_heaps + 1, statistics.heaps);
    check_heap();
}
