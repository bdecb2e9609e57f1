//! The C library as a whole, its allocator included: every call gives what the crates give, changes no input, leaks nothing, takes
//! no more than two blocks of the host, and fails in order where the host has none.
//!
//! The library's own files are compiled in, but for the handler of panics. Its allocator is this program's: outside of a call
//! it hands everything on to the host's hooks below.

#![no_main]

extern crate alloc;

#[path = "../../capi/src/apply.rs"]
mod apply;
#[path = "../../capi/src/bound.rs"]
mod bound;
#[path = "../capi_call.rs"]
mod call;
#[path = "../../capi/src/entry.rs"]
mod entry;
#[path = "../../capi/src/error.rs"]
mod error;
#[path = "../../capi/src/host.rs"]
mod host;
#[path = "../../capi/src/image.rs"]
mod image;
#[path = "../../capi/src/inflate.rs"]
mod inflate;
#[path = "../trees.rs"]
mod trees;

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering::Relaxed};

use call::Call;
use error::KbtError;
use kbt_dtbo_image::DtTable;

unsafe extern "C" {
    fn malloc(size: usize) -> *mut c_void;
    fn free(pointer: *mut c_void);
}

/// Whether a call runs; blocks that it took, the one that it is not to have, and how many are out.
static CALLED: AtomicBool = AtomicBool::new(false);
static TAKEN: AtomicU32 = AtomicU32::new(0);
static FAIL_AT: AtomicU32 = AtomicU32::new(0);
static OUT: AtomicI64 = AtomicI64::new(0);

#[unsafe(no_mangle)]
extern "C" fn dto_malloc(size: usize) -> *mut c_void {
    if CALLED.load(Relaxed) {
        if TAKEN.fetch_add(1, Relaxed) + 1 == FAIL_AT.load(Relaxed) {
            return ptr::null_mut();
        }
        OUT.fetch_add(1, Relaxed);
    }
    // SAFETY: any size will do.
    unsafe { malloc(size) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn dto_free(pointer: *mut c_void) {
    if CALLED.load(Relaxed) {
        OUT.fetch_sub(1, Relaxed);
    }
    // SAFETY: it came from `dto_malloc`.
    unsafe { free(pointer) }
}

const OUT_OF_MEMORY: u32 = 2;

/// What a call gave: its value, its code, blocks that it took, and whether one was refused.
struct Answer<T> {
    value: T,
    code: u32,
    taken: u32,
    refused: bool,
}

/// Runs a call; `kept` says whether its value is a block of the host.
fn ask<T>(fail_at: u32, call: impl FnOnce(*mut KbtError) -> T, kept: impl FnOnce(&T) -> bool) -> Answer<T> {
    let mut error = MaybeUninit::<KbtError>::uninit();
    TAKEN.store(0, Relaxed);
    OUT.store(0, Relaxed);
    FAIL_AT.store(fail_at, Relaxed);
    CALLED.store(true, Relaxed);
    let value = call(error.as_mut_ptr());
    CALLED.store(false, Relaxed);
    let taken = TAKEN.load(Relaxed);
    assert_eq!(OUT.load(Relaxed), i64::from(kept(&value)), "a block leaks");
    // SAFETY: every call writes it.
    let code = unsafe { error.assume_init() }.code();
    let refused = fail_at != 0 && taken >= fail_at;
    assert!(code != OUT_OF_MEMORY || refused, "out of memory, and the host refused nothing");
    Answer { value, code, taken, refused }
}

/// The bytes of a block, which is given back.
fn block(pointer: *mut c_void, size: usize) -> Option<Vec<u8>> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: the call gave so many bytes.
    let bytes = unsafe { std::slice::from_raw_parts(pointer.cast::<u8>(), size) }.to_vec();
    // SAFETY: it is the host's, and nobody else's.
    unsafe { dto_free(pointer) };
    Some(bytes)
}

/// The bytes of a tree, which says itself how long it is.
fn tree(pointer: *mut c_void) -> Option<Vec<u8>> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: a tree has a header.
    let head = unsafe { std::slice::from_raw_parts(pointer.cast::<u8>(), 8) };
    let size = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
    block(pointer, size as usize)
}

/// `struct kbt_overlay`.
#[repr(C)]
struct Overlay {
    fdt: *const c_void,
    size: usize,
}

