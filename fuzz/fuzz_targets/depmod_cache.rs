//! See the body.

#![no_main]

#[path = "../bodies/depmod_cache.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| body::run(bytes));
