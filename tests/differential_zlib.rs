//! kbt's zlib and gzip streams are those of Python's zlib, byte for byte, and each reads the other's: so images
//! with compressed entries are those of mkdtboimg.py.

// A test that cannot go on ends in a panic, its helpers too.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use kbt_compress::{Compression, compress, decompress};
use kbt_testkit::random::Random;
use kbt_testkit::{peers, require};

/// Reads frames (a length in four bytes, little-endian, and as many bytes), and writes for each the zlib stream and
/// the gzip stream that mkdtboimg.py makes of it, framed alike.
const PEER: &str = "
import struct, sys, zlib
source, target = sys.stdin.buffer, sys.stdout.buffer
while True:
    head = source.read(4)
    if not head:
        break
    data = source.read(struct.unpack('<I', head)[0])
    for coder in (zlib.compressobj(), zlib.compressobj(zlib.Z_DEFAULT_COMPRESSION, zlib.DEFLATED, 31)):
        stream = coder.compress(data) + coder.flush()
        target.write(struct.pack('<I', len(stream)) + stream)
";

/// Says of each framed stream what `zlib.decompress` with automatic detection makes of it: `+` and the bytes, or `-`.
const PEER_READS: &str = "
import struct, sys, zlib
source, target = sys.stdin.buffer, sys.stdout.buffer
while True:
    head = source.read(4)
    if not head:
        break
    data = source.read(struct.unpack('<I', head)[0])
    try:
        answer = b'+' + zlib.decompress(data, 47)
    except zlib.error:
        answer = b'-'
    target.write(struct.pack('<I', len(answer)) + answer)
";

fn frame(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_le_bytes(), bytes].concat()
}

fn unframe(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut frames = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk() {
        let (frame, rest) = rest.split_at(u32::from_le_bytes(*head) as usize);
        frames.push(frame);
        bytes = rest;
    }
    frames
}

fn ask(python: &Path, script: &str, inputs: &[Vec<u8>]) -> Vec<u8> {
    let mut child = Command::new(python)
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let framed: Vec<u8> = inputs.iter().flat_map(|input| frame(input)).collect();
    // Both pipes are moved at once, or a full one would stop both processes.
    let writer = std::thread::spawn(move || stdin.write_all(&framed));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    output.stdout
}

/// Inputs that take every way through deflate: stored, fixed and dynamic blocks, long and distant matches, more than
/// one window and more than one block.
fn inputs() -> Vec<Vec<u8>> {
    let mut random = Random::new(31);
    let mut inputs = vec![Vec::new(), vec![0], vec![0; 300_000], (0..=255).collect()];
    for _ in 0..600 {
        let magnitude = random.below(18);
        let length = random.below(1 << magnitude) + random.below(3);
        let symbols = 1 << random.below(9);
        let repeat = random.below(4);
        let mut bytes: Vec<u8> = Vec::with_capacity(length + 300);
        while bytes.len() < length {
            if repeat > 0 && bytes.len() > 4 && random.below(4) < repeat {
                let from = bytes.len() - 1 - random.below(bytes.len().min(40_000) - 1);
                (0..3 + random.below(260)).for_each(|step| bytes.push(bytes[from + step]));
            } else {
                bytes.push(u8::try_from(random.below(symbols)).unwrap());
            }
        }
        inputs.push(bytes);
    }
    inputs
}

/// Every device tree of a set.
fn trees(directory: &Path, found: &mut Vec<Vec<u8>>) {
    let mut entries: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        match path.extension().and_then(|extension| extension.to_str()) {
            _ if path.is_dir() => trees(&path, found),
            Some("dtb" | "dtbo") => found.push(fs::read(path).unwrap()),
            _ => {}
        }
    }
}

#[test]
fn streams_of_made_inputs_equal_python_s() {
    let python = require!(peers::tool("python3"));
    compare(&python, &inputs());
}

#[test]
fn streams_of_real_trees_equal_python_s() {
    let python = require!(peers::tool("python3"));
    let directory = require!(peers::trees("arm64-6.1"));
    let mut found = Vec::new();
    trees(&directory, &mut found);
    assert!(found.len() > 100, "only {} trees", found.len());
    compare(&python, &found);
}

fn compare(python: &Path, inputs: &[Vec<u8>]) {
    let answer = ask(python, PEER, inputs);
    let streams = unframe(&answer);
    assert_eq!(streams.len(), 2 * inputs.len());
    for (index, (input, pair)) in inputs.iter().zip(streams.chunks(2)).enumerate() {
        for (format, stream) in [(Compression::Zlib, pair[0]), (Compression::Gzip, pair[1])] {
            let own = compress(format, input).unwrap();
            assert!(own == stream, "input {index} of {} bytes: another {format} stream", input.len());
            let read = decompress(format, stream, input.len()).unwrap();
            assert!(read.bytes == *input && read.consumed == stream.len(), "input {index}: {format}");
        }
    }
}

#[test]
fn damaged_streams_are_refused_where_python_refuses_them() {
    let python = require!(peers::tool("python3"));
    let mut random = Random::new(32);
    let mut streams = Vec::new();
    for input in inputs().iter().filter(|input| input.len() < 3000) {
        for format in [Compression::Zlib, Compression::Gzip] {
            let mut stream = compress(format, input).unwrap();
            match random.below(4) {
                0 => stream.truncate(random.below(stream.len())),
                1 => stream.extend_from_slice(b"behind"),
                2 => stream.extend(compress(format, b"a second member").unwrap()),
                _ => {
                    let at = random.below(stream.len());
                    stream[at] ^= 1 << random.below(8);
                }
            }
            streams.push(stream);
        }
    }
    let answer = ask(&python, PEER_READS, &streams);
    let (mut accepted, mut refused) = (0, 0);
    for (stream, answer) in streams.iter().zip(unframe(&answer)) {
        let format = match Compression::detect(stream) {
            Compression::Gzip => Compression::Gzip,
            _ => Compression::Zlib,
        };
        match (decompress(format, stream, 1 << 20), answer.split_first()) {
            (Ok(read), Some((b'+', bytes))) => {
                assert!(read.bytes == bytes);
                accepted += 1;
            }
            (Err(_), Some((b'-', _))) => refused += 1,
            (own, _) => panic!("{stream:02x?}: {:?}", own.map(|read| read.consumed)),
        }
    }
    assert!(accepted > 100 && refused > 100, "{accepted} accepted, {refused} refused: no test of both");
}
