//! Compressed files: never more than the limit comes out, and a decoder that met one has no trouble with the next.

use kbt_compress::{Decoder, FileCompression};

/// Bytes that may come out.
const LIMIT: usize = 1 << 20;

/// "kbt" in each format.
const GOOD: [(FileCompression, &[u8]); 2] = [
    (FileCompression::None, b"kbt"),
    (FileCompression::Zstd, &[0x28, 0xb5, 0x2f, 0xfd, 0x20, 3, 0x19, 0, 0, b'k', b'b', b't']),
];

/// One input.
pub fn run(bytes: &[u8]) {
    let mut decoder = Decoder::new();
    for format in FileCompression::ALL {
        match decoder.decode(format, bytes, LIMIT) {
            Ok(read) => assert!(read.len() <= LIMIT),
            Err(error) => assert!(error.offset <= bytes.len().max(LIMIT)),
        }
        for (format, stored) in GOOD {
            assert!(decoder.decode(format, stored, LIMIT).expect("a good file is read") == b"kbt");
        }
    }
}
