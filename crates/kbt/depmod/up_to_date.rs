//! `-A`: whether any module is newer than modules.dep.

use std::ops::ControlFlow;

use kbt_depmod::{Level, has_module_extension};
use rustix::fs::{Stat, stat};

use super::log::Log;
use super::path;
use crate::modules_dir::{Walk, not_looked_at, text};

/// Whether modules.dep is as new as every module. What cannot be looked at is told, and counts as old.
pub fn check(directory: &[u8], log: &mut Log<'_>) -> bool {
    let shown = String::from_utf8_lossy(directory);
    if let Err(error) = std::fs::read_dir(path(directory)) {
        log.tell(Level::Error, format!("could not open directory {shown}: {}", text(error)));
        return false;
    }
    let written = match stat(path(directory).join("modules.dep")) {
        Ok(status) => modified(&status),
        Err(error) => {
            log.tell(Level::Error, format!("could not fstatat({shown}, modules.dep): {}", text(error)));
            return false;
        }
    };
    let walk = Walk { skip: &|name| name == b"build" || name == b"source", by_name: false, status: true };
    let mut newer = false;
    let done = walk.run(directory, &mut log.messages, |met, messages| {
        newer = match met.status.filter(|_| has_module_extension(met.name)) {
            Some(Ok(status)) => modified(&status) > written,
            Some(Err(error)) => {
                not_looked_at(messages, met.path, error);
                false
            }
            None => false,
        };
        if newer { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    done.is_ok() && !newer
}

/// Seconds and nanoseconds.
fn modified(status: &Stat) -> (i64, u64) {
    (status.st_mtime, status.st_mtime_nsec)
}
