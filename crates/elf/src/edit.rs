//! Changes to a file that keep its size: what a patch gives, and the binary writes.

/// Bytes to be written over those at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Where in the file, in bytes from its start.
    pub offset: u64,
    /// What is to stand there.
    pub bytes: Vec<u8>,
}

impl Edit {
    /// The byte behind the last one that is written; `None` past the end of all files.
    pub fn end(&self) -> Option<u64> {
        self.offset.checked_add(self.bytes.len() as u64)
    }
}

/// Writes the edits into a file that is held in memory.
///
/// # Errors
///
/// The first edit that lies outside of the file; then none is written.
pub fn apply(edits: &[Edit], file: &mut [u8]) -> Result<(), u64> {
    let range = |edit: &Edit| {
        let (start, end) = (usize::try_from(edit.offset).ok()?, usize::try_from(edit.end()?).ok()?);
        (end <= file.len()).then_some(start..end)
    };
    let mut ranges = Vec::with_capacity(edits.len());
    for edit in edits {
        ranges.push(range(edit).ok_or(edit.offset)?);
    }
    for (range, edit) in ranges.into_iter().zip(edits) {
        if let Some(place) = file.get_mut(range) {
            place.copy_from_slice(&edit.bytes);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_or_nothing() {
        let mut file = *b"abcdef";
        let at = |offset, bytes: &[u8]| Edit { offset, bytes: bytes.to_vec() };
        assert_eq!(apply(&[at(0, b"X"), at(5, b"YZ")], &mut file), Err(5));
        assert_eq!(&file, b"abcdef");
        assert_eq!(apply(&[at(u64::MAX, b"Y")], &mut file), Err(u64::MAX));
        assert_eq!(apply(&[at(0, b"X"), at(5, b"Y"), at(6, b"")], &mut file), Ok(()));
        assert_eq!(&file, b"XbcdeY");
    }
}
