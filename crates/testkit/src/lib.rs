//! Dev-only: makes device trees and overlays for tests and benchmarks, and finds the reference tools that
//! they are compared with.

pub mod peers;
