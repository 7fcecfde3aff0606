//! `pipeline`: parse, transform, write out; each phase with its own data.

use std::cmp::Reverse;
use std::fmt::Write;

use allocator_api2::alloc::{Allocator, System};
use allocator_api2::vec::Vec;

use super::checksum::TextChecksum;
use super::document::Document;
use super::heap::{Heap, release};
use super::mode::Mode;
use super::params::{Axis, Params};
use super::probe::Probe;
use super::shape::{
    Body, Clock, Declared, Drive, Facts, Family, Needs, OneThread, Parameter, Pass, Profile, Scope, Shape,
    timed,
};
use super::table::Table;
use super::text::Text;
use crate::allocators::contract::Demand;
use crate::stats::random::Random;

/// A log of so many lines goes through the phases.
#[derive(Clone, Copy, Debug)]
pub struct Pipeline {
    lines: usize,
}

/// A log of 50 KiB: under a millisecond of work, in the second-level cache.
const SMALL: usize = 1_000;

/// More than 16 MiB live at the widest phase: twice what blow-up is told from, and many times what an allocator takes at once
/// for a start.
const LARGE: usize = 100_000;

/// Room for a line, and more than the longest has.
const LINE_BYTES: usize = 96;

/// Hosts that write the log.
const HOSTS: u64 = 500;

/// The parts of paths.
const PARTS: [&str; 8] = ["shop", "item", "reviews", "account", "orders", "search", "static", "api"];

/// The phase that leaves out what was not found, as a filter does.
const NOT_FOUND: u16 = 404;

impl Shape for Pipeline {
    const FACTS: Facts = Facts {
        id: "pipeline",
        title: "parse, transform and write out, each phase with its own data",
        family: Family::Applications,
        why: "Importers, compilers, report generators: a program in phases, of which each reads what the one before made \
              and makes something new. Here lines of a log become records of two texts each; these are filtered, \
              labelled and sorted as events; the events are written out as one text. What a phase made is released \
              as soon as the next one is done with it.\n\n\
              On an allocator that frees blocks one at a time all phases share the one heap, and the memory of the lines \
              can serve the output. One that releases everything together is used as such allocators are: one arena for \
              each phase, nothing is dropped piece by piece, and the phase's end is a reset. So releasing \
              costs next to nothing, and no phase gets the memory of another.\n\n\
              The small document is there for time. The large one is measured for memory alone, at the end of each phase \
              and after each release. Retained memory of arenas is that of the first phase: the other two end with the \
              program.",
        effect: "In the small case arenas save what freeing two thousand lines' texts costs, and pay for memory that is \
              new to the caches in each phase; they are among the fastest and not far ahead. In the large one their \
              peak is higher: they add up the phases, and the output, which grows, leaves a copy behind each time it \
              moves to a new chunk. General allocators stay near what is live, and nearer after a release the more \
              readily they give the lines' memory to the output or back to the system.",
        origin: "A shape of our own, after what compilers and importers do with an arena for each phase. Public suites measure \
              whole programs of this kind (espresso, cfrac) from the outside, without looking at their phases.",
        operation: "line",
        step: "",
        probes: &[Probe::Time, Probe::Memory, Probe::Instructions],
        parameters: &[Parameter { name: "lines", title: "lines of the document", axis: Axis::Count }],
    };

    fn cases(scope: Scope) -> std::vec::Vec<Self> {
        let lines = match scope.profile {
            Profile::Smoke => vec![],
            Profile::Quick => vec![LARGE],
            Profile::Standard | Profile::Full => vec![SMALL, LARGE],
        };
        lines.into_iter().map(|lines| Self { lines }).collect()
    }

    fn params(&self) -> Params {
        Params::default().with("lines", self.lines)
    }

    fn needs(&self) -> Needs {
        Needs { mixed_sizes: true, frees: false, threads: false, global: false }
    }

    /// The large document is many milliseconds of work in one pass, the small one too little to see in memory.
    fn probes(&self) -> &'static [Probe] {
        if self.lines < LARGE { &[Probe::Time, Probe::Instructions] } else { &[Probe::Memory] }
    }

    fn demand(&self) -> Demand {
        let records = size_of::<Line<&System>>() + size_of::<Event<&System>>();
        // The output grows by doubling: at most twice what it needs at last, and as much again on the way.
        let each = records + 4 * LINE_BYTES + 4 * LINE_BYTES;
        Demand { block: None, live_blocks: 4 * self.lines + 3, pass_bytes: self.lines * each, threads: 1 }
    }

    fn declared(&self) -> Option<Declared> {
        // How many lines are left out, and so how many events there are, depends on what is drawn.
        None
    }
}

