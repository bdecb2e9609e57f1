//! Whole files: every format, mixed, through one decoder.

#![allow(clippy::unwrap_used, reason = "the helpers of a test panic as its body does")]

use kbt_compress::{Compression, Decoder, ErrorKind, FileCompression, compress};
use kbt_testkit::random::Random;
use liblzma::stream::{Action, Check, Stream};
use zstd_safe::CParameter;

/// Neither random nor constant, so that codecs have something to find.
fn content(size: usize) -> Vec<u8> {
    let mut random = Random::new(size as u64 + 1);
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        let word = random.below(64).to_le_bytes();
        bytes.extend_from_slice(&word[..2]);
    }
    bytes.truncate(size);
    bytes
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut stream = Stream::new_easy_encoder(1, Check::Crc32).unwrap();
    let mut out = Vec::with_capacity(bytes.len() + 4096);
    stream.process_vec(bytes, &mut out, Action::Finish).unwrap();
    out
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(zstd_safe::compress_bound(bytes.len()));
    zstd_safe::compress(&mut out, bytes, 3).unwrap();
    out
}

/// As from a pipe: the header does not state the size.
fn zstd_of_unknown_size(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(zstd_safe::compress_bound(bytes.len()));
    let mut context = zstd_safe::CCtx::create();
    context.set_parameter(CParameter::ContentSizeFlag(false)).unwrap();
    context.compress2(&mut out, bytes).unwrap();
    assert_eq!(zstd_safe::get_frame_content_size(&out).unwrap(), None);
    out
}

fn encoded(format: FileCompression, bytes: &[u8]) -> Vec<u8> {
    match format {
        FileCompression::None => bytes.to_vec(),
        FileCompression::Gzip => compress(Compression::Gzip, bytes).unwrap(),
        FileCompression::Xz => xz(bytes),
        FileCompression::Zstd => zstd(bytes),
    }
}

const PACKED: [FileCompression; 3] = [FileCompression::Gzip, FileCompression::Xz, FileCompression::Zstd];

#[test]
fn one_decoder_reads_all_formats_in_turn() {
    let mut decoder = Decoder::new();
    for size in [0, 1, 100, 3_000_000, 70_000, 9_000_000, 65_536, 5] {
        let bytes = content(size);
        for format in FileCompression::ALL {
            let stored = encoded(format, &bytes);
            assert_eq!(FileCompression::detect(&stored), format, "{size} bytes");
            assert!(decoder.decode(format, &stored, size).unwrap() == bytes, "{format}, {size} bytes");
        }
        let piped = zstd_of_unknown_size(&bytes);
        assert!(decoder.decode(FileCompression::Zstd, &piped, size).unwrap() == bytes, "{size} bytes");
    }
}

#[test]
fn every_member_counts() {
    let mut decoder = Decoder::new();
    let (a, b) = (content(1000), content(2000));
    for format in PACKED {
        for pair in [[&a, &b], [&b, &a], [&a, &a]] {
            let stored = [encoded(format, pair[0]), encoded(format, pair[1])].concat();
            let both = pair.map(Vec::as_slice).concat();
            assert!(decoder.decode(format, &stored, 4000).unwrap() == both, "{format}");
        }
    }
    let mixed = [zstd(&a), zstd_of_unknown_size(&b)].concat();
    assert_eq!(decoder.decode(FileCompression::Zstd, &mixed, 3000).unwrap(), [&a[..], &b].concat());
}

