//! Our allocators under programs that the fuzzer writes: the first byte chooses the allocator, each eight bytes after it are
//! an operation (`tests/support/machine.rs`).
//!
//! Built with AddressSanitizer, our own memory poisoned by hand, and debug assertions. Content is checked by the machine,
//! and the heap walker looks at everything after each operation.

#![no_main]

#[allow(dead_code, reason = "what the target does not use, others do")]
#[path = "../../tests/support/blocks.rs"]
mod blocks;
#[path = "../../tests/support/machine.rs"]
mod machine;

use std::alloc::Layout;
use std::thread;

use allocator_api2::alloc::{Allocator, System};
use allocmark::allocators::arena::Arena;
use allocmark::allocators::arena_thread::ArenaThread;
use allocmark::allocators::bump_shared::BumpShared;
use allocmark::allocators::bump_slice::MappedSlice;
use allocmark::allocators::contract::{Bulk, Subject};
use allocmark::allocators::pool::Pool;
use allocmark::allocators::pool_local::PoolLocal;
use allocmark::allocators::pool_mutex::PoolMutex;
use allocmark::allocators::slab::Slab;
use libfuzzer_sys::fuzz_target;

use machine::{Limits, Machine, Operation};

/// What runs a program: one line for each allocator.
const SUBJECTS: &[fn(&[Operation])] = &[
    slab,
    pool,
    pool_of_odd_blocks,
    backed_pool,
    pool_local,
    pool_mutex,
    arena,
    arena_in_slab,
    arena_thread,
    bump_slice,
    bump_shared,
];

/// Of blocks and bytes as much as keeps a run short.
const LIMITS: Limits = Limits { block: None, blocks: 300, bytes: 32 << 20 };

fuzz_target!(|input: &[u8]| {
    let Some((&subject, rest)) = input.split_first() else { return };
    let words = rest.chunks_exact(8).map(|bytes| u64::from_le_bytes(bytes.try_into().expect("eight bytes")));
    let program: Vec<_> = words.map(Operation::from_word).collect();
    SUBJECTS[usize::from(subject) % SUBJECTS.len()](&program);
});

/// Runs an operation; what is passed on is freed by another thread, which is born for it.
fn step(machine: &mut Machine, allocator: &(impl Allocator + Sync), operation: Operation) {
    if let Operation::Pass { which } = operation {
        let Some(block) = machine.take(which) else { return };
        thread::scope(|scope| scope.spawn(|| block.free(allocator)).join().expect("it frees"));
    } else {
        machine.step(allocator, operation);
    }
}

fn slab(program: &[Operation]) {
    // As it was for the run before, as far as that can be had: it is the process's.
    Slab.trim();
    let mut machine = Machine::new(LIMITS);
    for &operation in program {
        step(&mut machine, &Slab, operation);
        if operation == Operation::Rest {
            Slab.trim();
        }
        Slab.check_invariants().expect("the heap is sound");
    }
    machine.free_all(&Slab);
    Slab.check_invariants().expect("the heap is sound");
}

fn pool(program: &[Operation]) {
    of_blocks(Layout::new::<[u64; 9]>(), program);
}

/// Blocks that share the granule of the sanitizer, and are no multiple of anything.
fn pool_of_odd_blocks(program: &[Operation]) {
    of_blocks(Layout::new::<[u8; 13]>(), program);
}

fn of_blocks(block: Layout, program: &[Operation]) {
    // Fewer than the limit, so that it is used up at times.
    let mut pool = Pool::new(block, 200).expect("memory for a pool");
    let mut machine = Machine::new(Limits { block: Some(block), ..LIMITS });
    for &operation in program {
        step(&mut machine, &&pool, operation);
        pool.check_invariants();
        assert_eq!(pool.in_use(), machine.blocks());
    }
    machine.free_all(&&pool);
    pool.check_invariants();
    assert_eq!(pool.in_use(), 0);
}

fn backed_pool(program: &[Operation]) {
    let pool = Pool::new(Layout::new::<[u64; 9]>(), 20).expect("memory for a pool").with_backing(System);
    let mut machine = Machine::new(LIMITS);
    for &operation in program {
        step(&mut machine, &&pool, operation);
    }
    machine.free_all(&&pool);
    assert_eq!(pool.pool().in_use(), 0);
}

fn pool_local(program: &[Operation]) {
    let block = Layout::new::<[u64; 9]>();
    let mut pool = PoolLocal::new(block, 200).expect("memory for a pool");
    let mut machine = Machine::new(Limits { block: Some(block), ..LIMITS });
    for &operation in program {
        machine.step(&&pool, operation);
        pool.check_invariants();
        assert_eq!(pool.in_use(), machine.blocks());
    }
    machine.free_all(&&pool);
    assert_eq!(pool.in_use(), 0);
}

fn pool_mutex(program: &[Operation]) {
    let block = Layout::new::<[u64; 9]>();
    let mut pool = PoolMutex::new(block, 200).expect("memory for a pool");
    let mut machine = Machine::new(Limits { block: Some(block), ..LIMITS });
    for &operation in program {
        step(&mut machine, &&pool, operation);
        pool.check_invariants();
        assert_eq!(pool.in_use(), machine.blocks());
    }
    machine.free_all(&&pool);
    assert_eq!(pool.in_use(), 0);
}

fn arena(program: &[Operation]) {
    reset_now_and_then(Arena::new(), |arena| arena.reset(), |arena, work| work(&&*arena), program);
}

fn arena_in_slab(program: &[Operation]) {
    let arena = Arena::with_limit_in(8 << 20, Slab);
    reset_now_and_then(arena, |arena| arena.reset(), |arena, work| work(&&*arena), program);
}

fn arena_thread(program: &[Operation]) {
    let arenas = ArenaThread::new().expect("memory for the shares");
    reset_now_and_then(arenas, |arenas| arenas.reset(), |arenas, work| work(&&*arenas), program);
}

fn bump_slice(program: &[Operation]) {
    let slice = MappedSlice::with_bytes(8 << 20).expect("addresses for a slice");
    reset_now_and_then(slice, |slice| slice.reset(), |slice, work| work(&slice.handle()), program);
}

fn bump_shared(program: &[Operation]) {
    let region = BumpShared::new(8 << 20).expect("addresses for a region");
    reset_now_and_then(region, |region| region.reset(), |region, work| work(&&*region), program);
}

/// Runs a program on what is released all together; `with` hands its `Allocator` over.
fn reset_now_and_then<A>(
    mut bulk: A,
    reset: impl Fn(&mut A),
    with: impl Fn(&A, &mut dyn FnMut(&dyn Allocator)),
    program: &[Operation],
) {
    let mut machine = Machine::new(LIMITS);
    for &operation in program {
        with(&bulk, &mut |allocator| {
            machine.step(&allocator, operation);
        });
        if operation == Operation::Rest {
            machine.forget_all();
            reset(&mut bulk);
        }
    }
    machine.forget_all();
}
