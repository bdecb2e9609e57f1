//! Whether a file is the one that was seen before.
//!
//! The time of change cannot be set by users, only by who sets the clock back, and by who makes the image of a file system.
//! So times count only on the file systems of the cache itself, of `/` and of `/usr`, which are not exchanged for others
//! below the cache, and only where a file can be made.

use std::path::Path;

use kbt_depmod::FileIdentity;
use rustix::fs::{Mode, OFlags, Stat, fstat, open, stat};

use crate::depmod::path;

/// The time at the start of the run by the clock of the module directory's file system, and which that is; `None` where
/// no clock can be believed.
pub struct Now(Option<(u64, (i64, u64))>);

impl Now {
    /// Asks for the time, before any file is looked at.
    pub fn ask(modules: &[u8], cache: &Path) -> Self {
        let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        let made = open(path(modules), flags, Mode::RUSR).and_then(fstat).ok();
        let made = made.map(|status| identity(&status)).map(|made| (made.device, made.changed));
        // A cache that is made first lies on the device of what is there of its path.
        let cache = cache.ancestors().find_map(|path| stat(path).ok());
        let lasting = [cache, stat("/").ok(), stat("/usr").ok()];
        let lasts = |device: u64| lasting.iter().flatten().any(|status| status.st_dev == device);
        Self(made.filter(|(device, _)| lasts(*device)))
    }

    /// A time of a device's clock.
    #[cfg(test)]
    pub fn at(device: u64, time: (i64, u64)) -> Self {
        Self(Some((device, time)))
    }

    /// Whether a file of this identity was last changed before, so that a later change would show.
    pub fn is_after(&self, identity: &FileIdentity) -> bool {
        self.0.is_some_and(|(device, now)| device == identity.device && identity.changed < now)
    }
}

/// What tells this file's state from another.
pub fn identity(status: &Stat) -> FileIdentity {
    FileIdentity {
        device: status.st_dev,
        inode: status.st_ino,
        size: u64::try_from(status.st_size).unwrap_or_default(),
        modified: (status.st_mtime, status.st_mtime_nsec),
        changed: (status.st_ctime, status.st_ctime_nsec),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(device: u64, changed: (i64, u64)) -> FileIdentity {
        FileIdentity { device, changed, ..FileIdentity::default() }
    }

    #[test]
    fn what_changed_in_this_tick_is_not_kept() {
        let now = Now(Some((1, (100, 500))));
        assert!(now.is_after(&changed(1, (100, 499))));
        assert!(!now.is_after(&changed(1, (100, 500))), "it may change again and keep its time");
        assert!(!now.is_after(&changed(1, (101, 0))));
        // Another device has another clock.
        assert!(!now.is_after(&changed(2, (1, 0))));
        assert!(!Now(None).is_after(&changed(1, (1, 0))));
    }

    /// File systems of new kernels give a file that was looked at a time of its own, so that no test on one of them can
    /// meet two states of a file with one time. This plays one whose clock ticks: edits and runs at random, some within
    /// a tick, edits between a run's look at the file and its reading of it.
    #[test]
    fn no_order_of_edits_and_runs_leaves_an_old_state() {
        const TICK: u64 = 4;
        let mut random = kbt_testkit::random::Random::new(11);
        let (mut reused, mut read) = (0, 0);
        for _ in 0..20_000 {
            let mut time = 0;
            let mut state = 0;
            let mut file = changed(1, (0, 0));
            let mut kept: Option<(FileIdentity, u32)> = None;
            for _ in 0..8 {
                let mut edit = |time: &mut u64, file: &mut FileIdentity| {
                    if random.below(3) == 0 {
                        state += 1;
                        *file = changed(1, (0, *time / TICK));
                    }
                    *time += random.below(4) as u64;
                    state
                };
                edit(&mut time, &mut file);
                // A run: it asks for the time, looks at the file, and reads it where it is not the one that it knows.
                let now = Now(Some((1, (0, time / TICK))));
                edit(&mut time, &mut file);
                let seen = file;
                if let Some((_, old)) = kept.filter(|(identity, _)| *identity == seen) {
                    assert_eq!(old, state);
                    reused += 1;
                    continue;
                }
                let state = edit(&mut time, &mut file);
                kept = now.is_after(&seen).then_some((seen, state));
                read += 1;
            }
        }
        assert!(reused > 1000 && read > 1000, "{reused} {read}");
    }
}
