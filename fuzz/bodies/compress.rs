//! Compressed streams: never more than the limit comes out, and what comes out survives a round trip.

use kbt_compress::{Compression, compress, decompress};

/// Bytes that may come out.
const LIMIT: usize = 1 << 20;

/// One input.
pub fn run(bytes: &[u8]) {
    for format in Compression::ALL {
        match decompress(format, bytes, LIMIT) {
            Ok(read) => {
                assert!(read.bytes.len() <= LIMIT && read.consumed <= bytes.len());
                let again = compress(format, &read.bytes).expect("compressing does not fail");
                let back = decompress(format, &again, LIMIT).expect("an own stream is read");
                assert!(back.bytes == read.bytes && back.consumed == again.len());
            }
            Err(error) => assert!(error.offset <= bytes.len().max(LIMIT)),
        }
    }
}
