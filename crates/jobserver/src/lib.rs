//! The POSIX jobserver of GNU make, as a client and as the one who makes the pool.
//!
//! A pool is a pipe or a FIFO that holds one byte for each job that may run *beside* the one that a process
//! runs anyway: `make -j8` puts seven bytes in, and whoever it starts owns an eighth, implicit token that is
//! never written anywhere. A byte read is a job more; the same byte is written back when that job is done.
//! Source: "POSIX Jobserver Interaction" in the manual of GNU make.
//!
//! - [`MakeFlags`] reads where the pool is out of the variable `MAKEFLAGS`; pure.
//! - [`Client`] opens what it was handed, after it looked whether that is a pool at all.
//! - [`Token`] is one byte; it goes back when the value ends, on every way out.
//! - [`Claim`] takes all that is free at once, as the kernel's `jobserver-exec` does.
//! - [`Escrow`] has tokens lie where a second process can give them back.
//! - [`Server`] makes a pool for programs that have no make above them.
//!
//! Nothing here changes the flags of an inherited descriptor, since those are shared with make itself: the
//! pool is opened anew through `/proc/self/fd`, which also keeps this crate free of `unsafe`.
//!
//! ```
//! use kbt_jobserver::{Auth, Jobs, MakeFlags};
//!
//! let flags = MakeFlags::parse(b"k -j8 --jobserver-auth=fifo:/tmp/GMfifo17 -- CC=gcc");
//! assert_eq!(flags.jobs, Some(Jobs::Count(8)));
//! assert_eq!(flags.auth, Some(Auth::Fifo(b"/tmp/GMfifo17".to_vec())));
//! ```

mod claim;
mod client;
mod environment;
mod error;
mod escrow;
mod makeflags;
mod open;
mod server;
mod token;

pub use claim::Claim;
pub use client::{Client, FileId};
pub use environment::{Jobserver, makeflags};
pub use error::Unusable;
pub use escrow::Escrow;
pub use makeflags::{Auth, Jobs, MakeFlags};
pub use server::{Server, Style};
pub use token::Token;
