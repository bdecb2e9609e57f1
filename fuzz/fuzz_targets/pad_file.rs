//! See the body.

#![no_main]

#[path = "../bodies/pad_file.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| body::run(bytes));
