//! `scopes`: nested scopes of mixed values, the last opened the first to end.

use std::alloc::Layout;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use allocator_api2::alloc::Allocator;

use super::heap::{Heap, take};
use super::mode::Mode;
use super::params::{Axis, Params};
use super::probe::Probe;
use super::shape::{
    Body, Clock, Declared, Drive, Facts, Family, Needs, OneThread, Parameter, Pass, Scope, Shape, timed,
};
use super::table::Table;
use crate::allocators::contract::Demand;
use crate::stats::random::Random;

/// What a typed allocator of this shape implements: a scope that owns values until it ends.
///
/// `'s` is the scope's life. A value is lent for all of it and so cannot be used after it; that includes what the scope
/// around it lent, which outlives it. While an inner scope is open, the outer one is borrowed and takes no values: so a
/// stack ends a scope by going back to a mark.
///
/// ```
/// # use allocmark::workloads::scopes::Values;
/// fn lent<'s>(scope: &mut impl Values<'s>) -> &'s mut u64 {
///     scope.value(1)
/// }
/// ```
/// ```compile_fail
/// # use allocmark::workloads::scopes::Values;
/// fn taken_out<'s>(scope: &mut impl Values<'s>) -> &'s mut u64 {
///     scope.scope(|inner| inner.value(1))
/// }
/// ```
/// ```compile_fail
/// # use allocmark::workloads::scopes::Values;
/// fn ended_early<'s>(scope: &mut impl Values<'s>) -> u64 {
///     scope.scope(|inner| {
///         let value = inner.value(7_u64);
///         drop(*inner);
///         *value
///     })
/// }
/// ```
/// To run here, an allocator implements this for its scope and opens one in place of [`Boxes`] in [`Nested`]'s `open`.
pub trait Values<'s>: Sized {
    /// A scope inside this one.
    type Inner<'i>: Values<'i>;

    /// Keeps `value` until the scope ends, and drops it then: the last first.
    ///
    /// It borrows nothing (`'static`): another value of its scope that it borrowed could be dropped before it.
    fn value<T: 'static>(&mut self, value: T) -> &'s mut T;

    /// Runs `inside` with a new scope, which ends when `inside` returns or unwinds. It is lent and not given: whoever owned
    /// it could end it, and go on using its values.
    fn scope<R>(&mut self, inside: impl for<'i> FnOnce(&mut Self::Inner<'i>) -> R) -> R;
}

/// The reference: each value is a block of its own, and a list says what a scope's end frees.
///
/// The list lies outside the heap and was made before: it stands for what a stack does not need.
pub struct Boxes<'s, A: Allocator> {
    allocator: A,
    /// Room for all values that are alive at once; the first `length` are.
    owned: NonNull<[Owned]>,
    length: usize,
    /// Where this scope's begin.
    mark: usize,
    life: PhantomData<&'s mut [Owned]>,
}

/// A value in a block of its own.
#[derive(Clone, Copy)]
struct Owned {
    block: NonNull<u8>,
    layout: Layout,
    /// For values that must be dropped.
    drop: Option<unsafe fn(NonNull<u8>)>,
}

impl Owned {
    const NONE: Self = Self { block: NonNull::dangling(), layout: Layout::new::<()>(), drop: None };
}

impl<'s, A: Allocator> Boxes<'s, A> {
    /// The outermost scope, with room for as many values as the table has rows.
    fn new(owned: &'s mut Table<Owned>, allocator: A) -> Self {
        Self { allocator, owned: NonNull::from(&mut **owned), length: 0, mark: 0, life: PhantomData }
    }
}