#[test]
fn what_lies_between_and_behind() {
    let mut decoder = Decoder::new();
    let bytes = content(1000);
    let skippable = [0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
    let stored = [&skippable[..], &zstd(&bytes), &skippable].concat();
    assert_eq!(decoder.decode(FileCompression::Zstd, &stored, 1000).unwrap(), bytes);
    let stored = [&xz(&bytes)[..], &[0; 8]].concat();
    assert_eq!(decoder.decode(FileCompression::Xz, &stored, 1000).unwrap(), bytes);
    let gzip = encoded(FileCompression::Gzip, &bytes);
    for tail in [&[0; 512][..], b"garbage"] {
        let stored = [&gzip[..], tail].concat();
        assert_eq!(decoder.decode(FileCompression::Gzip, &stored, 1000).unwrap(), bytes);
        for format in [FileCompression::Xz, FileCompression::Zstd] {
            let stored = [&encoded(format, &bytes)[..], b"garbage"].concat();
            assert!(decoder.decode(format, &stored, 1000).is_err(), "{format}");
        }
    }
}

#[test]
fn no_byte_past_the_limit() {
    let mut decoder = Decoder::new();
    let bytes = content(200_000);
    let mut stored: Vec<_> = FileCompression::ALL.map(|format| (format, encoded(format, &bytes))).into();
    stored.push((FileCompression::Zstd, zstd_of_unknown_size(&bytes)));
    for (format, stored) in &stored {
        for limit in [0, 1, 1000, 65_536, 199_999] {
            let error = decoder.decode(*format, stored, limit).unwrap_err();
            assert_eq!(error.kind, ErrorKind::TooLarge { limit }, "{format}");
            assert!(error.offset <= stored.len());
        }
        decoder.decode(*format, stored, 200_000).unwrap();
    }
}

/// 256 MiB of zeros in some kilobytes: refused before they are there.
#[test]
fn a_bomb_is_refused() {
    let mut decoder = Decoder::new();
    let zeros = vec![0; 256 << 20];
    for format in [FileCompression::Gzip, FileCompression::Zstd] {
        let bomb = encoded(format, &zeros);
        let error = decoder.decode(format, &bomb, 16 << 20).unwrap_err();
        assert_eq!(error.kind, ErrorKind::TooLarge { limit: 16 << 20 }, "{format}");
    }
}

/// A header of a few bytes must not make room for what it claims.
#[test]
fn a_size_that_cannot_be_is_refused() {
    // A frame of one segment whose stated size is 2^62 bytes, then an empty last block.
    let frame = [&[0x28, 0xb5, 0x2f, 0xfd, 0xe0][..], &(1u64 << 62).to_le_bytes(), &[1, 0, 0]].concat();
    let error = Decoder::new().decode(FileCompression::Zstd, &frame, usize::MAX).unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Corrupt(_)), "{error:?}");
}

#[test]
fn a_file_that_is_cut_off_is_an_error_at_its_end() {
    let mut decoder = Decoder::new();
    let bytes = content(20_000);
    for format in PACKED {
        let stored = encoded(format, &bytes);
        for length in 0..stored.len() {
            let result = decoder.decode(format, &stored[..length], 20_000);
            // A file of no frames is what zstd calls empty.
            if format == FileCompression::Zstd && length == 0 {
                assert_eq!(result, Ok(&[][..]));
                continue;
            }
            let error = result.unwrap_err();
            assert!(error.offset <= length, "{format}, {length}: {error:?}");
            if length > 20 {
                assert_eq!(error.kind, ErrorKind::Truncated, "{format}, {length}");
            }
        }
    }
}

#[test]
fn flipped_bits_are_errors_or_at_most_the_limit() {
    let mut random = Random::new(1);
    let mut decoder = Decoder::new();
    let bytes = content(20_000);
    for format in PACKED {
        let stored = encoded(format, &bytes);
        let mut refused = 0;
        for _ in 0..3000 {
            let mut broken = stored.clone();
            for _ in 0..=random.below(3) {
                let at = random.below(broken.len());
                broken[at] ^= 1 << random.below(8);
            }
            match decoder.decode(format, &broken, 30_000) {
                Ok(read) => assert!(read.len() <= 30_000),
                Err(error) => {
                    refused += 1;
                    assert!(error.offset <= broken.len());
                }
            }
        }
        // zstd's frames have no checksum unless one is asked for.
        let least = if format == FileCompression::Zstd { 500 } else { 2800 };
        assert!(refused > least, "{format}: {refused}");
    }
}
