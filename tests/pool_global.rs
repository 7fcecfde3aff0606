//! The pool as the global allocator of a whole process: this one. A file of its own, because a process has only one.
//! What programs do with it is in `programs_pool`.

use std::alloc::Layout;
use std::ptr::NonNull;

use allocmark::allocators::pool::PoolGlobal;

#[global_allocator]
static GLOBAL: PoolGlobal = PoolGlobal::new(Layout::new::<[u128; 8]>(), 5_000);

fn owned<T: ?Sized>(value: &T) -> bool {
    GLOBAL.pool().unwrap().owns(NonNull::from(value).cast())
}

#[test]
fn what_fits_comes_from_the_pool_and_what_does_not_from_the_system() {
    let small = Box::new([1_u64; 16]);
    let large = Box::new([1_u64; 17]);
    assert!(owned(&*small) && !owned(&*large));
}

#[test]
fn a_vector_keeps_its_content_while_it_outgrows_the_pool() {
    let mut numbers = Vec::with_capacity(4);
    numbers.extend(0..4_u64);
    assert!(owned(&numbers[0]));
    numbers.extend(4..1000);
    assert!(!owned(&numbers[0]));
    assert!(numbers.iter().copied().eq(0..1000));
    numbers.truncate(5);
    numbers.shrink_to_fit();
    assert!(numbers.iter().copied().eq(0..5), "shrunk by the system, which made the block");
}

#[test]
fn cleared_blocks_of_the_pool_are_cleared() {
    drop(vec![0xff_u8; 100]);
    let length = std::hint::black_box(100);
    let zeroes = vec![0_u8; length];
    assert!(owned(&zeroes[0]) && zeroes.iter().all(|&byte| byte == 0));
}

#[test]
fn more_than_the_pool_holds_spills_over_to_the_system() {
    let boxes: Vec<_> = (0..20_000_u64).map(Box::new).collect();
    assert!(boxes.iter().any(|boxed| !owned(&**boxed)));
    assert!(boxes.iter().enumerate().all(|(number, boxed)| number as u64 == **boxed));
}
