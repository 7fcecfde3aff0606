//! Values of an arena that are dropped with it.

use std::cell::Cell;
use std::ptr::NonNull;

/// A note that a value is to be dropped. Lies in the arena, in front of its value.
#[derive(Debug)]
struct Note {
    /// Drops the value of this note.
    ///
    /// # Safety
    /// To be called once, with the note of a value that was not dropped yet.
    drop: unsafe fn(NonNull<Note>),
    /// The note made before this one.
    earlier: Option<NonNull<Note>>,
}

/// A value with its note.
#[repr(C)]
pub(super) struct Noted<T> {
    note: Note,
    value: T,
}

/// The values to be dropped, the latest first.
#[derive(Debug)]
pub(super) struct Owned {
    latest: Cell<Option<NonNull<Note>>>,
}

impl Owned {
    pub(super) const fn new() -> Self {
        Self { latest: Cell::new(None) }
    }

    /// Writes `value` to `place` and notes that it is to be dropped.
    ///
    /// # Safety
    /// `place` is new memory for a `Noted<T>` that stays as it is until [`drop_all`](Self::drop_all).
    pub(super) unsafe fn add<T: Send + 'static>(&self, place: NonNull<Noted<T>>, value: T) -> NonNull<T> {
        /// # Safety
        /// As [`Note::drop`]; `note` is that of a `Noted<T>`.
        unsafe fn drop_noted<T>(note: NonNull<Note>) {
            // SAFETY: the note is the first field of a `Noted<T>` (`repr(C)`), and the pointer has the right to all of
            // it, as it was cast from the place. The caller promises that this is the first and only drop.
            unsafe { note.cast::<Noted<T>>().as_ptr().drop_in_place() };
        }
        let note = Note { drop: drop_noted::<T>, earlier: self.latest.get() };
        // SAFETY: the caller gives memory for it.
        unsafe { place.write(Noted { note, value }) };
        self.latest.set(Some(place.cast()));
        // SAFETY: a field of what was written just now.
        unsafe { NonNull::new_unchecked(&raw mut (*place.as_ptr()).value) }
    }

    /// Drops the values, the latest first. If one panics, the rest stays noted.
    pub(super) fn drop_all(&mut self) {
        while let Some(note) = self.latest.get() {
            // SAFETY: notes stay as they are until they are dropped here.
            let Note { drop, earlier } = unsafe { note.read() };
            self.latest.set(earlier);
            // SAFETY: it is off the list, so this is the one call; `add` made it for this note.
            unsafe { drop(note) };
        }
    }
}
