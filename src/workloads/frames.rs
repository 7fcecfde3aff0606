//! `frames`: a game loop whose last frame is still read.

use std::fmt::Write;

use allocator_api2::alloc::{Allocator, System};
use allocator_api2::vec::Vec;

use super::checksum::TextChecksum;
use super::heap::{Heap, release};
use super::mode::{Mode, Touch};
use super::params::{Axis, Params};
use super::probe::Probe;
use super::shape::{
    Body, Clock, Declared, Drive, Facts, Family, Needs, OneThread, Parameter, Pass, Scope, Shape, timed,
};
use super::table::Table;
use super::text::Text;
use crate::allocators::contract::Demand;
use crate::stats::random::Random;

/// Frames with so many objects drawn in each.
#[derive(Clone, Copy, Debug)]
pub struct Frames {
    objects: usize,
}

/// Frames of a pass. An even number: two arenas take turns, and each pass begins with the same one.
const FRAMES: usize = 32;

/// Corners of an object's outline, at most: 12 bytes each, so that outlines have 36 to 480 bytes.
const CORNERS: std::ops::RangeInclusive<u64> = 3..=40;

/// Particles of each object.
const PARTICLES: usize = 4;

/// One in so many objects has its name and speed written beside it.
const LABELLED: usize = 8;

/// Room for a label, and more than the longest is.
const LABEL_BYTES: usize = 48;

impl Shape for Frames {
    const FACTS: Facts = Facts {
        id: "frames",
        title: "a game loop: transient data each frame, the last frame still read",
        family: Family::Applications,
        why: "Games and simulations build everything that a frame shows anew, sixty times a second: outlines to draw, \
              particles, labels. To move things evenly they look at where these were a frame ago, so the last frame \
              must still be there while this one is built, and nothing older.\n\n\
              On an allocator that frees blocks one at a time the last frame is dropped when this one is done. One that \
              releases everything together is used as games do it: two arenas take turns, and a whole frame ends with \
              one reset. Two kinds of blocks: vectors and texts of exact size, and two lists that grow while they are \
              filled.\n\n\
              A frame that comes late is seen, so the time of single frames is measured too.",
        effect: "Arenas take the least time and have the narrowest spread between frames: after the first frames they ask for no \
              memory, and a reset costs the same for any frame. General allocators pay for each outline twice; their slow \
              frames are those in which they tidy up.",
        origin: "The double-buffered frame allocators of game engines, as a program. No public suite has it.",
        operation: "frame",
        step: "frame",
        probes: &[Probe::Time, Probe::Latency, Probe::Instructions],
        parameters: &[Parameter { name: "objects", title: "objects drawn in a frame", axis: Axis::Count }],
    };

    /// A menu or a simple scene, and a full one.
    fn cases(scope: Scope) -> std::vec::Vec<Self> {
        scope.pick(vec![], vec![100, 1_000]).into_iter().map(|objects| Self { objects }).collect()
    }

    fn params(&self) -> Params {
        Params::default().with("objects", self.objects)
    }

    fn needs(&self) -> Needs {
        Needs { mixed_sizes: true, frees: false, threads: false, global: false }
    }

    fn demand(&self) -> Demand {
        let outline = size_of::<Outline<&System>>() + *CORNERS.end() as usize * size_of::<Corner>();
        let label = size_of::<Text<&System>>() + LABEL_BYTES;
        // Lists that grow by doubling ask for up to four times what they hold.
        let object = 4 * (outline + label + PARTICLES * size_of::<Particle>());
        let live_blocks = 2 * (2 * self.objects + 3);
        Demand { block: None, live_blocks, pass_bytes: FRAMES * self.objects * object, threads: 1 }
    }

    fn declared(&self) -> Option<Declared> {
        // How often a list grows is the vector's affair.
        None
    }
}

/// A point of an outline, in sixteenths of a pixel, and its colour.
#[derive(Clone, Copy)]
struct Corner {
    x: i32,
    y: i32,
    colour: u32,
}

/// Something that flies: where it is, where it was a frame ago, and how long it has left.
#[derive(Clone, Copy)]
struct Particle {
    x: i32,
    before: i32,
    age: u32,
}

struct Outline<A: Allocator> {
    x: i32,
    corners: Vec<Corner, A>,
}

