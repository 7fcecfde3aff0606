//! Looks at every free block of a pool, for tests.

use super::Pool;

impl Pool {
    /// Checks that each block is in exactly one place: in use, in one magazine, in the free list, or never used. Takes
    /// time and memory in proportion to the capacity; `&mut` shows that no thread is in the middle of an operation.
    ///
    /// # Panics
    /// When a block is in two places, or one was lost.
    pub fn check_invariants(&mut self) {
        let fresh = self.depot.fresh() as usize;
        let mut places = vec![0_u8; fresh];
        let mut free = 0;
        self.depot.for_each_freed(&self.storage, |index| {
            places[index as usize] += 1;
            assert!(places[index as usize] == 1, "block {index} is twice in the free list");
            free += 1;
        });
        for magazine in self.storage.magazines() {
            assert!(magazine.len() as usize <= self.magazine_length);
            magazine.for_each(|block| {
                let blocks = self.storage.blocks();
                assert!(blocks.contains(block) && blocks.is_start(block));
                let index = self.storage.index(block) as usize;
                places[index] += 1;
                assert!(places[index] == 1, "block {index} is in a magazine and in another place");
                free += 1;
            });
        }
        assert_eq!(
            self.in_use() + free,
            fresh,
            "blocks in use and free ones are all that were ever handed out"
        );
    }
}
