//! LZ4 frames: kbt reads what the `lz4` tool writes in each of its layouts, and that tool reads kbt's.

// A test that cannot go on ends in a panic, its helpers too.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use kbt_compress::{Compression, ErrorKind, compress, decompress};
use kbt_testkit::random::Random;
use kbt_testkit::{peers, require};

fn run(tool: &Path, words: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(tool)
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{words:?}");
    output.stdout
}

/// Words that repeat, like those of a device tree, over more than one block of 4 MiB at the most.
fn inputs() -> Vec<Vec<u8>> {
    let mut random = Random::new(41);
    let lengths = [0, 1, 13, 500, 70_000, 300_000, 9 << 20];
    lengths
        .iter()
        .map(|&length| {
            (0..length).map(|_| u8::try_from(random.below(8) * random.below(8)).unwrap()).collect()
        })
        .collect()
}

#[test]
fn every_layout_of_lz4_is_read() {
    let lz4 = require!(peers::tool("lz4"));
    let layouts: [&[&str]; 6] = [
        &["-12", "--favor-decSpeed"],
        &["-1", "-B4", "-BD"],
        &["-9", "-B7", "-BD"],
        &["-BX", "-B5"],
        &["--no-frame-crc"],
        &["--fast=9"],
    ];
    for input in inputs() {
        for words in layouts {
            let frame = run(&lz4, &[words, &["-q", "-c", "-", "-"]].concat(), &input);
            let read = decompress(Compression::Lz4, &frame, input.len()).unwrap();
            assert!(read.bytes == input && read.consumed == frame.len(), "{words:?}, {} bytes", input.len());
            let error = decompress(Compression::Lz4, &frame[..frame.len() - 1], input.len()).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Truncated, "{words:?}");
        }
    }
}

#[test]
fn lz4_reads_what_is_written() {
    let lz4 = require!(peers::tool("lz4"));
    for input in inputs() {
        let frame = compress(Compression::Lz4, &input).unwrap();
        assert!(run(&lz4, &["-q", "-d", "-c", "-", "-"], &frame) == input, "{} bytes", input.len());
    }
}
