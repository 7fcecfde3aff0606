//! A workload of your own on the system's allocator and on this crate's arena: record and site from one file.
//!
//! ```sh
//! cargo run --release --example own_workload -- --profile quick
//! ```
//!
//! In a crate of your own this is `src/main.rs`, and `allocmark` the only dependency. `docs/own.md` goes through it.

use std::fmt::Write;
use std::process::ExitCode;

use allocmark::Barometer;
use allocmark::allocator_api2::alloc::{Allocator, System};
use allocmark::allocator_api2::vec::Vec;
use allocmark::allocators::arena::Arena;
use allocmark::allocators::contract::Demand;
use allocmark::allocators::system;
use allocmark::harness::bench;
use allocmark::stats::random::Random;
use allocmark::workloads::heap::Heap;
use allocmark::workloads::mode::{Mode, Touch};
use allocmark::workloads::params::{Axis, Params};
use allocmark::workloads::probe::Probe;
use allocmark::workloads::shape::{
    Clock, Declared, Drive, Facts, Family, Needs, OneThread, Parameter, Scope, Shape, timed,
};
use allocmark::workloads::table::Table;
use allocmark::workloads::text::Text;
use allocmark::workloads::{Suite, Visitor};

/// A web server that keeps rendered pages: one case for each size of its cache.
struct Pages {
    slots: usize,
}

/// Pages there are. More than fit the smaller cache, so that it keeps replacing them.
const PAGES: u64 = 2_000;

/// Requests in a pass: about a millisecond, long against a reading of the clock.
const REQUESTS: usize = 4_096;

/// The longest page: its title and sixteen paragraphs.
const PAGE_BYTES: usize = 32 + 16 * PARAGRAPH.len();
const PARAGRAPH: &str = "<p>What the shop has to say of this article.</p>\n";

impl Shape for Pages {
    const FACTS: Facts = Facts {
        id: "pages",
        title: "serve pages from a cache of texts",
        family: Family::Applications,
        why: "A page that is in the cache costs nothing; any other is rendered into a text that grows, and takes the place \
              of an older one. It stands for servers that cache what they format.",
        effect: "A small cache takes longer on every allocator, for more pages are rendered. The arena, which frees no old page \
              and only moves its finger, is the faster of the two.",
        origin: "A shape of our own.",
        operation: "request",
        step: "request",
        probes: &[Probe::Time, Probe::Latency, Probe::Instructions],
        parameters: &[Parameter { name: "slots", title: "pages in the cache", axis: Axis::Count }],
    };

    fn cases(scope: Scope) -> std::vec::Vec<Self> {
        scope.pick(vec![256], vec![256, 1_024]).into_iter().map(|slots| Self { slots }).collect()
    }

    fn params(&self) -> Params {
        Params::default().with("slots", self.slots)
    }

    // Without `frees`, arenas can run it too; what they keep until the reset stands in `demand`.
    fn needs(&self) -> Needs {
        Needs { mixed_sizes: true, frees: false, threads: false, global: false }
    }

    fn demand(&self) -> Demand {
        // A text that grows by doubling asks for less than four times its length in all.
        let pass_bytes = REQUESTS * 4 * PAGE_BYTES + self.slots * 64;
        Demand { block: None, live_blocks: self.slots + 2, pass_bytes, threads: 1 }
    }

    fn declared(&self) -> Option<Declared> {
        None // It depends on the requests that are drawn.
    }
}

impl OneThread for Pages {
    fn open<H: Heap, M: Mode>(&self, heap: &mut H, mode: &mut M, seed: u64, drive: Drive<'_>) {
        // Drawn before the clock starts; the smaller of two numbers, so that some pages are wanted more than others.
        let mut random = Random::new(seed);
        let requests = Table::new(REQUESTS, |_| random.below(PAGES).min(random.below(PAGES)));
        let expected = serve(System, &requests, self.slots, &mut Touch);
        drive(&mut |clock: &dyn Clock| {
            let mut served = 0;
            // Between its two readings the clock sees the workload and nothing else.
            let pass = timed(clock, REQUESTS, || {
                served = serve(heap.handle(), &requests, self.slots, mode);
                heap.reset();
            });
            mode.result(served, expected);
            pass
        });
    }
}

/// The program: ordinary Rust over whichever allocator it is given. Gives back the bytes that it served.
fn serve<A: Allocator + Copy, M: Mode>(allocator: A, requests: &[u64], slots: usize, mode: &mut M) -> u64 {
    let mut cache: Vec<Option<(u64, Text<A>)>, A> = Vec::with_capacity_in(slots, allocator);
    cache.resize_with(slots, || None);
    let mut served = 0;
    mode.begin();
    for &page in requests {
        let slot = &mut cache[page as usize % slots];
        if slot.as_ref().is_none_or(|(cached, _)| *cached != page) {
            let mut text = Text::new_in(allocator);
            // Writing to a text cannot fail: a refusal ends the workload inside.
            let _ = writeln!(text, "<h1>article {page}</h1>");
            (0..page % 17).for_each(|_| text.push_str(PARAGRAPH));
            *slot = Some((page, text));
        }
        served += slot.as_ref().map_or(0, |(_, text)| text.as_bytes().len() as u64);
        mode.step();
    }
    served
}

struct Mine;

impl Suite for Mine {
    fn each(visitor: &mut impl Visitor) {
        visitor.one_thread::<Pages>();
    }
}

fn main() -> ExitCode {
    let over = bench::suite::<Mine>();
    Barometer::new()
        .allocator(over.general(&system::FACTS, &std::alloc::System))
        .allocator(over.bulk::<Arena>())
        .main()
}
