//! What reading and decoding the modules of a tree costs alone: `cargo xtask bench depmod` runs it beside the depmods, as
//! the floor under which no depmod with these codecs can be. The only argument is the tree's root.

#![allow(clippy::unwrap_used, reason = "a benchmark ends at the first surprise")]

use std::fs::{self, File};
use std::hint::black_box;
use std::io::Read as _;
use std::path::Path;

use kbt_compress::{Decoder, FileCompression};

fn main() {
    // cargo bench gives its own words when nobody gave a tree.
    let Some(root) = std::env::args().nth(1).filter(|word| !word.starts_with('-')) else { return };
    let (mut stored, mut decoder) = (Vec::new(), Decoder::new());
    decode_below(Path::new(&root), &mut stored, &mut decoder);
}

fn decode_below(directory: &Path, stored: &mut Vec<u8>, decoder: &mut Decoder) {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            decode_below(&path, stored, decoder);
        } else if path.to_str().is_some_and(|path| path.contains(".ko")) {
            stored.clear();
            File::open(&path).unwrap().read_to_end(stored).unwrap();
            let compression = FileCompression::detect(stored);
            black_box(decoder.decode(compression, stored, usize::MAX).unwrap());
        }
    }
}