/// A line as it is drawn.
#[derive(Clone, Copy)]
struct Draw {
    second: u32,
    host: u16,
    /// Numbers of [`PARTS`], as many as `depth` says.
    parts: [u8; 4],
    depth: u8,
    status: u16,
    bytes: u32,
}

impl Draw {
    fn new(random: &mut Random) -> Self {
        let status = match random.below(10) {
            0..7 => 200,
            7 => 304,
            8 => NOT_FOUND,
            _ => 500,
        };
        Self {
            second: random.below(86_400) as u32,
            host: random.below(HOSTS) as u16,
            parts: [(); 4].map(|()| random.below(PARTS.len() as u64) as u8),
            depth: 1 + random.below(4) as u8,
            status,
            bytes: random.below(1 << 20) as u32,
        }
    }

    fn write_host(&self, out: &mut impl Write) -> std::fmt::Result {
        write!(out, "host-{:04}.example", self.host)
    }

    fn write_path(&self, out: &mut impl Write) -> std::fmt::Result {
        self.parts[..usize::from(self.depth)]
            .iter()
            .try_for_each(|&part| write!(out, "/{}", PARTS[usize::from(part)]))?;
        write!(out, "/{:05}", self.second)
    }

    fn write(&self, out: &mut impl Write) -> std::fmt::Result {
        write!(out, "{},", self.second)?;
        self.write_host(out)?;
        out.write_char(',')?;
        self.write_path(out)?;
        writeln!(out, ",{},{}", self.status, self.bytes)
    }
}

/// The log of the lines drawn.
fn document(draws: &[Draw]) -> Document {
    let mut document = Document::new(draws.len() * LINE_BYTES);
    draws.iter().try_for_each(|draw| draw.write(&mut document)).expect("no line is longer than its room");
    document
}

/// What the program must come to, from what was drawn and without a heap: the memory probe must not find the remains of a
/// trial run.
fn expected(draws: &[Draw]) -> u64 {
    let left = draws.iter().filter(|draw| draw.status != NOT_FOUND).count();
    let mut kept = draws.iter().zip(0_u32..).filter(|(draw, _)| draw.status != NOT_FOUND);
    let mut order =
        Table::new(left, |_| kept.next().map(|(_, number)| number).expect("as many as were counted"));
    order.sort_unstable_by_key(|&number| {
        let draw = &draws[number as usize];
        (Reverse(cost(draw.status, draw.bytes)), number)
    });
    let mut sum = TextChecksum::EMPTY;
    for &number in order.iter() {
        let draw = &draws[number as usize];
        let written = draw.write_host(&mut sum).and_then(|()| {
            write!(sum, " {}xx ", draw.status / 100)?;
            draw.write_path(&mut sum)?;
            writeln!(sum, " {}", cost(draw.status, draw.bytes))
        });
        written.expect("a checksum takes everything");
    }
    result(sum, 0)
}

/// The program's result: its output, and how many lines it could not read.
fn result(output: TextChecksum, rejected: usize) -> u64 {
    output.and(&(rejected as u64).to_le_bytes()).0
}

/// What serving a request cost: a failure ten times its bytes.
fn cost(status: u16, bytes: u32) -> u64 {
    u64::from(bytes) * if status >= 500 { 10 } else { 1 }
}

impl OneThread for Pipeline {
    fn open<H: Heap, M: Mode>(&self, heap: &mut H, mode: &mut M, seed: u64, drive: Drive<'_>) {
        let mut random = Random::new(seed);
        let draws = Table::new(self.lines, |_| Draw::new(&mut random));
        let (document, expected) = (document(&draws), expected(&draws));
        drop(draws);
        let demand = self.demand();
        let (events, output) = (heap.sibling(&demand), heap.sibling(&demand));
        drive(&mut Run { document, lines: self.lines, expected, parsing: heap, events, output, mode });
    }
}

struct Run<'h, H, M> {
    document: Document,
    lines: usize,
    expected: u64,
    /// The heaps of the three phases; where blocks are freed one at a time, the same one.
    parsing: &'h mut H,
    events: H,
    output: H,
    mode: &'h mut M,
}