impl<'s, A: Allocator + Copy> Values<'s> for Boxes<'s, A> {
    type Inner<'i> = Boxes<'i, A>;

    #[inline(always)]
    fn value<T: 'static>(&mut self, value: T) -> &'s mut T {
        const { assert!(size_of::<T>() > 0, "a value of no bytes needs no allocator") };
        unsafe fn drop_value<T>(block: NonNull<u8>) {
            // SAFETY: the caller's promise: the block holds a `T` that nobody uses again.
            unsafe { ptr::drop_in_place(block.cast::<T>().as_ptr()) };
        }
        assert!(self.length < self.owned.len(), "room for every value that is alive at once");
        let layout = Layout::new::<T>();
        let block = take(self.allocator, layout);
        let drop = std::mem::needs_drop::<T>().then_some(drop_value::<T> as unsafe fn(NonNull<u8>));
        // SAFETY: the block has the layout of `T` and is ours. The row is inside the table, which this scope alone uses: it
        // is borrowed for `'s`, and the scope around it is borrowed while this one is open.
        unsafe {
            block.cast::<T>().write(value);
            self.owned.cast::<Owned>().add(self.length).write(Owned { block, layout, drop });
        }
        self.length += 1;
        // SAFETY: a `T` was written there; it stays until this scope is dropped, and `'s` does not reach beyond that; nobody
        // else gets a reference to it.
        unsafe { block.cast::<T>().as_mut() }
    }

    #[inline(always)]
    fn scope<R>(&mut self, inside: impl for<'i> FnOnce(&mut Self::Inner<'i>) -> R) -> R {
        let (allocator, owned, length) = (self.allocator, self.owned, self.length);
        inside(&mut Boxes { allocator, owned, length, mark: length, life: PhantomData })
    }
}

impl<A: Allocator> Drop for Boxes<'_, A> {
    fn drop(&mut self) {
        while self.length > self.mark {
            // First, so that a value whose drop unwinds is not dropped again.
            self.length -= 1;
            // SAFETY: the row is inside the table and was written by `value` of this scope; it is left behind here. Its value
            // is alive and nobody's any more, for the scope's life ends; its block came from this allocator with this layout.
            unsafe {
                let Owned { block, layout, drop } = self.owned.cast::<Owned>().add(self.length).read();
                if let Some(drop) = drop {
                    drop(block);
                }
                self.allocator.deallocate(block, layout);
            }
        }
    }
}

/// Scopes with `values` values each, on the average.
#[derive(Clone, Copy, Debug)]
pub struct Nested {
    values: usize,
}

/// Values of a pass: half a millisecond at 30 ns each.
const VALUES: usize = 16_384;

/// Scopes that are open at once, at most: as deep as a descent through a syntax tree goes.
const DEEPEST: usize = 24;

impl Shape for Nested {
    const FACTS: Facts = Facts {
        id: "scopes",
        title: "nested scopes of mixed values, the last opened ends first",
        family: Family::Typed,
        why: "Calls that need scratch space: a parser's descent, an interpreter's frames, a solver's branches. A scope takes \
              values of several sizes, opens others inside, looks at its own again and ends; everything in it goes at once, \
              the last value first. The order is known, so a stack gives a value by moving a pointer and ends a scope by \
              moving it back.\n\n\
              The interface is typed, for such an allocator is no general one: a value is lent for the life of its \
              scope, and the compiler refuses to take it further. On allocators that know nothing of scopes \
              each value is a block of its own, and the scope's end frees them one by one; what must be freed is noted in a \
              list that was there before.",
        effect: "Among general allocators, those are fastest that give the last freed block out first. Large scopes differ from \
              small ones for those whose thread caches hold few blocks of a size. A stack should need a fraction of \
              any of these times.",
        origin: "A shape of our own, after obstacks, bump-scope's scopes and plasma-umass's 197.parser, whose allocator is a \
              stack.",
        operation: "value",
        step: "",
        probes: &[Probe::Time, Probe::Instructions],
        parameters: &[Parameter { name: "values", title: "values of a scope", axis: Axis::Count }],
    };

    fn cases(scope: Scope) -> Vec<Self> {
        scope.pick(vec![], vec![8, 128]).into_iter().map(|values| Self { values }).collect()
    }