fn merge(flags: u32, padding: u32, trees: &[&[u8]], fail_at: u32) {
    let Some((base, overlays)) = trees.split_first() else { return };
    let before: Vec<Vec<u8>> = trees.iter().map(|tree| tree.to_vec()).collect();
    let list: Vec<Overlay> =
        overlays.iter().map(|it| Overlay { fdt: it.as_ptr().cast(), size: it.len() }).collect();
    let options = [padding, flags];
    let call = |error| {
        // SAFETY: all of it is as long as it is said to be; the header lays both structures out like this.
        unsafe {
            entry::kbt_apply_overlays(
                base.as_ptr().cast(),
                base.len(),
                list.as_ptr().cast(),
                list.len(),
                options.as_ptr().cast(),
                error,
            )
        }
    };
    let answer = ask(fail_at, call, |pointer| !pointer.is_null());
    assert!(answer.taken <= 2, "{} blocks", answer.taken);
    let result = tree(answer.value);
    assert!(trees.iter().zip(&before).all(|(tree, before)| tree == before), "an input was changed");
    let expected = kbt_dto::Options {
        padding,
        concat_bootargs: flags & 1 != 0,
        loose_names: flags & 2 != 0,
        forbid_root: flags & 4 != 0,
        labels_only: flags & 8 != 0,
    };
    let expected = kbt_dto::apply(base, overlays, &expected);
    match (expected, answer.refused) {
        (_, true) => assert!(answer.code != 0 && result.is_none(), "a block was refused"),
        (Ok(merged), false) => assert!(answer.code == 0 && result == Some(merged.bytes), "another tree"),
        (Err(_), false) => assert!(answer.code != 0 && result.is_none(), "it was to be refused"),
    }
    // SAFETY: as above.
    let installed = unsafe { entry::ufdt_install_blob(base.as_ptr().cast_mut().cast(), base.len()) };
    assert_eq!(!installed.is_null(), kbt_fdt::Blob::parse(base).is_ok());
}

fn image_calls(index: u32, id: u32, max_size: usize, image: &[u8], fail_at: u32) {
    let (start, size) = (image.as_ptr().cast::<c_void>(), image.len());
    let before = image.to_vec();
    let table = DtTable::parse(image);
    let entries = table.as_ref().map(DtTable::entries).unwrap_or_default();
    let never = |_: &i32| false;

    let mut count = u32::MAX;
    // SAFETY: the image is that long, and the others are places to write to; here and below.
    let counted =
        ask(fail_at, |error| unsafe { entry::kbt_image_count(start, size, &raw mut count, error) }, never);
    assert_eq!(counted.value == 0, table.is_ok() && !counted.refused);
    assert!(counted.value != 0 || count as usize == entries.len());

    let mut place = u32::MAX;
    let find = |error| unsafe { entry::kbt_image_find(start, size, id, index, &raw mut place, error) };
    let found = ask(fail_at, find, never);
    let expected = (0..).zip(entries).skip(index as usize).find(|(_, entry)| entry.id == id);
    assert_eq!(found.value == 0, expected.is_some() && !found.refused);
    assert!(found.value != 0 || Some(place) == expected.map(|(place, _)| place));

    let mut told = MaybeUninit::uninit();
    let look = |error| unsafe { entry::kbt_image_entry(start, size, index, told.as_mut_ptr(), error) };
    let looked = ask(fail_at, look, never);
    assert_eq!(looked.value == 0, entries.get(index as usize).is_some() && !looked.refused);

    let mut length = 0;
    let load = |error| unsafe { entry::kbt_image_load(start, size, index, max_size, &raw mut length, error) };
    let loaded = ask(fail_at, load, |pointer| !pointer.is_null());
    let result = block(loaded.value, length);
    assert_eq!(loaded.code == 0, result.is_some());
    if !loaded.refused {
        let stored = table.as_ref().ok().and_then(|table| table.stored(index as usize));
        let flags = entries.get(index as usize).map_or(0, |entry| entry.flags & 15);
        let expected = stored.map_or(Expected::Nothing, |stored| content(stored, flags, max_size));
        match expected {
            // miniz_oxide does not look at the sum of a zlib stream where it is built for a fuzzer.
            Expected::WrongSum => {}
            Expected::Nothing => assert!(result.is_none(), "it was to be refused"),
            Expected::Bytes(bytes) => assert!(result == Some(bytes), "another content"),
        }
    }
    assert!(image == before, "the image was changed");
}

enum Expected {
    Nothing,
    WrongSum,
    Bytes(Vec<u8>),
}

/// What kbt's own decoders make of an entry.
fn content(stored: &[u8], flags: u32, max_size: usize) -> Expected {
    use kbt_compress::{Compression, decompress};
    let format = if stored.starts_with(&[0x1f, 0x8b]) { Compression::Gzip } else { Compression::Zlib };
    match flags {
        0 if stored.len() <= max_size => Expected::Bytes(stored.to_vec()),
        1 | 2 => match decompress(format, stored, max_size) {
            Ok(stream) => Expected::Bytes(stream.bytes),
            Err(error) if format == Compression::Zlib && error.to_string().contains("data check") => {
                Expected::WrongSum
            }
            Err(_) => Expected::Nothing,
        },
        _ => Expected::Nothing,
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| match call::parse(bytes) {
    Some((Call::Merge { flags, padding, trees }, fail_at)) => merge(flags, padding, &trees, fail_at),
    Some((Call::Image { index, id, max_size, image }, fail_at)) => {
        image_calls(index, id, max_size, image, fail_at);
    }
    None => {}
});
