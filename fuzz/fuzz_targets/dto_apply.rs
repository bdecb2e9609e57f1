//! See the body.

#![no_main]

#[path = "../bodies/dto_apply.rs"]
mod body;
#[path = "../trees.rs"]
mod trees;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| body::run(bytes));
