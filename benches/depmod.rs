//! What reading and decoding the modules of a tree costs alone: `cargo xtask bench depmod` runs it beside the depmods, as
//! the floor under which no depmod with these codecs can be. The argument is the tree's root; with `--read` in front of it
//! the facts are taken out, too, which then is all that several threads may share.

#![allow(clippy::unwrap_used, reason = "a benchmark ends at the first surprise")]

use std::fs::{self, File};
use std::hint::black_box;
use std::io::Read as _;
use std::path::Path;

use kbt_compress::{Decoder, FileCompression};
use kbt_depmod::ModuleReader;

/// What is kept from one module to the next.
#[derive(Default)]
struct Kept {
    stored: Vec<u8>,
    decoder: Decoder,
    /// Where facts are asked for.
    reader: Option<ModuleReader>,
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (reader, root) = match words.as_slice() {
        [flag, root] if flag == "--read" => (Some(ModuleReader::default()), root),
        [root] if !root.starts_with('-') => (None, root),
        // cargo bench gives its own words when nobody gave a tree.
        _ => return,
    };
    decode_below(Path::new(root), &mut Kept { reader, ..Kept::default() });
}

fn decode_below(directory: &Path, kept: &mut Kept) {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            decode_below(&path, kept);
        } else if path.to_str().is_some_and(|path| path.contains(".ko")) {
            kept.stored.clear();
            File::open(&path).unwrap().read_to_end(&mut kept.stored).unwrap();
            let compression = FileCompression::detect(&kept.stored);
            let bytes = kept.decoder.decode(compression, &kept.stored, usize::MAX).unwrap();
            match &mut kept.reader {
                Some(reader) => drop(black_box(reader.read(bytes).unwrap())),
                None => drop(black_box(bytes)),
            }
        }
    }
}
