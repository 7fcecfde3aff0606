//! An allocator of your own beside the system's and this crate's arena: record and site from one file.
//!
//! ```sh
//! cargo run --release --example own_allocator -- --profile quick
//! ```
//!
//! In a crate of your own this is `src/main.rs`, and `allocmark` the only dependency. `docs/own.md` goes through it.

use std::alloc::{Layout, System};
use std::cell::Cell;
use std::process::ExitCode;
use std::ptr::NonNull;

use allocmark::Barometer;
use allocmark::allocator_api2::alloc::{self as api, AllocError, Allocator};
use allocmark::allocators::arena::Arena;
use allocmark::allocators::contract::{Bulk, Demand, Facts, Known, Subject};
use allocmark::allocators::system;
use allocmark::harness::bench;
use allocmark::workloads::{Suite, Visitor, bulk, strings, tree};

/// A region of fixed size through which a finger moves upwards. Blocks are released all together.
struct Region {
    /// The first byte of `layout.size()` bytes from the system's allocator; ours alone until drop.
    start: NonNull<u8>,
    layout: Layout,
    /// Bytes handed out, padding included; at most `layout.size()`.
    used: Cell<usize>,
}

/// Room for what the harness asks beside the workload: a block to prove who served, and light use while memory is looked
/// at.
const SPARE_BYTES: usize = 128 << 10;

impl Region {
    fn with_bytes(bytes: usize) -> Result<Self, AllocError> {
        let layout = Layout::from_size_align(bytes, 64).map_err(|_| AllocError)?;
        let start = api::System.allocate(layout)?.cast();
        Ok(Self { start, layout, used: Cell::new(0) })
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: `start` came from this allocator with this layout and is given back once, here; `&mut self` shows that
        // no handle, and so no block, is out.
        unsafe { api::System.deallocate(self.start, self.layout) };
    }
}

// SAFETY: blocks are disjoint, for `used` only rises between two resets; they stay valid until the reset or the drop,
// which need `&mut Region` and so outlive no handle; all copies of a handle are the same allocator.
unsafe impl Allocator for &Region {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let used = self.used.get();
        // SAFETY: `used` is at most the region's size: the pointer is within it or just after it.
        let free = unsafe { self.start.add(used) };
        let begin = used.checked_add(free.align_offset(layout.align())).ok_or(AllocError)?;
        let end =
            begin.checked_add(layout.size()).filter(|&end| end <= self.layout.size()).ok_or(AllocError)?;
        self.used.set(end);
        // SAFETY: `begin <= end`, and `end` is within the region.
        let block = unsafe { self.start.add(begin) };
        Ok(NonNull::slice_from_raw_parts(block, layout.size()))
    }

    // Growing is the trait's default: a new block and a copy.
    unsafe fn deallocate(&self, _block: NonNull<u8>, _layout: Layout) {}
}

/// How the harness builds it and drives it.
impl Subject for Region {
    type Handle<'a> = &'a Region;

    fn for_demand(demand: &Demand) -> Result<Self, AllocError> {
        Self::with_bytes(demand.pass_bytes.checked_add(SPARE_BYTES).ok_or(AllocError)?)
    }

    fn handle(&self) -> &Region {
        self
    }

    // Asked after every measurement: a number never stands under the wrong name.
    fn owns(&self, block: NonNull<u8>) -> bool {
        let start = self.start.addr().get();
        (start..start + self.layout.size()).contains(&block.addr().get())
    }
}

impl Known for Region {
    const FACTS: &'static Facts =
        &Facts::named("region", "region", "A finger moves upwards through a region of fixed size.");
}

impl Bulk for Region {
    fn reset(&mut self) {
        self.used.set(0);
    }
}

/// Three workloads of the catalogue that such allocators can run; all of them: leave `suite` out below.
struct Released;

impl Suite for Released {
    fn each(visitor: &mut impl Visitor) {
        visitor.one_thread::<bulk::BulkRelease>();
        visitor.one_thread::<strings::Strings>();
        visitor.one_thread::<tree::Tree>();
    }
}

fn main() -> ExitCode {
    let over = bench::suite::<Released>();
    Barometer::new()
        .allocator(over.general(&system::FACTS, &System))
        .allocator(over.bulk::<Arena>())
        .allocator(over.bulk::<Region>())
        .main()
}
