//! Memory: everything that a call needs comes from the host's two hooks, and is gone when the call returns.
//!
//! Idea: the crates below allocate as if memory never ran out, and a boot loader's does. So a call enters a
//! [`Workspace`]: one block of the host, of a size that [`bound`](crate::bound) has counted to be enough, from which
//! all allocations are cut one behind the other. Where the host has no such block, the call fails before it has begun.
//! What does not fit (the merged tree, which is asked for in a way that may fail) is a block of the host by itself.
//!
//! Limits: a block that is given back is reused only where it was the last one cut. One workspace at a time:
//! calls from several threads wait for each other.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, Ordering};

use crate::error::{KbtError, Problem};

unsafe extern "C" {
    /// The host's malloc: `size` bytes aligned to [`ALIGNMENT`], or null.
    fn dto_malloc(size: usize) -> *mut c_void;
    /// The host's free; what it gets came from `dto_malloc` and is not null.
    fn dto_free(pointer: *mut c_void);
}

/// What the header asks the host to align its blocks to, in bytes. No type in here needs more.
const ALIGNMENT: usize = 8;

/// Where the next piece starts in a block of `size` bytes, `used` of which are cut off; none where it does not fit.
const fn place(layout: Layout, used: usize, size: usize) -> Option<usize> {
    if layout.align() > ALIGNMENT {
        return None;
    }
    match used.checked_next_multiple_of(layout.align()) {
        Some(start) if start <= size && layout.size() <= size - start => Some(start),
        _ => None,
    }
}

const _: () = {
    let (Ok(byte), Ok(cell)) = (Layout::from_size_align(1, 1), Layout::from_size_align(8, ALIGNMENT)) else {
        panic!("layouts")
    };
    assert!(matches!(place(byte, 3, 4), Some(3)) && place(byte, 4, 4).is_none());
    assert!(matches!(place(cell, 3, 16), Some(8)) && place(cell, 9, 16).is_none());
    // No offset in the block makes up for what the block itself is not aligned to.
    let Ok(wide) = Layout::from_size_align(16, 2 * ALIGNMENT) else { panic!("a layout") };
    assert!(place(wide, 0, 64).is_none());
};

/// The block from which the running call cuts.
struct Cuttings {
    start: *mut u8,
    size: usize,
    /// Bytes from the start that are cut off.
    used: usize,
    /// Whether the host had no memory for something.
    refused: bool,
}

impl Cuttings {
    /// Cuts a piece; none where it does not fit.
    fn cut(&mut self, layout: Layout) -> Option<NonNull<u8>> {
        let start = place(layout, self.used, self.size)?;
        self.used = start + layout.size();
        // SAFETY: the piece ends within the block, so the place lies in the block or at its end. It is as aligned as asked
        // for: the block is aligned to at least that, and `start` is a multiple of it.
        NonNull::new(unsafe { self.start.add(start) })
    }

    /// Where in the block a piece starts, if it is of the block.
    fn offset_of(&self, piece: *mut u8) -> Option<usize> {
        piece.addr().checked_sub(self.start.addr()).filter(|&offset| offset < self.size)
    }

    /// Makes the last piece longer or shorter; false where it is not the last, or where there is no room.
    fn resize_last(&mut self, piece: *mut u8, old: usize, new: usize) -> bool {
        let Some(offset) = self.offset_of(piece).filter(|offset| offset + old == self.used) else {
            return false;
        };
        match offset.checked_add(new).filter(|&end| end <= self.size) {
            Some(end) => self.used = end,
            None => return false,
        }
        true
    }

    /// A block of the host by itself.
    fn host_block(&mut self, layout: Layout) -> *mut u8 {
        if layout.align() > ALIGNMENT {
            return ptr::null_mut();
        }
        // SAFETY: the hook takes any size.
        let block = unsafe { dto_malloc(layout.size()) };
        self.refused |= block.is_null();
        block.cast()
    }
}

/// The allocator of this library.
struct Host {
    busy: AtomicBool,
    cuttings: UnsafeCell<Cuttings>,
}

// SAFETY: the cuttings are touched only between `enter` and the workspace's end, and `busy` lets one thread there.
unsafe impl Sync for Host {}

#[global_allocator]
static HOST: Host = Host {
    busy: AtomicBool::new(false),
    cuttings: UnsafeCell::new(Cuttings { start: ptr::null_mut(), size: 0, used: 0, refused: false }),
};

impl Host {
    /// The cuttings, for as long as one small operation.
    ///
    /// # Safety
    /// The caller is the thread that entered the workspace, and has no other such reference.
    #[expect(clippy::mut_from_ref, reason = "exclusive by `busy`, as its safety section says")]
    unsafe fn cuttings(&self) -> &mut Cuttings {
        // SAFETY: the caller's promise.
        unsafe { &mut *self.cuttings.get() }
    }
}

