//! What the `kbt dto` commands share.

pub mod failure;