/// Everything that a frame shows.
struct Frame<A: Allocator> {
    outlines: Vec<Outline<A>, A>,
    particles: Vec<Particle, A>,
    labels: Vec<Text<A>, A>,
}

/// An object, as it is in every frame.
#[derive(Clone, Copy)]
struct Object {
    start: i32,
    speed: i32,
    corners: u8,
}

impl Object {
    fn new(random: &mut Random) -> Self {
        Self {
            start: random.below(1 << 16) as i32,
            speed: random.below(256) as i32 - 128,
            corners: (CORNERS.start() + random.below(CORNERS.end() - CORNERS.start() + 1)) as u8,
        }
    }

    /// Corners come and go as it turns.
    fn corners_in(&self, number: usize) -> usize {
        usize::from(self.corners).saturating_sub(number % 8).max(*CORNERS.start() as usize)
    }
}

/// Builds a frame; `last` is the one before.
fn build<A: Allocator + Copy, B: Allocator>(
    objects: &[Object],
    number: usize,
    last: Option<&Frame<B>>,
    allocator: A,
) -> Frame<A> {
    // The scene's size is known; how many particles live and what is labelled turns out on the way.
    let mut outlines = Vec::with_capacity_in(objects.len(), allocator);
    let (mut particles, mut labels) = (Vec::new_in(allocator), Vec::new_in(allocator));
    let mut seen = last.map_or(&[][..], |last| &last.particles[..]).iter();
    for (index, object) in objects.iter().enumerate() {
        let before = last.map_or(object.start, |last| last.outlines[index].x);
        let x = before + object.speed;
        let mut corners = Vec::with_capacity_in(object.corners_in(number), allocator);
        corners.extend((0..object.corners_in(number) as i32).map(|corner| Corner {
            x: x + corner * 16,
            y: corner * corner,
            colour: 0xFF00_0000 | (x ^ corner) as u32,
        }));
        outlines.push(Outline { x, corners });
        for spark in 0..PARTICLES {
            let old = seen.next().filter(|old| old.age < 20);
            let (before, age) = old.map_or((x, spark as u32 * 5), |old| (old.x, old.age + 1));
            particles.push(Particle { x: before + object.speed / 2 + spark as i32, before, age });
        }
        if index % LABELLED == 0 {
            let mut label = Text::new_in(allocator);
            label.reserve(LABEL_BYTES);
            // Writing to a text cannot fail: a refusal ends the workload inside.
            let _ = write!(label, "object {index} at {x}, {} a frame", x - before);
            labels.push(label);
        }
    }
    Frame { outlines, particles, labels }
}

/// Shows a frame between the last one and this one, as far as a program without a screen can: reads all of both, and sums it
/// up.
fn show<A: Allocator, B: Allocator>(frame: &Frame<A>, last: Option<&Frame<B>>) -> u64 {
    let mut sum = 0_u64;
    let mut add = |word: i64| sum = sum.rotate_left(3).wrapping_add(word as u64);
    for (index, outline) in frame.outlines.iter().enumerate() {
        let before = last.map_or(outline.x, |last| last.outlines[index].x);
        add(i64::from(before + outline.x) / 2);
        let points = outline
            .corners
            .iter()
            .fold(0_i64, |points, corner| points + i64::from(corner.x ^ corner.y) + i64::from(corner.colour));
        add(points);
    }
    for particle in &frame.particles {
        add(i64::from(particle.x + particle.before) * i64::from(particle.age + 1));
    }
    for (index, label) in frame.labels.iter().enumerate() {
        let same = last.is_some_and(|last| last.labels[index].as_bytes() == label.as_bytes());
        add(TextChecksum::EMPTY.and(label.as_bytes()).0 as i64 + i64::from(same));
    }
    sum
}

/// Plays all frames on two heaps that take turns; leaves both empty.
fn play<H: Heap, M: Mode>(objects: &[Object], even: &mut H, odd: &mut H, mode: &mut M) -> u64 {
    let (mut last, mut sum) = (None, 0_u64);
    mode.begin();
    for number in (0..FRAMES).step_by(2) {
        let first = build(objects, number, last.as_ref(), even.handle());
        sum = sum.rotate_left(1) ^ show(&first, last.as_ref());
        release::<H, _>(last);
        odd.reset();
        mode.step();
        let second = build(objects, number + 1, Some(&first), odd.handle());
        sum = sum.rotate_left(1) ^ show(&second, Some(&first));
        release::<H, _>(first);
        even.reset();
        mode.step();
        last = Some(second);
    }
    release::<H, _>(last);
    odd.reset();
    sum
}