impl<H: Heap, M: Mode> Body for Run<'_, H, M> {
    fn pass(&mut self, clock: &dyn Clock) -> Pass {
        let (mut written, mut rejected) = (None, 0);
        let phases = timed(clock, self.lines, || {
            let parsed = parse(self.document.as_str(), self.parsing.handle());
            clock.checkpoint("parse", parsed.made.bytes());
            let events = transform(&parsed.made.items, self.events.handle());
            clock.checkpoint("transform", parsed.made.bytes() + events.bytes());
            rejected = parsed.rejected;
            release::<H, _>(parsed);
            self.parsing.reset();
            clock.checkpoint("lines released", events.bytes());
            let text = write_out(&events.items, self.output.handle());
            clock.checkpoint("output", events.bytes() + text.capacity() as u64);
            release::<H, _>(events);
            self.events.reset();
            clock.checkpoint("events released", text.capacity() as u64);
            written = Some(text);
        });
        // The checksum is ours and not the program's: the clock stops for it.
        let text = written.as_ref().map_or(&[][..], Text::as_bytes);
        self.mode.result(result(TextChecksum::EMPTY.and(text), rejected), self.expected);
        let last = timed(clock, 0, || release::<H, _>(written));
        let reset = timed(clock, 0, || self.output.reset());
        Pass { elapsed_ns: phases.elapsed_ns + last.elapsed_ns + reset.elapsed_ns, ..phases }
    }
}

/// What a phase made.
struct Made<T, A: Allocator> {
    items: Vec<T, A>,
    /// What the items' texts own.
    text_bytes: u64,
}

impl<T, A: Allocator> Made<T, A> {
    /// With room for so many items.
    fn new_in(items: usize, allocator: A) -> Self {
        Self { items: Vec::with_capacity_in(items, allocator), text_bytes: 0 }
    }

    /// The bytes that it has requested and not given back.
    fn bytes(&self) -> u64 {
        (self.items.capacity() * size_of::<T>()) as u64 + self.text_bytes
    }
}

struct Parsed<A: Allocator> {
    made: Made<Line<A>, A>,
    /// Lines that are none.
    rejected: usize,
}

struct Line<A: Allocator> {
    number: u32,
    host: Text<A>,
    path: Text<A>,
    status: u16,
    bytes: u32,
}

struct Event<A: Allocator> {
    cost: u64,
    number: u32,
    host: Text<A>,
    label: Text<A>,
}

fn copied<A: Allocator>(text: &str, allocator: A) -> Text<A> {
    let mut copy = Text::new_in(allocator);
    copy.push_str(text);
    copy
}

fn parse<A: Allocator + Copy>(document: &str, allocator: A) -> Parsed<A> {
    let mut parsed = Parsed { made: Made::new_in(document.lines().count(), allocator), rejected: 0 };
    for (line, number) in document.lines().zip(0..) {
        let Some((host, path, status, bytes)) = fields(line) else {
            parsed.rejected += 1;
            continue;
        };
        let (host, path) = (copied(host, allocator), copied(path, allocator));
        parsed.made.text_bytes += (host.capacity() + path.capacity()) as u64;
        parsed.made.items.push(Line { number, host, path, status, bytes });
    }
    parsed
}

/// Host, path, status and bytes of a line of five fields.
fn fields(line: &str) -> Option<(&str, &str, u16, u32)> {
    let mut fields = line.split(',');
    let _second: u32 = fields.next()?.parse().ok()?;
    let (host, path) = (fields.next()?, fields.next()?);
    let (status, bytes) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    fields.next().is_none().then_some((host, path, status, bytes))
}

fn transform<A: Allocator + Copy, B: Allocator>(lines: &[Line<B>], allocator: A) -> Made<Event<A>, A> {
    let mut events = Made::new_in(lines.len(), allocator);
    for line in lines.iter().filter(|line| line.status != NOT_FOUND) {
        let path = line.path.as_str();
        let mut label = Text::new_in(allocator);
        label.reserve("2xx ".len() + path.len());
        // Writing to a text cannot fail: a refusal ends the workload inside.
        let _ = write!(label, "{}xx {path}", line.status / 100);
        let host = copied(line.host.as_str(), allocator);
        events.text_bytes += (host.capacity() + label.capacity()) as u64;
        events.items.push(Event { cost: cost(line.status, line.bytes), number: line.number, host, label });
    }
    events.items.sort_unstable_by_key(|event| (Reverse(event.cost), event.number));
    events
}

