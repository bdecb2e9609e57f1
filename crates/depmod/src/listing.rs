//! Directories as an earlier walk read them, and their place in a cache.

use crate::cache::{FileIdentity, Rest, put_identity, put_length};

/// A directory's entries, and its state when they were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listing<'l> {
    /// Its path.
    pub path: &'l [u8],
    /// Its state before its entries were read.
    pub identity: FileIdentity,
    /// The entries, as the one who read them has written them.
    pub entries: &'l [u8],
}

/// Appends them: how many there are; of each its path and its entries, each with its length (4) in front, and its identity.
pub(crate) fn put(index: &mut Vec<u8>, listings: &[Listing<'_>]) -> Option<()> {
    put_length(index, listings.len())?;
    for listing in listings {
        for text in [listing.path, listing.entries] {
            put_length(index, text.len())?;
            index.extend_from_slice(text);
        }
        put_identity(index, &listing.identity);
    }
    Some(())
}

/// What [`put`] appended.
pub(crate) fn take<'c>(rest: &mut Rest<'c>) -> Option<Vec<Listing<'c>>> {
    let count = rest.length()?;
    let text = |rest: &mut Rest<'c>| {
        let length = rest.length()?;
        rest.bytes(length)
    };
    let listing = |_| Some(Listing { path: text(rest)?, entries: text(rest)?, identity: rest.identity()? });
    (0..count).map(listing).collect()
}