// SAFETY: pieces lie apart in one block, or are blocks of the host; both are as large and as aligned as asked for.
unsafe impl GlobalAlloc for Host {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: only code inside a workspace allocates, and the reference ends with this function.
        let cuttings = unsafe { self.cuttings() };
        match cuttings.cut(layout) {
            Some(piece) => piece.as_ptr(),
            None => cuttings.host_block(layout),
        }
    }

    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        // SAFETY: as in `alloc`.
        let cuttings = unsafe { self.cuttings() };
        if cuttings.offset_of(piece).is_some() {
            cuttings.resize_last(piece, layout.size(), 0);
        } else {
            // SAFETY: what is not of the block came from `host_block`.
            unsafe { dto_free(piece.cast()) };
        }
    }

    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: as in `alloc`.
        if unsafe { self.cuttings() }.resize_last(piece, layout.size(), new_size) {
            return piece;
        }
        // SAFETY: the caller of `realloc` promises that this is a layout.
        let wanted = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        // SAFETY: as `alloc`'s caller; the size is not zero.
        let new = unsafe { self.alloc(wanted) };
        if !new.is_null() {
            // SAFETY: both are at least that long, and a new piece overlaps no old one.
            unsafe { ptr::copy_nonoverlapping(piece, new, layout.size().min(new_size)) };
            // SAFETY: the caller's promise.
            unsafe { self.dealloc(piece, layout) };
        }
        new
    }
}

/// The memory of one call. Whatever is allocated belongs to the innermost scope that it lives in, and all of it
/// has to be dropped before the workspace.
pub struct Workspace(());

impl Workspace {
    /// Waits for the call of another thread to end and takes a block of `size` bytes from the host.
    ///
    /// # Errors
    /// Where the host has no such block.
    pub fn enter(size: usize) -> Result<Self, Problem> {
        while HOST.busy.swap(true, Ordering::Acquire) {
            core::hint::spin_loop();
        }
        // From here on its end gives back what was taken.
        let workspace = Self(());
        // SAFETY: `busy` is this thread's.
        let cuttings = unsafe { HOST.cuttings() };
        *cuttings = Cuttings { start: ptr::null_mut(), size: 0, used: 0, refused: false };
        let layout =
            Layout::from_size_align(size.max(ALIGNMENT), ALIGNMENT).map_err(|_| KbtError::memory())?;
        let start = cuttings.host_block(layout);
        if start.is_null() {
            return Err(KbtError::memory());
        }
        cuttings.start = start;
        cuttings.size = layout.size();
        Ok(workspace)
    }

    /// Whether the host had no memory for something that was allowed to fail.
    pub fn was_refused(&self) -> bool {
        // SAFETY: this thread is in the workspace, and the reference ends here.
        unsafe { HOST.cuttings() }.refused
    }

    /// Makes bytes a buffer of the host: without a copy where they are a block by themselves.
    ///
    /// # Errors
    /// Where the host has no memory for the copy.
    pub fn hand_over(&self, bytes: alloc::vec::Vec<u8>) -> Result<Buffer, Problem> {
        let mut bytes = core::mem::ManuallyDrop::new(bytes);
        let len = bytes.len();
        // SAFETY: as in `was_refused`.
        let is_piece = unsafe { HOST.cuttings() }.offset_of(bytes.as_mut_ptr()).is_some();
        if !is_piece && bytes.capacity() > 0 {
            // It was the host's from the start; it is not dropped, so it is given away once.
            return Ok(Buffer { start: bytes.as_mut_ptr(), len });
        }
        let mut buffer = Buffer::new(len)?;
        buffer.bytes_mut().copy_from_slice(&bytes);
        Ok(buffer)
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        // SAFETY: this thread is in the workspace, and the reference ends before `busy` does.
        let cuttings = unsafe { HOST.cuttings() };
        let start = core::mem::replace(&mut cuttings.start, ptr::null_mut());
        cuttings.size = 0;
        if !start.is_null() {
            // SAFETY: it came from `dto_malloc`, and everything that was cut from it is dropped.
            unsafe { dto_free(start.cast()) };
        }
        HOST.busy.store(false, Ordering::Release);
    }
}

/// A buffer of the host, to be given to the caller.
pub struct Buffer {
    start: *mut u8,
    len: usize,
}

impl Buffer {
    /// A buffer of `len` zero bytes.
    ///
    /// # Errors
    /// Where the host has no memory for it.
    pub fn new(len: usize) -> Result<Self, Problem> {
        // SAFETY: the hook takes any size; an empty entry has a buffer, too.
        let start: *mut u8 = unsafe { dto_malloc(len.max(1)) }.cast();
        if start.is_null() {
            return Err(KbtError::memory());
        }
        // SAFETY: the block is that long.
        unsafe { start.write_bytes(0, len) };
        Ok(Self { start, len })
    }

    /// How many bytes it has.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Its bytes.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: the block is that long, initialised, and nobody else's until `into_raw`.
        unsafe { core::slice::from_raw_parts_mut(self.start, self.len) }
    }

    /// The pointer, for the caller to keep and to give to `dto_free`.
    pub fn into_raw(self) -> *mut u8 {
        core::mem::ManuallyDrop::new(self).start
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: it came from `dto_malloc`, and `into_raw` did not give it away.
        unsafe { dto_free(self.start.cast()) };
    }
}
