//! The promises of `Allocator`, each for every specimen.

use std::alloc::Layout;

use crate::blocks::Block;
use crate::specimens::ALL;

const SIZES: [usize; 20] =
    [1, 2, 3, 7, 8, 9, 15, 16, 17, 24, 31, 33, 63, 65, 72, 127, 129, 1000, 4097, 100_001];

fn layouts(most_align: usize) -> impl Iterator<Item = Layout> {
    let aligns = (0..usize::BITS).map(|shift| 1 << shift).take_while(move |&align| align <= most_align);
    aligns.flat_map(|align| SIZES.map(|size| Layout::from_size_align(size, align).unwrap()))
}

#[test]
fn blocks_of_all_sizes_and_alignments_are_aligned_and_do_not_overlap() {
    for specimen in ALL {
        specimen.with(|allocator| {
            let mut live: Vec<_> = layouts(4096)
                .filter(|&layout| specimen.fits(layout))
                .enumerate()
                .map(|(seed, layout)| Block::new(allocator, layout, seed as u8).expect(specimen.name))
                .collect();
            assert!(live.len() >= 60, "{}", specimen.name);
            live.iter_mut().for_each(Block::assert_intact);
            // Every third from the front, then the rest from the back, so that neither order is the one of allocation.
            let (thirds, rest): (Vec<_>, Vec<_>) =
                live.into_iter().enumerate().partition(|(i, _)| i % 3 == 0);
            for (_, block) in thirds.into_iter().chain(rest.into_iter().rev()) {
                block.free(allocator);
            }
        });
    }
}

#[test]
fn alignments_beyond_a_page_are_kept() {
    for specimen in ALL.iter().filter(|specimen| specimen.block.is_none()) {
        specimen.with(|allocator| {
            for align in [8192, 65_536, 1 << 20] {
                let blocks: Vec<_> = (0..3)
                    .map(|seed| {
                        let layout = Layout::from_size_align(100, align).unwrap();
                        Block::new(allocator, layout, seed).expect(specimen.name)
                    })
                    .collect();
                blocks.into_iter().for_each(|block| block.free(allocator));
            }
        });
    }
}

#[test]
fn memory_that_was_dirty_is_cleared_when_asked_for() {
    for specimen in ALL {
        specimen.with(|allocator| {
            for layout in layouts(64).filter(|&layout| specimen.fits(layout)) {
                for _ in 0..2 {
                    Block::new(allocator, layout, 0xff).unwrap().free(allocator);
                    Block::zeroed(allocator, layout, 0xff).unwrap().free(allocator);
                }
            }
        });
    }
}

#[test]
fn content_is_kept_while_a_block_grows_and_shrinks() {
    for specimen in ALL {
        specimen.with(|allocator| {
            for align in [1, 8, 64] {
                let at = |size| Layout::from_size_align(size, align).unwrap();
                // Alone, so that it can grow in place, and with a neighbour, so that it cannot.
                for neighbour in [false, true] {
                    let sizes: Vec<_> = SIZES.into_iter().filter(|&size| specimen.fits(at(size))).collect();
                    let (Some(&first), Some(&last)) = (sizes.first(), sizes.last()) else { continue };
                    let mut block = Block::new(allocator, at(first), 7).unwrap();
                    let mut neighbours = vec![];
                    for (round, &size) in sizes.iter().enumerate() {
                        if neighbour {
                            neighbours.push(Block::new(allocator, at(5), round as u8).unwrap());
                        }
                        if round % 2 == 0 {
                            block.grow(allocator, at(size)).unwrap();
                        } else {
                            block.grow_zeroed(allocator, at(size)).unwrap();
                        }
                    }
                    assert_eq!(block.layout.size(), last);
                    for &size in sizes.iter().rev() {
                        block.shrink(allocator, at(size)).unwrap();
                    }
                    block.free(allocator);
                    neighbours.into_iter().for_each(|block| block.free(allocator));
                }
            }
        });
    }
}

#[test]
fn a_block_may_become_more_aligned_while_it_grows_or_shrinks() {
    for specimen in ALL {
        specimen.with(|allocator| {
            for align in [16, 64, 4096] {
                let (small, large) =
                    (Layout::from_size_align(40, 1).unwrap(), Layout::from_size_align(60, align).unwrap());
                if specimen.fits(large) {
                    let mut block = Block::new(allocator, small, 3).unwrap();
                    block.grow(allocator, large).unwrap();
                    block.shrink(allocator, small).unwrap();
                    block.shrink(allocator, Layout::from_size_align(30, align).unwrap()).unwrap();
                    block.free(allocator);
                }
            }
        });
    }
}

#[test]
fn blocks_of_no_bytes_are_aligned_and_can_grow_and_be_freed() {
    for specimen in ALL {
        specimen.with(|allocator| {
            for align in [1, 8, 16, 64, 4096] {
                let (nothing, something) =
                    (Layout::from_size_align(0, align).unwrap(), Layout::from_size_align(50, align).unwrap());
                if specimen.fits(something) {
                    Block::new(allocator, nothing, 0).unwrap().free(allocator);
                    let mut first = Block::new(allocator, nothing, 1).unwrap();
                    let mut second = Block::new(allocator, nothing, 2).unwrap();
                    first.grow(allocator, something).unwrap();
                    second.grow(allocator, something).unwrap();
                    first.assert_intact();
                    first.shrink(allocator, nothing).unwrap();
                    first.free(allocator);
                    second.free(allocator);
                }
            }
        });
    }
}

#[test]
fn what_no_machine_has_is_refused_and_nothing_else_is_lost() {
    let most = isize::MAX as usize;
    for specimen in ALL {
        specimen.with(|allocator| {
            let mut block = Block::new(allocator, Layout::new::<u64>(), 9).unwrap();
            for (size, align) in [(most, 1), (most - 4095, 4096), (most / 2, 1 << 40)] {
                let layout = Layout::from_size_align(size, align).unwrap();
                assert!(allocator.allocate(layout).is_err(), "{}", specimen.name);
                assert!(block.grow(allocator, layout).is_err(), "{}", specimen.name);
                block.assert_intact();
            }
            block.free(allocator);
        });
    }
}
