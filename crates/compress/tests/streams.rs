//! Round trips, limits, and streams that are cut, mutated or followed by something.

// A test that cannot go on ends in a panic, its helpers too.
#![allow(clippy::unwrap_used, clippy::panic)]

use kbt_compress::{Compression, Decompressed, Error, ErrorKind, compress, crc32, decompress};
use kbt_testkit::random::Random;

const FORMATS: [Compression; 3] = [Compression::Zlib, Compression::Gzip, Compression::Lz4];
const MIB: usize = 1 << 20;

/// Bytes that compress, like a device tree: words from a small choice between random ones.
fn sample(random: &mut Random, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 4);
    while bytes.len() < length {
        let word = if random.below(4) == 0 { random.cell() } else { 1 << random.below(8) };
        bytes.extend_from_slice(&word.to_be_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn samples() -> Vec<Vec<u8>> {
    let mut random = Random::new(1);
    let lengths = [0, 1, 2, 3, 100, 4095, 4096, 4097, 70_000, 5 * MIB];
    lengths.iter().map(|&length| sample(&mut random, length)).collect()
}

#[test]
fn round_trips() {
    for bytes in samples() {
        for format in Compression::ALL {
            let stored = compress(format, &bytes).unwrap();
            let whole = Decompressed { bytes: bytes.clone(), consumed: stored.len() };
            assert!(decompress(format, &stored, bytes.len()) == Ok(whole), "{format}, {} bytes", bytes.len());
            if format != Compression::None {
                assert_eq!(Compression::detect(&stored), format);
            }
        }
    }
}

#[test]
fn the_limit_is_exact() {
    for bytes in samples().iter().filter(|bytes| !bytes.is_empty()) {
        for format in Compression::ALL {
            let stored = compress(format, bytes).unwrap();
            let limit = bytes.len() - 1;
            let error = decompress(format, &stored, limit).unwrap_err();
            assert_eq!(error.kind, ErrorKind::TooLarge { limit }, "{format}, {} bytes", bytes.len());
        }
    }
}

#[test]
fn every_cut_is_an_error() {
    let bytes = sample(&mut Random::new(2), 3000);
    for format in FORMATS {
        let stored = compress(format, &bytes).unwrap();
        for length in 0..stored.len() {
            let error = decompress(format, &stored[..length], MIB).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Truncated, "{format} cut to {length}");
            assert!(error.offset <= length);
        }
    }
}

#[test]
fn a_cut_between_blocks_is_an_error() {
    // The LZ4 decoder below takes the end of its input for the end of the frame.
    let bytes = sample(&mut Random::new(3), 9 * MIB);
    let stored = compress(Compression::Lz4, &bytes).unwrap();
    let first = 7 + 4 + u32::from_le_bytes(stored[7..11].try_into().unwrap()) as usize;
    assert!(first < stored.len());
    let error = decompress(Compression::Lz4, &stored[..first], 64 * MIB).unwrap_err();
    assert_eq!(error, Error { kind: ErrorKind::Truncated, offset: first });
}

#[test]
fn what_follows_the_stream_is_told() {
    let bytes = sample(&mut Random::new(4), 500);
    for format in FORMATS {
        let stored = compress(format, &bytes).unwrap();
        let followed = [&stored[..], b"behind"].concat();
        let found = decompress(format, &followed, MIB).unwrap();
        assert_eq!((found.bytes == bytes, found.consumed), (true, stored.len()), "{format}");
    }
}

#[test]
fn second_members_and_frames() {
    let one = compress(Compression::Gzip, b"one").unwrap();
    let two = compress(Compression::Gzip, b"two").unwrap();
    let found = decompress(Compression::Gzip, &[&one[..], &two].concat(), 99).unwrap();
    assert_eq!(
        (&found.bytes[..], found.consumed),
        (&b"one"[..], one.len()),
        "Python's zlib stops at the first"
    );

    let one = compress(Compression::Lz4, b"one").unwrap();
    let skipped = [0x53, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9];
    let frames = [&one[..], &skipped, &one].concat();
    let found = decompress(Compression::Lz4, &frames, 6).unwrap();
    assert_eq!((&found.bytes[..], found.consumed), (&b"oneone"[..], frames.len()), "lz4 -d joins frames");
    assert_eq!(decompress(Compression::Lz4, &frames, 5).unwrap_err().kind, ErrorKind::TooLarge { limit: 5 });
}

#[test]
fn mutations_end_in_an_error_or_in_bytes() {
    let mut random = Random::new(5);
    for _ in 0..4000 {
        let format = FORMATS[random.below(3)];
        let length = random.below(400);
        let bytes = sample(&mut random, length);
        let mut stored = compress(format, &bytes).unwrap();
        for _ in 0..=random.below(3) {
            let at = random.below(stored.len());
            stored[at] ^= 1 << random.below(8);
        }
        // A checksum guards the content of each format; what is left are headers and bytes behind.
        match decompress(format, &stored, 1000) {
            Ok(found) => assert!(found.bytes.len() <= 1000 && found.consumed <= stored.len()),
            Err(error) => assert!(error.offset <= stored.len()),
        }
    }
}

#[test]
fn a_bomb_stops_at_the_limit() {
    let zeros = vec![0; 64 * MIB];
    for format in FORMATS {
        let bomb = compress(format, &zeros).unwrap();
        assert!(bomb.len() < MIB);
        assert_eq!(decompress(format, &bomb, MIB).unwrap_err().kind, ErrorKind::TooLarge { limit: MIB });
    }
}

#[test]
fn a_frame_that_lies_about_its_size_asks_for_nothing() {
    // FLG: version 1, independent, content size; BD: 4 MiB; 2^63 bytes of content; then no block.
    let mut frame = vec![0x04, 0x22, 0x4d, 0x18, 0x68, 0x70, 0, 0, 0, 0, 0, 0, 0, 0x80];
    frame.extend([0; 5]);
    assert!(decompress(Compression::Lz4, &frame, MIB).is_err());
}

#[test]
fn dialects_are_named() {
    let dictionary = [0x04, 0x22, 0x4d, 0x18, 0x61, 0x70, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    let error = decompress(Compression::Lz4, &dictionary, 9).unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Unsupported(_)), "{error}");
    // zlib with FDICT set: 78 20 + bits so that the check fits, then the dictionary's Adler-32.
    let error = decompress(Compression::Zlib, &[0x78, 0xbb, 0, 0, 0, 1, 3, 0], 9).unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Unsupported(_)), "{error}");
    let error = decompress(Compression::Zlib, b"no stream at all", 9).unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Corrupt(_)), "{error}");
}

#[test]
fn headers_are_those_of_python_and_of_lz4() {
    let hex = |format| -> String {
        compress(format, b"x").unwrap().iter().take(10).map(|byte| format!("{byte:02x}")).collect()
    };
    assert!(hex(Compression::Zlib).starts_with("789c"));
    assert_eq!(hex(Compression::Gzip), "1f8b0800000000000003");
    assert!(hex(Compression::Lz4).starts_with("04224d186470"));
}

#[test]
fn detection() {
    assert_eq!(Compression::detect(&[0xd0, 0x0d, 0xfe, 0xed]), Compression::None);
    assert_eq!(Compression::detect(&[]), Compression::None);
    assert_eq!(Compression::detect(&[0x78]), Compression::None);
    for format in Compression::ALL {
        assert_eq!(Compression::from_name(format.name()), Some(format));
    }
    assert_eq!(Compression::from_name("xz"), None);
}

#[test]
fn crc() {
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
}