impl OneThread for Frames {
    fn open<H: Heap, M: Mode>(&self, heap: &mut H, mode: &mut M, seed: u64, drive: Drive<'_>) {
        let mut random = Random::new(seed);
        let objects = Table::new(self.objects, |_| Object::new(&mut random));
        let expected = play(&objects, &mut Reference, &mut Reference, &mut Touch);
        let odd = heap.sibling(&self.demand());
        drive(&mut Game { objects, expected, even: heap, odd, mode });
    }
}

/// The heap on which the expected result is computed.
struct Reference;

impl Heap for Reference {
    type Handle<'a> = System;

    const FREES: bool = true;

    fn handle(&self) -> System {
        System
    }

    fn reset(&mut self) {}

    fn sibling(&self, _demand: &Demand) -> Self {
        Self
    }
}

struct Game<'h, H, M> {
    objects: Table<Object>,
    /// The sum under the system's allocator.
    expected: u64,
    /// Where the frames of even numbers are built; where blocks are freed one at a time, both are the same heap.
    even: &'h mut H,
    odd: H,
    mode: &'h mut M,
}

impl<H: Heap, M: Mode> Body for Game<'_, H, M> {
    fn pass(&mut self, clock: &dyn Clock) -> Pass {
        let mut sum = 0;
        let pass = timed(clock, FRAMES, || sum = play(&self.objects, self.even, &mut self.odd, self.mode));
        self.mode.result(sum, self.expected);
        pass
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocators::arena::Arena;
    use crate::allocators::global::GlobalSubject;
    use crate::instruments::checked::Checked;
    use crate::workloads::heap::{Individually, Together};
    use crate::workloads::mode::Pattern;
    use crate::workloads::shape::WallClock;

    fn objects() -> std::vec::Vec<Object> {
        let mut random = Random::new(5);
        (0..20).map(|_| Object::new(&mut random)).collect()
    }

    fn sum(objects: &[Object]) -> u64 {
        play(objects, &mut Reference, &mut Reference, &mut Touch)
    }

    #[test]
    fn another_scene_has_another_sum() {
        let mut scene = objects();
        let before = sum(&scene);
        scene[3].speed += 1;
        assert_ne!(sum(&scene), before);
    }

    #[test]
    fn every_part_of_the_last_frame_and_of_this_one_is_in_what_is_shown() {
        let scene = objects();
        let first = || build(&scene, 0, None::<&Frame<System>>, System);
        let second = || build(&scene, 1, Some(&first()), System);
        let shown = show(&second(), Some(&first()));
        let changed = |change: fn(&mut Frame<System>, &mut Frame<System>)| {
            let (mut last, mut frame) = (first(), second());
            change(&mut last, &mut frame);
            show(&frame, Some(&last)) != shown
        };
        assert!(changed(|last, _| last.outlines[1].x += 2));
        assert!(changed(|last, frame| last.labels.swap_with_slice(&mut frame.labels)));
        assert!(changed(|_, frame| frame.outlines[1].corners[2].colour ^= 1));
        assert!(changed(|_, frame| frame.particles[9].before += 1));
        assert!(!changed(|_, _| ()));
        let mut last = first();
        last.particles[7].x += 1;
        assert_ne!(show(&build(&scene, 1, Some(&last), System), Some(&last)), shown);
    }

    #[test]
    fn every_heap_gives_the_same_and_gets_everything_back() {
        let shape = Frames { objects: 20 };
        let (mut one, mut mode) = (Individually(Checked::new(GlobalSubject)), Pattern::new());
        shape.open(&mut one, &mut mode, 1, &mut |body| {
            (0..2).for_each(|_| assert_eq!(body.pass(&WallClock::new()).operations, FRAMES as u64));
        });
        assert_eq!((one.0.fault(), mode.fault(), one.0.live_blocks()), (None, None, 0));
        let (mut two, mut mode) = (Together(Checked::new(Arena::new())), Pattern::new());
        shape.open(&mut two, &mut mode, 1, &mut |body| {
            (0..2).for_each(|_| assert_eq!(body.pass(&WallClock::new()).operations, FRAMES as u64));
        });
        assert_eq!((two.0.fault(), mode.fault(), two.0.live_blocks()), (None, None, 0));
    }
}
