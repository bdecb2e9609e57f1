//! The buffer that a decoder fills: reused, grown as it comes, never past the limit.

use crate::{Error, ErrorKind};

/// Smallest step by which the buffer grows, in bytes.
const STEP: usize = 64 << 10;

/// A buffer of more bytes than this is given back before the next file.
const KEPT: usize = 8 << 20;

/// Where decoded bytes go. All of `buffer` is initialised, so that codecs may write to it without `unsafe` of ours; what counts is
/// its front.
#[derive(Debug, Default)]
pub struct Output {
    buffer: Vec<u8>,
    filled: usize,
    limit: usize,
}

impl Output {
    /// Empties it for a file of which at most `limit` bytes may come.
    pub fn start(&mut self, limit: usize) {
        if self.buffer.len() > KEPT {
            self.buffer = Vec::new();
        }
        self.filled = 0;
        self.limit = limit;
    }

    /// What was decoded so far.
    pub fn bytes(&self) -> &[u8] {
        self.buffer.get(..self.filled).unwrap_or_default()
    }

    /// The most bytes that may come.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Makes room for `more` bytes at once, which the input states; `at` is its place there.
    pub fn expect(&mut self, more: u64, at: usize) -> Result<(), Error> {
        let too_large = Error::new(ErrorKind::TooLarge { limit: self.limit }, at);
        let total = usize::try_from(more).ok().and_then(|more| more.checked_add(self.filled));
        match total {
            Some(total) if total <= self.limit => self.grow(total, at),
            _ => Err(too_large),
        }
    }

    /// The room behind what is there, at least a byte, even where the limit is reached: a stream that ends there must be
    /// told from one that goes on.
    pub fn room(&mut self, at: usize) -> Result<&mut [u8], Error> {
        if self.filled > self.limit {
            return Err(Error::new(ErrorKind::TooLarge { limit: self.limit }, at));
        }
        if self.filled == self.buffer.len() {
            let doubled = self.filled.saturating_mul(2).max(STEP);
            self.grow(doubled.min(self.limit.saturating_add(1)), at)?;
        }
        Ok(self.buffer.get_mut(self.filled..).unwrap_or_default())
    }

    /// Counts `bytes` that were written to the front of the room.
    pub fn advance(&mut self, bytes: usize, at: usize) -> Result<(), Error> {
        self.filled = self.filled.saturating_add(bytes).min(self.buffer.len());
        if self.filled > self.limit {
            return Err(Error::new(ErrorKind::TooLarge { limit: self.limit }, at));
        }
        Ok(())
    }

    fn grow(&mut self, total: usize, at: usize) -> Result<(), Error> {
        if total <= self.buffer.len() {
            return Ok(());
        }
        let more = total - self.buffer.len();
        self.buffer.try_reserve_exact(more).map_err(|_| Error::new(ErrorKind::OutOfMemory, at))?;
        self.buffer.resize(total, 0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_seen_one_byte_late() {
        let mut output = Output::default();
        output.start(3);
        assert_eq!(output.room(0).unwrap().len(), 4);
        output.advance(3, 0).unwrap();
        assert_eq!(output.room(7).unwrap().len(), 1);
        assert_eq!(output.advance(1, 7), Err(Error::new(ErrorKind::TooLarge { limit: 3 }, 7)));
        assert!(output.expect(4, 0).is_err());
    }

    #[test]
    fn a_large_buffer_is_given_back() {
        let mut output = Output::default();
        output.start(usize::MAX);
        output.expect(KEPT as u64 + 1, 0).unwrap();
        output.start(10);
        assert_eq!(output.buffer.capacity(), 0);
    }
}
