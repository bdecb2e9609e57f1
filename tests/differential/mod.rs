//! What the differential tests share: the programs that are compared, the work spread over two threads, the
//! list of reasoned skips.

// Each test binary uses its part.
#![allow(dead_code)]

pub mod engine;
pub mod files;
pub mod parallel;
pub mod skips;
pub mod warnings;
