//! What threads do to each other in the slab: messages, and heaps that pass from one to the next.

#[path = "../../../src/allocators/slab/block.rs"]
mod block;
#[path = "../../../src/allocators/slab/fault.rs"]
mod fault;
#[path = "../../../src/allocators/slab/geometry.rs"]
mod geometry;
#[path = "../../../src/allocators/slab/handover.rs"]
mod handover;
#[path = "../../../src/allocators/slab/mark.rs"]
mod mark;
#[path = "../../../src/allocators/slab/remote.rs"]
mod remote;

mod models;
