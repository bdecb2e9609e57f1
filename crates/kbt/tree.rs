//! Reading device trees, from wherever a command may be given one.

use std::ffi::{OsStr, OsString};

use kbt_fdt::Header;

use crate::dtbo::image;
use crate::dtbo::select::EntryRef;
use crate::input;
use crate::report::Failure;

/// Many trees one behind the other, so that a small one takes no more than its bytes.
#[derive(Debug, Default)]
pub struct Trees {
    bytes: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
}

impl Trees {
    /// Adds a tree.
    ///
    /// # Errors
    /// Where there is no memory for it.
    pub fn push(&mut self, tree: Vec<u8>) -> Result<(), Failure> {
        if self.bytes.is_empty() {
            self.bytes = tree;
        } else {
            let room = self.bytes.try_reserve(tree.len());
            room.map_err(|_| Failure::new("no-memory", "there is no memory for all of the overlays"))?;
            self.bytes.extend_from_slice(&tree);
        }
        self.ends.push(self.bytes.len());
        Ok(())
    }

    /// All of them, in order.
    pub fn slices(&self) -> Vec<&[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| self.bytes.get(start..end).unwrap_or_default()).collect()
    }
}

/// Reads a command's trees; an image of which several entries are wanted is read once.
pub struct Reader {
    max_size: usize,
    images: Vec<(OsString, Vec<u8>)>,
    stdin_taken: bool,
}

impl Reader {
    /// Entries of images may decompress to `max_size` bytes.
    pub fn new(max_size: usize) -> Self {
        Self { max_size, images: Vec::new(), stdin_taken: false }
    }

    /// Reads a tree: a file, standard input for `-`, or an entry of a DTBO image (`IMAGE#SELECTOR`).
    ///
    /// What follows the tree's stated size is no part of it and is not read.
    pub fn read(&mut self, word: &OsStr) -> Result<Vec<u8>, Failure> {
        let Some(reference) = EntryRef::parse(word) else {
            self.take_stdin(word)?;
            return input::read_headed(word, |head| match Header::parse(head) {
                Ok(header) => u64::from(header.totalsize),
                Err(_) => 0,
            });
        };
        let known = self.images.iter().position(|(name, _)| *name == reference.image);
        let index = match known {
            Some(index) => index,
            None => {
                self.take_stdin(&reference.image)?;
                let bytes = image::read(&reference.image)?;
                self.images.push((reference.image.clone(), bytes));
                self.images.len() - 1
            }
        };
        image::entry(&reference, &self.images[index].1, self.max_size)
    }

    /// Standard input can be read once.
    fn take_stdin(&mut self, word: &OsStr) -> Result<(), Failure> {
        if word == "-" && std::mem::replace(&mut self.stdin_taken, true) {
            return Err(Failure::usage("only one of the inputs can be standard input"));
        }
        Ok(())
    }
}
