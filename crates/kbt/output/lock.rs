//! One run at a time lets its files appear in a directory.
//!
//! The lock is a file of its own, which is locked (flock(2)) and removed at the end, and not the directory, which a user
//! may have locked around the whole command. A run that is killed leaves the file, without a lock; the next run takes it.
//!
//! **Limits.** A run that cannot have the lock (another user's file, no locks on this file system, somebody stopped who
//! holds it) goes on without: each file is still whole, but two sets may mix.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, open};

use super::temporary::{identity, identity_of, remove_stray};

const NAME: &str = ".kbt-lock";
/// To let files appear takes milliseconds, with a slow disk a second.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(2);

/// The lock of a directory; it is free again when this is dropped.
#[derive(Debug)]
pub struct Lock {
    /// Held for its lock.
    _file: File,
    name: PathBuf,
}

impl Lock {
    /// Removes what a dead run left of its lock; who needs none would leave it for ever.
    pub fn sweep(directory: &Path) {
        remove_stray(&directory.join(NAME));
    }

    /// Waits for the lock; `None` where it cannot be had.
    pub fn of(directory: &Path) -> Option<Self> {
        let name = directory.join(NAME);
        let end = Instant::now() + PATIENCE;
        let flags = OFlags::CREATE | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        loop {
            let file = File::from(open(&name, flags, Mode::RUSR | Mode::WUSR).ok()?);
            match file.try_lock() {
                // Who held it before has removed the name, and another may have made it anew.
                Ok(()) if identity(&name) == identity_of(&file) => return Some(Self { _file: file, name }),
                Ok(()) => {}
                Err(TryLockError::WouldBlock) if Instant::now() < end => sleep(PAUSE),
                Err(TryLockError::WouldBlock) => return None,
                Err(TryLockError::Error(_)) => {
                    // Without locks it is nobody's.
                    let _ = fs::remove_file(&name);
                    return None;
                }
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Still locked. What cannot be removed is taken by the next run.
        let _ = fs::remove_file(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn what_a_dead_run_left_goes_and_what_is_held_stays() {
        let room = tempfile::tempdir().unwrap();
        let held = Lock::of(room.path()).unwrap();
        Lock::sweep(room.path());
        assert!(room.path().join(NAME).exists());
        drop(held);
        File::create(room.path().join(NAME)).unwrap();
        Lock::sweep(room.path());
        assert!(!room.path().join(NAME).exists());
    }

    #[test]
    fn there_is_one_holder_at_a_time() {
        let room = tempfile::tempdir().unwrap();
        let held = Arc::new(AtomicBool::new(false));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let lock = Lock::of(room.path()).unwrap();
                        assert!(!held.swap(true, Ordering::SeqCst));
                        thread::yield_now();
                        held.store(false, Ordering::SeqCst);
                        drop(lock);
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(room.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_a_dead_run_left_is_taken() {
        let room = tempfile::tempdir().unwrap();
        fs::write(room.path().join(NAME), "").unwrap();
        assert!(Lock::of(room.path()).is_some());
        assert!(!room.path().join(NAME).exists());
    }

    #[test]
    fn what_is_no_file_of_ours_is_no_lock() {
        let room = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("elsewhere", room.path().join(NAME)).unwrap();
        assert!(Lock::of(room.path()).is_none());
        assert!(Lock::of(&room.path().join("nowhere")).is_none());
    }
}
