//! The Android DTBO partition image: table, pack, unpack, mkdtboimg configuration.
