//! The entry points, each a thin shell: pointers become slices, a workspace is entered, a safe function does the work, and
//! what it gives becomes a pointer or a code.

use core::ffi::{c_int, c_void};
use core::ptr;

use kbt_fdt::Blob;

use crate::apply::Options;
use crate::error::{Code, KbtError, Problem};
use crate::image::{self, Entry};

/// One overlay of [`kbt_apply_overlays`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KbtOverlay {
    /// The overlay; it needs no alignment.
    fdt: *const c_void,
    /// Bytes from there on that may be read.
    size: usize,
}

/// `ufdt_install_blob`: checks header and blocks of a tree and gives it back, or null.
///
/// # Safety
/// `blob` is null or points to `blob_size` readable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ufdt_install_blob(blob: *mut c_void, blob_size: usize) -> *mut c_void {
    // SAFETY: the caller's promise.
    let checked = unsafe { bytes(blob, blob_size) }.map(|bytes| Blob::parse(bytes).is_ok());
    if checked == Some(true) { blob } else { ptr::null_mut() }
}

/// `ufdt_apply_overlay`: the merged tree in a new buffer of `dto_malloc`, or null.
///
/// # Safety
/// Each pointer is null or points to as many readable bytes as its size says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ufdt_apply_overlay(
    main_fdt_header: *mut c_void,
    main_fdt_size: usize,
    overlay_fdt: *mut c_void,
    overlay_size: usize,
) -> *mut c_void {
    let overlay = KbtOverlay { fdt: overlay_fdt, size: overlay_size };
    // SAFETY: the caller's promise; `overlay` is one element, and null stands for no options and no error.
    unsafe {
        kbt_apply_overlays(
            main_fdt_header,
            main_fdt_size,
            &raw const overlay,
            1,
            ptr::null(),
            ptr::null_mut(),
        )
    }
}

/// `kbt_apply_overlays`: all overlays merged at once.
///
/// # Safety
/// `base` and each overlay are null or point to as many readable bytes as their sizes say, `overlays` to
/// `count` elements; `options` and `error` are null or point to one element each, `error` to one that may be
/// written and that nothing else here overlaps.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kbt_apply_overlays(
    base: *const c_void,
    base_size: usize,
    overlays: *const KbtOverlay,
    count: usize,
    options: *const Options,
    error: *mut KbtError,
) -> *mut c_void {
    // SAFETY: the caller's promise.
    let (base, overlays) = unsafe { (bytes(base, base_size), elements(overlays, count)) };
    // SAFETY: the caller's promise; null gives the defaults.
    let options = unsafe { options.as_ref() }.copied().unwrap_or_default();
    let merged = base.zip(overlays).ok_or_else(Problem::argument).and_then(|(base, overlays)| {
        let inputs = overlays.iter().map(|overlay| {
            // SAFETY: the caller's promise.
            unsafe { bytes(overlay.fdt, overlay.size) }
        });
        crate::apply::apply(base, inputs, &options)
    });
    // SAFETY: the caller's promise.
    unsafe { told(merged, error) }.map_or(ptr::null_mut(), |buffer| buffer.into_raw().cast())
}

/// `kbt_image_count`: how many entries a DTBO image has.
///
/// # Safety
/// `image` is null or points to `image_size` readable bytes; `count` and `error` are null or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kbt_image_count(
    image: *const c_void,
    image_size: usize,
    count: *mut u32,
    error: *mut KbtError,
) -> c_int {
    // SAFETY: the caller's promise.
    let image = unsafe { bytes(image, image_size) };
    let found = image.ok_or_else(Problem::argument).and_then(image::count);
    // SAFETY: the caller's promise.
    unsafe { stored(found, count, error) }
}

/// `kbt_image_find`: the first entry with this id, from entry `from` on.
///
/// # Safety
/// As [`kbt_image_count`], with `index` for `count`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kbt_image_find(
    image: *const c_void,
    image_size: usize,
    id: u32,
    from: u32,
    index: *mut u32,
    error: *mut KbtError,
) -> c_int {
    // SAFETY: the caller's promise.
    let image = unsafe { bytes(image, image_size) };
    let found = image.ok_or_else(Problem::argument).and_then(|image| image::find(image, id, from));
    // SAFETY: the caller's promise.
    unsafe { stored(found, index, error) }
}

