//! A trace that no program made: births and deaths as in `production`, from nothing to nothing.

use std::io::Write;

use super::operation::{Align, Call, Counts, Operation};
use super::writer::{WriteError, Writer};
use crate::stats::random::Random;
use crate::workloads::lifetimes::Lifetimes;
use crate::workloads::sizes::Sizes;

/// What is generated.
#[derive(Clone, Copy, Debug)]
pub struct Births {
    /// Blocks that are alive between the rise and the drain.
    pub live: u32,
    /// Blocks that replace others.
    pub replacements: u32,
    /// Where the draws begin.
    pub seed: u64,
}

/// The one that is shipped. A megabyte of live blocks, which no cache of a core holds beside the allocator's own; 28 000
/// rows, replayed in about a millisecond.
pub const SHIPPED: Births = Births { live: 2_000, replacements: 12_000, seed: 1 };

/// One block in so many is asked for as zeros, grows once, is aligned to a cache line. What programs do is less and more:
/// so often that each call is met a few hundred times.
const ZEROED: u64 = 16;
const GROWN: u64 = 16;
const ALIGNED: u64 = 64;

/// Writes the trace.
///
/// # Errors
/// What the output says.
pub fn generate<W: Write>(births: Births, output: W) -> Result<(W, Counts), WriteError> {
    let Births { live, replacements, seed } = births;
    let title = format!("births and deaths: {live} live, {replacements} replaced, seed {seed}");
    let (mut writer, mut random) = (Writer::new(output, &title)?, Random::new(seed));
    let mut lives = Lifetimes::steady(live, &mut random);
    for slot in 0..live {
        birth(&mut writer, slot, &mut random)?;
    }
    for _ in 0..replacements {
        let slot = lives.replace(&mut random);
        writer.push(Operation { thread: 0, slot, call: Call::Free })?;
        birth(&mut writer, slot, &mut random)?;
    }
    let mut slots: Vec<u32> = (0..live).collect();
    random.shuffle(&mut slots);
    for slot in slots {
        writer.push(Operation { thread: 0, slot, call: Call::Free })?;
    }
    writer.finish()
}

fn birth<W: Write>(writer: &mut Writer<W>, slot: u32, random: &mut Random) -> Result<(), WriteError> {
    let mut one_in = |many| random.below(many) == 0;
    let (zeroed, grown, aligned) = (one_in(ZEROED), one_in(GROWN), one_in(ALIGNED));
    let size = u64::from(Sizes::Server.draw(random).get());
    let word = Sizes::layout(size as usize).align() as u64;
    let align = Align::of(if aligned { 64 } else { word }).expect("a power of two");
    let call = if zeroed { Call::AllocZeroed { size, align } } else { Call::Alloc { size, align } };
    writer.push(Operation { thread: 0, slot, call })?;
    if grown {
        writer.push(Operation { thread: 0, slot, call: Call::Realloc { size: 2 * size } })?;
    }
    Ok(())
}
