//! Directories that need not be read again: their state tells that nothing was added, removed or renamed in them since.
//!
//! Names, kinds and order of a directory's entries change only with its time of change, and so they count by the rules of
//! `now.rs`, as what is in a file does.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;

use kbt_depmod::{Cache, FileIdentity, Listing};
use rustix::fs::Stat;

use super::now::identity;
use super::{Incremental, Kept};
use crate::modules_dir::Listings;

/// What is known of directories, and what this run learns of them.
pub struct Directories<'c> {
    incremental: &'c Incremental,
    known: &'c [Listing<'c>],
    /// Where the next one is, as a rule.
    next: Cell<usize>,
    by_path: OnceCell<HashMap<&'c [u8], usize>>,
    /// Those that were met.
    met: RefCell<Vec<Met<'c>>>,
}

enum Met<'c> {
    Known(Listing<'c>),
    Read { path: Vec<u8>, identity: FileIdentity, entries: Vec<u8> },
}

impl<'c> Directories<'c> {
    /// Those that the last run kept, if times count.
    pub fn new(incremental: &'c Incremental, kept: &'c Kept<'c>) -> Self {
        let last = kept.last().filter(|_| !incremental.verify);
        let known = last.map(Cache::listings).unwrap_or_default();
        Self {
            incremental,
            known,
            next: Cell::new(0),
            by_path: OnceCell::new(),
            met: RefCell::new(Vec::with_capacity(known.len())),
        }
    }

    /// Gives `keep` what the next run may know of them.
    pub fn kept<R>(&self, keep: impl FnOnce(&[Listing<'_>]) -> R) -> R {
        let met = self.met.borrow();
        let listings: Vec<_> = met.iter().map(Met::listing).collect();
        keep(&listings)
    }

    fn find(&self, path: &[u8]) -> Option<Listing<'c>> {
        let at = self.next.get();
        let here = self.known.get(at).filter(|listing| listing.path == path).map(|_| at);
        let at = here.or_else(|| {
            let listings = self.known.iter().enumerate();
            let by_path = self.by_path.get_or_init(|| listings.map(|(at, it)| (it.path, at)).collect());
            by_path.get(path).copied()
        })?;
        self.next.set(at + 1);
        self.known.get(at).copied()
    }
}

impl Listings for Directories<'_> {
    fn entries(&self, path: &[u8], status: &Stat) -> Option<&[u8]> {
        let listing = self.find(path).filter(|listing| listing.identity == identity(status))?;
        self.met.borrow_mut().push(Met::Known(listing));
        Some(listing.entries)
    }

    fn learn(&self, path: &[u8], status: &Stat, entries: Vec<u8>) {
        let identity = identity(status);
        if self.incremental.now.is_after(&identity) {
            self.met.borrow_mut().push(Met::Read { path: path.to_vec(), identity, entries });
        }
    }
}

impl Met<'_> {
    fn listing(&self) -> Listing<'_> {
        match self {
            Self::Known(listing) => *listing,
            Self::Read { path, identity, entries } => Listing { path, identity: *identity, entries },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::now::Now;
    use super::*;

    #[test]
    fn a_directory_is_learnt_only_if_a_later_change_would_show() {
        let room = tempfile::tempdir().unwrap();
        let status = rustix::fs::stat(room.path()).unwrap();
        let (seconds, part) = identity(&status).changed;
        let learnt = |now: (i64, u64)| {
            let incremental = Incremental {
                file: PathBuf::new(),
                purpose: Vec::new(),
                large: None,
                small: None,
                verify: false,
                now: Now::at(status.st_dev, now),
            };
            let kept = Kept::default();
            let directories = Directories::new(&incremental, &kept);
            assert!(directories.entries(b"/d", &status).is_none());
            directories.learn(b"/d", &status, b"fa.ko\0".to_vec());
            directories.kept(|listings| listings.len())
        };
        assert_eq!([learnt((seconds, part)), learnt((seconds + 1, part))], [0, 1]);
    }
}
