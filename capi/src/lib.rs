//! The C library for boot loaders: libufdt's two entry points and kbt's own, over `dto_malloc` and `dto_free`.
//!
//! `include/ufdt_overlay.h` is the interface, `entry.rs` has its functions. docs/capi.md says what a host must provide and what
//! it gets. The fuzzer's target `capi` is made of all these files but `stop.rs`.
//!
//! Limits: calls from several threads wait for each other; none may come from within `dto_malloc` or `dto_free`.

#![no_std]

extern crate alloc;

mod apply;
mod bound;
mod entry;
mod error;
mod host;
mod image;
mod inflate;
mod stop;
