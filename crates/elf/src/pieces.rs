//! A file of which only some ranges are read.
//!
//! A module of a distribution is some 70 KiB long, of which a reader of dependencies wants an eighth. [`Pieces`] holds
//! the ranges that were read, and answers like the whole file for what lies in them. It is reused: [`Pieces::clear`]
//! forgets the ranges and keeps the buffer.
//!
//! Limits: what is fetched is bounded by the file's size; a range is never read twice.

use core::ops::Range;

use object::ReadRef;

/// Reads from a place in a file; the binary implements it by `pread`.
pub trait ReadAt {
    /// Why a read failed.
    type Error;

    /// Fills `buffer` from byte `offset` of the file on, and gives how many bytes there were: fewer only at the end of the file.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize, Self::Error>;
}

/// Ranges of the file closer than this are read together with what lies between: a system call costs about as much as copying
/// so many bytes.
const GAP: u64 = 4096;

/// The ranges of a file that were read.
#[derive(Debug, Default)]
pub struct Pieces {
    /// Size of the file in bytes.
    size: u64,
    /// Initialised to its end, so that it is not cleared for every file; `used` bytes of it hold pieces.
    buffer: Vec<u8>,
    used: usize,
    pieces: Vec<Piece>,
    /// What is to be fetched next; kept for its memory.
    wanted: Vec<Range<u64>>,
}

/// Pieces of so many bytes have memory of their own: the system gives it cleared, and nothing is moved for it.
const LARGE: usize = 1 << 17;
/// Pieces of so many bytes may be more than there is memory for.
const HUGE: usize = 1 << 28;

#[derive(Debug)]
struct Piece {
    /// Where in the file.
    file: Range<u64>,
    memory: Memory,
}

#[derive(Debug)]
enum Memory {
    /// Where in the buffer it begins.
    Shared(usize),
    Own(Vec<u8>),
}

impl Pieces {
    /// Forgets what was read; the next file has `size` bytes. The memory is kept.
    pub fn clear(&mut self, size: u64) {
        self.size = size;
        self.used = 0;
        self.pieces.clear();
    }

    /// Size of the file in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Reads those of `ranges` (offset and size) that are not there yet, in as few reads as pay. What lies behind the end of
    /// the file is left out, and is missing when it is asked for.
    ///
    /// # Errors
    ///
    /// The first that `source` gives.
    pub fn fetch<S: ReadAt>(
        &mut self,
        source: &mut S,
        ranges: impl IntoIterator<Item = (u64, u64)>,
    ) -> Result<(), S::Error> {
        let mut wanted = core::mem::take(&mut self.wanted);
        wanted.clear();
        for (offset, size) in ranges {
            let end = offset.saturating_add(size).min(self.size);
            if offset < end && self.find(offset, end - offset).is_none() {
                wanted.push(offset..end);
            }
        }
        wanted.sort_unstable_by_key(|range| range.start);
        let mut joined: Option<Range<u64>> = None;
        for range in wanted.drain(..) {
            joined = match joined {
                Some(front) if range.start <= front.end.saturating_add(GAP) => {
                    Some(front.start..front.end.max(range.end))
                }
                Some(front) => {
                    self.read(source, front)?;
                    Some(range)
                }
                None => Some(range),
            };
        }
        if let Some(last) = joined {
            self.read(source, last)?;
        }
        self.wanted = wanted;
        Ok(())
    }

    fn read<S: ReadAt>(&mut self, source: &mut S, range: Range<u64>) -> Result<(), S::Error> {
        let Ok(size) = usize::try_from(range.end - range.start) else { return Ok(()) };
        let file = |count: usize| range.start..range.start.saturating_add(count as u64);
        if size >= LARGE {
            // Without the memory the range stays missing; what most machines have is not asked for twice.
            if size >= HUGE && Vec::<u8>::new().try_reserve_exact(size).is_err() {
                return Ok(());
            }
            let mut own = vec![0; size];
            let count = source.read_at(range.start, &mut own)?;
            self.pieces.push(Piece { file: file(count), memory: Memory::Own(own) });
            return Ok(());
        }
        let start = self.used;
        let end = start.saturating_add(size);
        // Without the memory the range stays missing.
        if self.buffer.try_reserve(end.saturating_sub(self.buffer.len())).is_err() {
            return Ok(());
        }
        if self.buffer.len() < end {
            self.buffer.resize(end, 0);
        }
        let count = match self.buffer.get_mut(start..end) {
            Some(buffer) => source.read_at(range.start, buffer)?,
            None => 0,
        };
        // A file that shrank since its size was asked has less.
        self.used = start.saturating_add(count);
        self.pieces.push(Piece { file: file(count), memory: Memory::Shared(start) });
        Ok(())
    }

