//! Kernel modules: read whole and piece by piece they have the same facts, or are refused alike.

use std::convert::Infallible;

use kbt_depmod::{ModuleReader, SourceError};
use kbt_elf::ReadAt;

/// A file that is read at places.
struct File<'a>(&'a [u8]);

impl ReadAt for File<'_> {
    type Error = Infallible;

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize, Infallible> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.0.len());
        let rest = &self.0[start..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

/// One input; what is larger than 16 KiB is read by its sections, so the input is also put before padding.
pub fn run(bytes: &[u8]) {
    for padding in [0, 20 << 10] {
        let file = [bytes, &vec![0; padding]].concat();
        let mut reader = ModuleReader::new();
        let whole = reader.read(&file);
        let whole_rest = reader.salvage();
        let pieces = reader.read_from(&mut File(&file), file.len() as u64);
        let pieces_rest = reader.salvage();
        match (whole, pieces) {
            (Ok(whole), Ok(pieces)) => assert!(whole == pieces),
            (Err(whole), Err(SourceError::Module(pieces))) => assert!(whole == pieces),
            (whole, pieces) => panic!("whole: {whole:?}, in pieces: {pieces:?}"),
        }
        assert!(whole_rest == pieces_rest);
    }
}
