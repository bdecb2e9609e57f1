//! See the body.

#![no_main]

#[path = "../bodies/undo.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| body::run(bytes));