    fn params(&self) -> Params {
        Params::default().with("values", self.values)
    }

    fn needs(&self) -> Needs {
        Needs { mixed_sizes: true, frees: true, threads: false, global: false }
    }

    fn demand(&self) -> Demand {
        Demand { block: None, live_blocks: VALUES, pass_bytes: VALUES * size_of::<[u64; 64]>(), threads: 1 }
    }

    fn declared(&self) -> Option<Declared> {
        Some(Declared::pairs(VALUES))
    }
}

/// What happens next in the innermost scope.
#[derive(Clone, Copy)]
enum Step {
    /// A value of [`Kind`] so and so.
    Value(Kind),
    Open,
    Close,
}

/// Sizes of values: 16 to 512 bytes, as many of each doubling.
#[derive(Clone, Copy)]
enum Kind {
    Words2,
    Words4,
    Words8,
    Words16,
    Words32,
    Words64,
}

impl Kind {
    const ALL: [Self; 6] =
        [Self::Words2, Self::Words4, Self::Words8, Self::Words16, Self::Words32, Self::Words64];
}

/// The steps of a pass: all scopes that are opened are closed.
fn plan(values: usize, random: &mut Random) -> Table<Step> {
    let (mut left, mut depth) = (VALUES, 0);
    // A scope is opened for every `values` values; at most, two steps for each value.
    let mut draw = || {
        if left == 0 {
            // What is still open ends with the pass.
            return None;
        }
        // As many opened as closed in the long run, so that the depth wanders.
        let (close, open) = (depth > 0, depth + 1 < DEEPEST);
        match random.below(values as u64 + 2) {
            0 if open => {
                depth += 1;
                Some(Step::Open)
            }
            1 if close => {
                depth -= 1;
                Some(Step::Close)
            }
            _ => {
                left -= 1;
                Some(Step::Value(Kind::ALL[random.below(Kind::ALL.len() as u64) as usize]))
            }
        }
    };
    Table::new(2 * VALUES, |_| draw().unwrap_or(Step::Close))
}

/// Follows the plan until the scope is closed; gives back its values' sum.
///
/// What the first value of a scope holds is read again at the end, after all that happened in the scopes inside.
fn follow<'s>(scope: &mut impl Values<'s>, steps: &mut std::slice::Iter<'_, Step>, next: &mut u64) -> u64 {
    let (mut sum, mut first): (u64, Option<&'s mut [u64]>) = (0, None);
    while let Some(step) = steps.next() {
        let kind = match *step {
            Step::Value(kind) => kind,
            Step::Open => {
                let inner = scope.scope(|inner| follow(inner, steps, next));
                sum = sum.rotate_left(7) ^ inner;
                continue;
            }
            Step::Close => break,
        };
        let number = *next;
        *next += 1;
        let words: &'s mut [u64] = match kind {
            Kind::Words2 => scope.value([number; 2]),
            Kind::Words4 => scope.value([number; 4]),
            Kind::Words8 => scope.value([number; 8]),
            Kind::Words16 => scope.value([number; 16]),
            Kind::Words32 => scope.value([number; 32]),
            Kind::Words64 => scope.value([number; 64]),
        };
        sum = sum.wrapping_add(words[0] ^ words[words.len() - 1].rotate_left(32));
        first.get_or_insert(words);
    }
    first.into_iter().flatten().fold(sum, |sum, word| sum.rotate_left(1).wrapping_add(*word))
}

impl OneThread for Nested {
    fn open<H: Heap, M: Mode>(&self, heap: &mut H, mode: &mut M, seed: u64, drive: Drive<'_>) {
        let steps = plan(self.values, &mut Random::new(seed));
        let mut owned = Table::new(VALUES, |_| Owned::NONE);
        let expected = all(&mut owned, allocator_api2::alloc::System, &steps);
        drive(&mut Descent { steps, owned, expected, heap, mode });
    }
}

