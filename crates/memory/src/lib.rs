//! What happens where the system has no more memory (`ulimit -v`, a cgroup without overcommit): one sentence on standard
//! error and the exit code 1, where Rust's own answer is SIGABRT and a core.
//!
//! A program takes [`Allocator`] as its `#[global_allocator]`:
//!
//! ```
//! #[global_allocator]
//! static ALLOCATOR: kbt_memory::Allocator = kbt_memory::Allocator;
//! # fn main() {
//! // A size that an input states: the caller asks, and says what it was for.
//! assert!(Vec::<u8>::new().try_reserve_exact(1 << 60).is_err());
//! # }
//! ```
//!
//! Small requests that fail end the program at once: nobody can go on without them, and a message that names the input
//! would need memory itself. A request of [`LARGE`] bytes or more is somebody's input that states a size, so its failure goes
//! back to the caller, who has asked by `try_reserve` and says which input it was. Where the caller did not ask so, std says
//! how many bytes it wanted and aborts, and the abort becomes the same exit code.
//!
//! To end at once leaves what SIGKILL leaves, for which the writers of files and the holders of tokens are made anyway.
//!
//! Beside that, [`prefer_large_pages`]: what a command works in may lie on pages that cost a five-hundredth of the faults.

use std::alloc::{GlobalAlloc, Layout, System};
use std::mem::MaybeUninit;
use std::ptr;

/// From this size on, in bytes, a request may fail and the program go on.
pub const LARGE: usize = 16 << 20;

/// The exit code of a program that has no memory left: that of any other failure.
const FAILURE: i32 = 1;

/// The system's allocator, which ends the program where a small request fails.
#[derive(Debug, Clone, Copy)]
pub struct Allocator;

// SAFETY: each method hands its arguments to the system's allocator and gives back what that gives, so its contract is the
// system's. Where it does not return, it has no result that could be wrong.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises about `layout` are those that the system wants.
        or_end(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        or_end(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above; `pointer` is of this allocator, and so of the system's.
        or_end(unsafe { System.realloc(pointer, layout, size) }, size)
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Asks the system for large pages in a block of memory that is not yet touched (transparent huge pages, Linux' madvise(2)): one
/// fault for two megabytes, where there were 512. It stays so for whoever gets the memory next, if the block is given
/// back to an allocator that keeps it. Where the system does not know them, or lets nobody have them, nothing happens.
#[allow(unsafe_code)]
pub fn prefer_large_pages(block: &mut [MaybeUninit<u8>]) {
    // SAFETY: the call takes a number and gives one.
    let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(0);
    if !page.is_power_of_two() {
        return;
    }
    let skip = block.as_ptr().align_offset(page).min(block.len());
    let (_, whole) = block.split_at_mut(skip);
    let size = whole.len() & !(page - 1);
    // SAFETY: all pages of the range lie in `block`, and the advice does not change what is in them.
    unsafe { libc::madvise(whole.as_mut_ptr().cast(), size, libc::MADV_HUGEPAGE) };
}

#[inline]
fn or_end(pointer: *mut u8, size: usize) -> *mut u8 {
    if pointer.is_null() {
        failed(size);
    }
    pointer
}

/// Ends the program, or sees to what std does if the caller cannot go on.
#[cold]
fn failed(size: usize) {
    if size >= LARGE {
        end_aborts_with_an_exit_code();
        return;
    }
    say(b"kbt: error: the system has no more memory for this run (see ulimit -v, or the cgroup's limit)\n");
    end();
}

/// Writes without a buffer, since there is no memory for one. A message that cannot be written is lost.
#[allow(unsafe_code)]
fn say(text: &[u8]) {
    // SAFETY: the call reads as many bytes as `text` has.
    unsafe { libc::write(libc::STDERR_FILENO, text.as_ptr().cast(), text.len()) };
}

/// Ends the program without what runs at its end, which may want memory.
#[allow(unsafe_code)]
fn end() -> ! {
    // SAFETY: the call takes a number and does not return.
    unsafe { libc::_exit(FAILURE) }
}

/// std tells of a request that nobody can do without, and aborts: from now on with an exit code. Any other abort after
/// this would have it, too; none is known.
#[allow(unsafe_code)]
fn end_aborts_with_an_exit_code() {
    let handler: extern "C" fn(libc::c_int) = on_abort;
    // SAFETY: all bytes 0 are a valid `sigaction`: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = handler as usize;
    // SAFETY: `action` is read, a null pointer says that the old one is not wanted, and the handler does one system call.
    unsafe { libc::sigaction(libc::SIGABRT, &raw const action, ptr::null_mut()) };
}

extern "C" fn on_abort(_signal: libc::c_int) {
    end();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(unsafe_code)]
    fn a_large_request_that_fails_goes_back_to_the_caller() {
        let layout = Layout::from_size_align(isize::MAX as usize - 4096, 8).unwrap();
        // SAFETY: the size is not 0.
        assert!(std::hint::black_box(unsafe { Allocator.alloc(layout) }).is_null());
    }

    #[test]
    #[allow(unsafe_code)]
    fn what_it_gives_is_memory() {
        let layout = Layout::array::<u64>(2).unwrap();
        // SAFETY: the sizes are not 0, and each pointer is used with the layout that it has.
        unsafe {
            let pointer = Allocator.alloc_zeroed(layout);
            assert_eq!(pointer.cast::<u64>().read(), 0);
            let pointer = Allocator.realloc(pointer, layout, 64);
            assert_eq!(pointer.cast::<u64>().read(), 0);
            Allocator.dealloc(pointer, Layout::from_size_align(64, 8).unwrap());
        }
    }
    #[test]
    fn large_pages_are_asked_for_within_the_block() {
        // `hg` among the flags of a range of memory says that it was asked for.
        let is_asked = |address: usize| {
            let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
            let mut within = false;
            for line in maps.lines() {
                let range = line.split_once(' ').and_then(|(range, _)| range.split_once('-'));
                let bounds = range.and_then(|(start, end)| {
                    let bound = |digits| usize::from_str_radix(digits, 16).ok();
                    Some(bound(start)?..bound(end)?)
                });
                within = bounds.map_or(within, |range| range.contains(&address));
                if within && line.starts_with("VmFlags:") {
                    return line.split(' ').any(|flag| flag == "hg");
                }
            }
            false
        };
        let mut block = Vec::<u8>::with_capacity(LARGE);
        let start = block.as_ptr().addr();
        let (front, rest) = block.spare_capacity_mut().split_at_mut(LARGE / 2);
        prefer_large_pages(&mut rest[1..]);
        prefer_large_pages(&mut front[..100]);
        assert!(!is_asked(start + LARGE / 4));
        assert!(!is_asked(start + LARGE / 2));
        // A kernel without them says so by not having the directory.
        let has_them = std::path::Path::new("/sys/kernel/mm/transparent_hugepage").is_dir();
        assert_eq!(is_asked(start + LARGE / 4 * 3), has_them);
    }
}