fn write_out<A: Allocator, B: Allocator>(events: &[Event<B>], allocator: A) -> Text<A> {
    let mut out = Text::new_in(allocator);
    for event in events {
        // As above.
        let _ = writeln!(out, "{} {} {}", event.host.as_str(), event.label.as_str(), event.cost);
    }
    out
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::allocators::arena::Arena;
    use crate::allocators::global::GlobalSubject;
    use crate::instruments::checked::Checked;
    use crate::instruments::counting::{Counting, Tally};
    use crate::workloads::heap::{Individually, Together};
    use crate::workloads::mode::Pattern;
    use crate::workloads::shape::WallClock;

    const FEW: Pipeline = Pipeline { lines: 300 };

    fn draws() -> std::vec::Vec<Draw> {
        let mut random = Random::new(3);
        (0..300).map(|_| Draw::new(&mut random)).collect()
    }

    fn run(document: &str) -> u64 {
        let parsed = parse(document, System);
        let text = write_out(&transform(&parsed.made.items, System).items, System);
        result(TextChecksum::EMPTY.and(text.as_bytes()), parsed.rejected)
    }

    #[test]
    fn the_program_comes_to_what_was_drawn_and_another_document_to_something_else() {
        let draws = draws();
        let document = document(&draws);
        assert_eq!(run(document.as_str()), expected(&draws));
        assert_ne!(run(&document.as_str().replacen(",200,", ",304,", 1)), run(document.as_str()));
        assert_ne!(run(&document.as_str().replacen(",200,", ",500,", 1)), run(document.as_str()));
    }

    #[test]
    fn a_line_that_is_none_is_rejected_and_counted() {
        for line in
            ["", "1,host,/path,200", "x,host,/path,200,1", "1,host,/path,70000,1", "1,host,/path,200,1,"]
        {
            assert_eq!(fields(line), None, "{line}");
        }
        assert_ne!(run("\n"), run(""));
    }

    #[test]
    fn every_heap_gives_the_same_and_gets_everything_back() {
        let (mut one, mut mode) = (Individually(Checked::new(GlobalSubject)), Pattern::new());
        FEW.open(&mut one, &mut mode, 1, &mut |body| {
            (0..2).for_each(|_| assert_eq!(body.pass(&WallClock::new()).operations, 300));
        });
        assert_eq!((one.0.fault(), mode.fault(), one.0.live_blocks()), (None, None, 0));

        let (mut many, mut mode) = (Together(Checked::new(Arena::new())), Pattern::new());
        FEW.open(&mut many, &mut mode, 1, &mut |body| {
            (0..2).for_each(|_| assert_eq!(body.pass(&WallClock::new()).operations, 300));
        });
        assert_eq!((many.0.fault(), mode.fault(), many.0.live_blocks()), (None, None, 0));
    }

    /// Compares the program's ledger with the calls that were counted.
    struct Ledger {
        tally: Arc<Tally>,
        seen: Mutex<std::vec::Vec<(&'static str, u64)>>,
    }

    impl Clock for Ledger {
        fn now_ns(&self) -> u64 {
            0
        }

        fn checkpoint(&self, phase: &'static str, live_bytes: u64) {
            assert_eq!(live_bytes, self.tally.live_bytes(), "{phase}");
            self.seen.lock().unwrap().push((phase, live_bytes));
        }
    }

    #[test]
    fn the_live_bytes_of_each_phase_are_the_requested_ones() {
        let clock = Ledger { tally: Arc::new(Tally::new()), seen: Mutex::default() };
        let mut heap = Individually(Counting::with(GlobalSubject, Arc::clone(&clock.tally), None));
        let part = Pipeline { lines: LARGE / 50 };
        part.open(&mut heap, &mut Pattern::new(), 1, &mut |body| {
            body.pass(&clock);
        });
        assert_eq!(clock.tally.live_bytes(), 0);
        let seen = clock.seen.into_inner().unwrap();
        assert_eq!(
            seen.iter().map(|(phase, _)| *phase).collect::<std::vec::Vec<_>>(),
            ["parse", "transform", "lines released", "output", "events released"]
        );
        assert!(50 * seen[1].1 > 16 << 20, "{seen:?}: the large document shows in resident memory");
    }
}