/// Follows the whole plan, from the outermost scope on; closes what it left open.
fn all<A: Allocator + Copy>(owned: &mut Table<Owned>, allocator: A, steps: &[Step]) -> u64 {
    follow(&mut Boxes::new(owned, allocator), &mut steps.iter(), &mut 1)
}

struct Descent<'h, H, M> {
    steps: Table<Step>,
    owned: Table<Owned>,
    /// The sum under the system's allocator.
    expected: u64,
    heap: &'h mut H,
    mode: &'h mut M,
}

impl<H: Heap, M: Mode> Body for Descent<'_, H, M> {
    fn pass(&mut self, clock: &dyn Clock) -> Pass {
        let mut sum = 0;
        let pass = timed(clock, VALUES, || {
            sum = all(&mut self.owned, self.heap.handle(), &self.steps);
        });
        self.mode.result(sum, self.expected);
        pass
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::rc::Rc;

    use allocator_api2::alloc::System;

    use super::*;

    /// Writes its name down when it is dropped.
    struct Noted(&'static str, Rc<RefCell<Vec<&'static str>>>);

    impl Drop for Noted {
        fn drop(&mut self) {
            self.1.borrow_mut().push(self.0);
        }
    }

    #[test]
    fn values_are_dropped_at_the_end_of_their_scope_the_last_first() {
        let notes = Rc::new(RefCell::new(Vec::new()));
        let mut owned = Table::new(8, |_| Owned::NONE);
        let mut outer = Boxes::new(&mut owned, System);
        let note = |name| Noted(name, Rc::clone(&notes));
        let first = outer.value(note("first"));
        outer.scope(|inner| {
            inner.value(note("second"));
            inner.value(7_u64);
            inner.value(note("third"));
            first.0 = "first, changed from within";
        });
        outer.value(note("fourth"));
        assert_eq!(*notes.borrow(), ["third", "second"]);
        drop(outer);
        assert_eq!(notes.borrow()[2..], ["fourth", "first, changed from within"]);
    }

    #[test]
    fn a_scope_that_unwinds_ends_too() {
        let notes = Rc::new(RefCell::new(Vec::new()));
        let mut owned = Table::new(8, |_| Owned::NONE);
        let mut outer = Boxes::new(&mut owned, System);
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            outer.scope(|inner| {
                inner.value(Noted("inner", Rc::clone(&notes)));
                panic!("inside");
            });
        }));
        assert!(unwound.is_err());
        assert_eq!(*notes.borrow(), ["inner"]);
        assert_eq!(*outer.value(3), 3);
    }

    #[test]
    fn a_plan_has_all_values_and_comes_back_from_its_depth() {
        for values in [8, 128] {
            let plan = plan(values, &mut Random::new(1));
            let (mut depth, mut deepest, mut count) = (0_usize, 0, 0);
            for step in plan.iter() {
                match step {
                    Step::Value(_) => count += 1,
                    Step::Open => depth += 1,
                    Step::Close => depth = depth.saturating_sub(1),
                }
                deepest = deepest.max(depth);
            }
            assert_eq!((count, depth), (VALUES, 0));
            assert!(deepest > 4 && deepest < DEEPEST, "{deepest}");
        }
    }

    #[test]
    fn another_plan_has_another_sum() {
        let sum = |steps: &[Step]| all(&mut Table::new(8, |_| Owned::NONE), System, steps);
        let (open, close) = (Step::Open, Step::Close);
        let (small, large) = (Step::Value(Kind::Words2), Step::Value(Kind::Words4));
        assert_eq!(sum(&[small, open, large, close]), sum(&[small, open, large]));
        let plans: [&[Step]; 4] = [
            &[small, open, large, close],
            &[small, large],
            &[large, open, small, close],
            &[small, open, small],
        ];
        for (index, plan) in plans.iter().enumerate() {
            assert!(plans[..index].iter().all(|other| sum(other) != sum(plan)), "plan {index}");
        }
    }
}
