//! Letting the files appear: all of them, or none.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use kbt_depmod::{Output, Outputs};
use rustix::fs::{FileType, Stat, lstat};
use rustix::process::geteuid;

use super::Stop;
use crate::args::depmod::Depmod;
use crate::depfile;
use crate::inputs::Inputs;
use crate::modules_dir::text;
use crate::output::Set;

/// As kmod's, less the umask: who may write these files decides what root's modprobe loads.
const MODE: u32 = 0o644;

/// Writes the files to `directory`, which is made where it is missing. They are on the disk before the first of them can be
/// seen.
///
/// With `--incremental` a file that has the right bytes stays; but not modules.dep, whose time tells of this run (`-A`, make).
pub fn publish(args: &Depmod, directory: &Path, outputs: &Outputs, inputs: &Inputs) -> Result<(), Stop> {
    let keep_same = args.incremental.is_some();
    fs::DirBuilder::new().recursive(true).mode(0o755).create(directory).map_err(|error| {
        Stop::fatal("io", format!("could not create directory {}: {}", directory.display(), text(error)))
    })?;
    let mut set = Set::made_of(inputs);
    let mut old = Vec::new();
    for output in Output::ALL {
        let file = directory.join(output.name());
        match outputs.get(output) {
            Some(bytes) if !(keep_same && output != Output::Dep && is_same(&file, bytes, &mut old)) => {
                set.add_own(&file, bytes, MODE).map_err(Stop::Fatal)?;
            }
            // It stays as it is.
            _ => Set::sweep(&file),
        }
    }
    // It stands for the others: they appear together.
    depfile::add_for(&args.depfile, &directory.join("modules.dep"), &mut set).map_err(Stop::Fatal)?;
    set.publish(true).map_err(Stop::Fatal)
}

/// The state of a file that may stay if it has the right bytes: it is one, ours, and nobody else's to write.
pub fn may_stay(file: &Path) -> Option<Stat> {
    let ours = |status: &Stat| {
        FileType::from_raw_mode(status.st_mode).is_file()
            && status.st_uid == geteuid().as_raw()
            && status.st_mode & 0o7777 == MODE
    };
    lstat(file).ok().filter(ours)
}

/// Whether a file has these bytes.
fn is_same(file: &Path, bytes: &[u8], old: &mut Vec<u8>) -> bool {
    let size = bytes.len() as u64;
    if !may_stay(file).is_some_and(|status| u64::try_from(status.st_size) == Ok(size)) {
        return false;
    }
    old.clear();
    let read = File::open(file).and_then(|file| file.take(size + 1).read_to_end(old));
    read.is_ok() && old == bytes
}