    fn find(&self, offset: u64, size: u64) -> Option<&[u8]> {
        let end = offset.checked_add(size)?;
        let piece = self.pieces.iter().find(|piece| piece.file.start <= offset && end <= piece.file.end)?;
        let skip = usize::try_from(offset - piece.file.start).ok()?;
        let bytes = match &piece.memory {
            Memory::Shared(start) => self.buffer.get(start.checked_add(skip)?..)?,
            Memory::Own(own) => own.get(skip..)?,
        };
        bytes.get(..usize::try_from(size).ok()?)
    }
}

impl<'data> ReadRef<'data> for &'data Pieces {
    fn len(self) -> Result<u64, ()> {
        Ok(self.size)
    }

    fn read_bytes_at(self, offset: u64, size: u64) -> Result<&'data [u8], ()> {
        if size == 0 {
            return Ok(&[]);
        }
        self.find(offset, size).ok_or(())
    }

    fn read_bytes_at_until(self, range: Range<u64>, delimiter: u8) -> Result<&'data [u8], ()> {
        let bytes = self.read_bytes_at(range.start, range.end.checked_sub(range.start).ok_or(())?)?;
        let end = bytes.iter().position(|&byte| byte == delimiter).ok_or(())?;
        bytes.get(..end).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts its reads.
    struct Counted(Vec<u8>, Vec<(u64, usize)>);

    impl ReadAt for Counted {
        type Error = core::convert::Infallible;

        fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize, Self::Error> {
            self.1.push((offset, buffer.len()));
            let rest = &self.0[self.0.len().min(usize::try_from(offset).unwrap())..];
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            Ok(count)
        }
    }

    fn file(size: usize) -> Counted {
        Counted((0..=250u8).cycle().take(size).collect(), Vec::new())
    }

    #[test]
    fn what_lies_close_together_is_one_read() {
        let mut source = file(100_000);
        let mut pieces = Pieces::default();
        pieces.clear(100_000);
        pieces.fetch(&mut source, [(50_000, 10), (100, 20), (0, 64), (90, 20), (54_000, 8)]).unwrap();
        assert_eq!(source.1, [(0, 120), (50_000, 4008)]);
        assert_eq!((&pieces).read_bytes_at(50_003, 5), Ok(&source.0[50_003..50_008]));
        assert_eq!((&pieces).read_bytes_at(100, 20), Ok(&source.0[100..120]));
        assert_eq!((&pieces).read_bytes_at(119, 2), Err(()));
    }

    #[test]
    fn nothing_is_read_twice_or_behind_the_end() {
        let mut source = file(1000);
        let mut pieces = Pieces::default();
        pieces.clear(1000);
        pieces.fetch(&mut source, [(0, 500)]).unwrap();
        pieces.fetch(&mut source, [(20, 100), (2000, 10), (u64::MAX, u64::MAX)]).unwrap();
        assert_eq!(source.1, [(0, 500)]);
        pieces.fetch(&mut source, [(900, 200)]).unwrap();
        assert_eq!(source.1, [(0, 500), (900, 100)]);
        assert_eq!((&pieces).read_bytes_at(900, 101), Err(()));
        pieces.clear(10);
        assert_eq!((&pieces).read_bytes_at(0, 1), Err(()));
    }

    #[test]
    fn a_file_that_shrank_has_less() {
        let mut source = file(10);
        let mut pieces = Pieces::default();
        pieces.clear(1000);
        pieces.fetch(&mut source, [(0, 500)]).unwrap();
        assert_eq!((&pieces).read_bytes_at(0, 10), Ok(&source.0[..]));
        assert_eq!((&pieces).read_bytes_at(0, 11), Err(()));
    }
}