/// `kbt_image_entry`: what the table says of an entry.
///
/// # Safety
/// As [`kbt_image_count`], with `entry` for `count`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kbt_image_entry(
    image: *const c_void,
    image_size: usize,
    index: u32,
    entry: *mut Entry,
    error: *mut KbtError,
) -> c_int {
    // SAFETY: the caller's promise.
    let image = unsafe { bytes(image, image_size) };
    let found = image.ok_or_else(Problem::argument).and_then(|image| image::entry(image, index));
    // SAFETY: the caller's promise.
    unsafe { stored(found, entry, error) }
}

/// `kbt_image_load`: the content of an entry, decompressed, in a new buffer of `dto_malloc`, or null.
///
/// # Safety
/// As [`kbt_image_count`], with `size` for `count`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kbt_image_load(
    image: *const c_void,
    image_size: usize,
    index: u32,
    max_size: usize,
    size: *mut usize,
    error: *mut KbtError,
) -> *mut c_void {
    // SAFETY: the caller's promise.
    let image = unsafe { bytes(image, image_size) };
    let loaded = image.ok_or_else(Problem::argument).and_then(|image| image::load(image, index, max_size));
    // SAFETY: the caller's promise.
    let loaded = unsafe { told(loaded, error) };
    if let Some(buffer) = &loaded
        && !size.is_null()
    {
        // SAFETY: the caller's promise, and it is not null.
        unsafe { size.write(buffer.len()) };
    }
    loaded.map_or(ptr::null_mut(), |buffer| buffer.into_raw().cast())
}

/// The bytes behind a pointer; none for null and for more than an object can have.
///
/// # Safety
/// `pointer` is null or points to `size` readable bytes that nobody writes for as long as the slice is used.
unsafe fn bytes<'a>(pointer: *const c_void, size: usize) -> Option<&'a [u8]> {
    // SAFETY: the caller's promise; bytes need no alignment.
    unsafe { elements(pointer.cast(), size) }
}

/// The elements behind a pointer; none for null where there is to be one.
///
/// # Safety
/// `pointer` is null or points to `count` readable elements that nobody writes for as long as the slice is used.
unsafe fn elements<'a, T>(pointer: *const T, count: usize) -> Option<&'a [T]> {
    if count == 0 {
        return Some(&[]);
    }
    let fits = count.checked_mul(size_of::<T>()).is_some_and(|size| isize::try_from(size).is_ok());
    // SAFETY: not null, as many elements as the caller promises, and within what an object may measure.
    (fits && !pointer.is_null() && pointer.is_aligned())
        .then(|| unsafe { core::slice::from_raw_parts(pointer, count) })
}

/// The result; where it is a problem, or where there is none, that is written to `error`.
///
/// # Safety
/// `error` is null or may be written.
unsafe fn told<T>(result: Result<T, Problem>, error: *mut KbtError) -> Option<T> {
    let (value, told) = match result {
        Ok(value) => (Some(value), KbtError::none()),
        Err(problem) => (None, problem),
    };
    if !error.is_null() {
        // SAFETY: the caller's promise, and it is not null.
        unsafe { error.write(told) };
    }
    value
}

/// Writes a result to `target` and gives its code.
///
/// # Safety
/// `target` and `error` are null or may be written.
unsafe fn stored<T>(result: Result<T, Problem>, target: *mut T, error: *mut KbtError) -> c_int {
    let code = result.as_ref().map_or_else(KbtError::code, |_| Code::Ok as u32);
    // SAFETY: the caller's promise.
    if let Some(value) = unsafe { told(result, error) }
        && !target.is_null()
    {
        // SAFETY: the caller's promise, and it is not null.
        unsafe { target.write(value) };
    }
    code.cast_signed()
}
