//! Dev-only: makes device trees and overlays for tests and benchmarks.
