//! A merged tree that is written piece by piece: ranges of the inputs, one behind the other, so that no room is needed
//! for the whole.

use kbt_fdt::Blob;
use kbt_fdt::write::{Sizes, header};

use crate::error::{Error, ErrorKind, Input, Warning};
use crate::live::Live;
use crate::splice::write_structure;

/// A merged tree; [`merge`](crate::merge()) makes it.
#[derive(Debug)]
pub struct Unwritten<'a> {
    base: Blob<'a>,
    live: Live<'a>,
    header: [u8; 40],
    sizes: Sizes,
}

impl<'a> Unwritten<'a> {
    pub(crate) fn new(base: Blob<'a>, live: Live<'a>, padding: u32) -> Result<Self, Error> {
        let mut structure = 0;
        write_structure(&live, |bytes| structure += bytes.len());
        let strings = live.names.blocks().iter().map(|block| block.len()).sum();
        let sizes = Sizes { structure, strings, padding };
        let header = header(base.header().boot_cpuid_phys, base.reservations().bytes(), sizes)
            .map_err(|_| Error::new(ErrorKind::TooLarge, Input::Base))?;
        Ok(Self { base, live, header, sizes })
    }

    /// What was odd, in the order in which it was met; at most 100.
    pub fn warnings(&self) -> &[Warning] {
        &self.live.warnings
    }

    /// Bytes of the tree.
    pub fn size(&self) -> usize {
        let Sizes { structure, strings, padding } = self.sizes;
        self.header.len() + self.base.reservations().bytes().len() + structure + strings + padding as usize
    }

    /// Gives the tree, which is that of [`apply`](crate::apply), to `write`, piece by piece.
    ///
    /// # Errors
    /// The first one of `write`, which is not asked again then.
    pub fn write<E>(&self, mut write: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        const ZEROS: [u8; 4096] = [0; 4096];
        write(&self.header)?;
        write(self.base.reservations().bytes())?;
        let mut result = Ok(());
        write_structure(&self.live, |bytes| {
            if result.is_ok() && !bytes.is_empty() {
                result = write(bytes);
            }
        });
        result?;
        for block in self.live.names.blocks() {
            write(block)?;
        }
        let mut padding = self.sizes.padding as usize;
        while padding > 0 {
            let piece = &ZEROS[..padding.min(ZEROS.len())];
            write(piece)?;
            padding -= piece.len();
        }
        Ok(())
    }
}
