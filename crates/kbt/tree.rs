//! Reading device trees, from wherever a command may be given one.

use std::ffi::{OsStr, OsString};

use kbt_fdt::Header;

use crate::dtbo::image;
use crate::dtbo::select::EntryRef;
use crate::input;
use crate::report::Failure;

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
