//! How `slab` works, and where its ideas come from. Nothing but this text.
//!
//! # From an address to its owner
//! Memory is mapped in *segments* of 4 MiB at multiples of 4 MiB. A segment is 64 *slices* of 64 KiB; the first holds
//! the header. Runs of slices are *spans*: blocks of one size class.
//!
//! ```text
//!  block address   0x7f12_3 4 5a_b0c0
//!                  └──┬───┘ └┬┘ └─┬─┘
//!                  segment  slice  in the slice
//!
//!  segment ─▶ ┌────────────────────────────────────────────┐
//!             │ owner: the heap │ lists, bitmaps of slices  │ line 0     read by all, rarely written
//!             │ first_slice[64]                             │ line 1     read by all, rarely written
//!             │ span 0 │ span 1 │ …              │ span 63  │ a line each, written by the owner
//!             ├─ slice 1 ──────────────────────────────────┤
//!             │ block │ block │ block │ …                   │
//!             ├─ slice 2 ──────────────────────────────────┤
//! ```
//!
//! Freeing masks the address, compares the owner with the thread's own heap, and finds the span through `first_slice`.
//! A thread that frees somebody else's block reads only the first two lines and the block, never the span's line, which
//! the owner writes all the time.
//!
//! # One counter for two questions
//! A free must notice two things: that the span became empty, and that a full span has become useful. Both are one
//! number, the *countdown* of frees until the owner must look:
//!
//! ```text
//!            retired when full             wake frees later                 countdown 0: empty
//!  Current ─────────────────────▶ Full ─────────────────────▶ Available ─────────────────────▶ Unused
//!  live + listed + pin            wake = ⅛ of all blocks      live      ◀──┐
//!     ▲                                                                     │ taken when the current one is used up
//!     └─────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! The *pin* of 1 keeps the span in use from counting down when its last block is freed, so that a program that
//! allocates and frees one block in turn never leaves the fast path. An eighth as `wake` keeps a full span from coming
//! back for one block at a time; the price is that up to an eighth of it lies unused.
//!
//! # Two lists
//! Frees go to the span's list. Allocations come from the bin's list, which is what was the current span's list when the
//! bin's own ran out:
//!
//! ```text
//!  allocate ◀── bin.list ◀── (all at once, when empty) ── span.free ◀── free
//! ```
//!
//! Were it one list, each operation would wait for the memory that the one before has just written: 6.8 ns for a pair of
//! allocation and free, where two lists need 3.4 ns. Taking the list counts all its blocks as live, so that allocating
//! does not touch the span at all. Blocks are still used again soon, because new ones are carved, a kernel page at a
//! time, only when both lists are empty.
//!
//! # Blocks freed by others
//! Per *heap* there is one inbox, not one for each span: the owner looks at one word whenever a span is used up and so
//! hears of all its spans, also of full ones, which are in no list. No protocol is needed to find a full span again.
//!
//! The sender collects blocks of one span in its *outbox*, up to 16, and pushes them as one message with one
//! compare-exchange. The owner splices the whole chain into the span's list by writing one block. So for a batch of 16
//! the owner has one cache miss where a list of single blocks costs it 16. What a thread holds back is bounded by
//! 32 batches of 8 KiB; its end, and [`trim`](super::Slab::trim), send all.
//!
//! # The end of a thread
//! Heaps outlive threads. At its end a thread sends its outbox, collects its inbox, gives up what is empty, and releases
//! the heap by a flag; the next thread that starts takes it with all that is left in it. A message for a heap that no
//! thread has is collected by the sender, who takes the heap for that moment. Why none is overlooked is told at
//! `heaps::post`. After a thread's end its remaining destructors, and exit handlers, borrow a heap for each operation.
//!
//! # What is kept
//! | where | at most | given back |
//! |---|---|---|
//! | free slices that hold memory | 32 MiB for the process, and 4 MiB for each heap | all of a heap's, when there are more; after 16 384 refills those not needed meanwhile; at the thread's end |
//! | empty segments of a heap | 1 | when another becomes empty; at the thread's end |
//! | empty current spans of a heap | one for each class up to 128 KiB | at the thread's end, by `trim` |
//! | empty segments of the process | 8, that is 32 MiB | after 16 384 refills of a heap in which nobody took one, by `trim` |
//! | mappings of freed huge blocks | 32 MiB, or what makes a quarter more, with what is live, than was live at once in the last one to two seconds | at the next huge free, or after 16 384 refills of a heap; by `trim`; when the kernel has no memory |
//! | outbox of a thread | 256 KiB | when a batch is full or in the way, at the thread's end |
//!
//! # Waiting
//! No allocation and no free waits for another thread. The only lock is the gate between unmapping a segment and walking
//! all of them for statistics; whoever unmaps only tries it.
//!
//! # What was taken from the literature
//! - Bonwick, *The Slab Allocator* (1994): spans of equal blocks with the metadata outside of the blocks.
//! - Leijen, Zorn, de Moura, *Mimalloc: Free List Sharding in Action* (2019): free lists for each page, one to allocate from
//!   and one to free to, pages owned by threads, the segment found by a mask, taking blocks into use a kernel page at a time.
//! - Liétar and others, *snmalloc: A Message Passing Allocator* (2019): remote frees as messages to the owning
//!   allocator, in batches; allocators that outlive threads and are handed on; frees counted down to the next event.
//! - Evans, *A Scalable Concurrent malloc(3) Implementation for FreeBSD* (2006), and jemalloc after it: four size
//!   classes in each doubling.
//! - Treiber (1986): the push of the inbox.
//!
//! # What is our own
//! - A message that is named by the last block of a ring, with its length in the four address bits that are zero: it
//!   needs two words in one block, so blocks of 16 B can carry one, and no assumption about upper address bits.
//! - Senders that adopt an idle heap for the time of one collection, so that no memory of ended threads waits for a new
//!   thread.
//! - A class that always follows from the layout: `realloc` stays in place only within a class. So `dealloc` with a
//!   layout needs no look at the span to tell huge blocks, and the bound on waste holds for blocks that shrank.
//!
//! # What was considered and left out
//! - *Thread caches of blocks in front of central lists* (tcmalloc): as fast, but a block may end in any thread's cache,
//!   and the central lists need locks.
//! - *The blocks freed last in an array in front of the lists*, the youngest given out first, so that a block replaced by one of
//!   its size stays where it is. With twelve for each class up to 1 KiB, reading 100 000 blocks after each was replaced at random
//!   took 0.55 of the time, but a pair of allocation and free took 2.5 times as long, 10 000 blocks freed in random order 1.7 times,
//!   and replacing one of 1 000 blocks 1.3 times (medians of 9 rounds in loops on one thread): every free must find its class, and
//!   each operation waits for the array's length.
//! - *A remote list for each span* (mimalloc): each remote free is an atomic operation on a line that the owner writes,
//!   and full spans need a second protocol.
//! - *Segments shared by heaps*: a partly used segment of one thread could serve another. Today memory that is free in
//!   one living heap's segments is lent to no other heap.
