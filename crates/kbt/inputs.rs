//! What a run reads: the depfile names it, and no result may replace it.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use crate::dtbo::select::EntryRef;
use crate::input;
use crate::packed::{Packed, Words as _};
use crate::report::Failure;

/// The files that a run reads, as the user named them.
#[derive(Debug, Default)]
pub struct Inputs {
    /// There may be many thousands. A name may stand here more than once.
    names: Packed,
    /// What each of them is to the run.
    uses: Vec<Use>,
    /// Which files these are, asked for when the first result has the name of a file.
    places: OnceCell<HashMap<Identity, Place>>,
}

/// What a file is to the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Read,
    /// Seen and not read: no depfile names it.
    Unread,
    /// Read; the run's own result may take its place.
    Changed,
}

/// Device and inode: the same whatever the spelling, behind links too.
type Identity = (u64, u64);

/// A file that a run has to do with, by one of its names.
#[derive(Debug)]
struct Place {
    name: usize,
    /// Whether the result may take it, whatever the name.
    changed: bool,
}

impl Inputs {
    /// Adds a file that is read.
    pub fn file(&mut self, name: impl AsRef<OsStr>) {
        self.add(name.as_ref(), Use::Read);
    }

    /// Adds files that are read.
    pub fn files<N: AsRef<OsStr>>(&mut self, names: impl IntoIterator<Item = N>) {
        names.into_iter().for_each(|name| self.file(name));
    }

    /// Adds where a tree is read from: a file, or an entry's image.
    pub fn tree(&mut self, word: &OsStr) {
        match EntryRef::parse(word) {
            Some(entry) => self.file(entry.image),
            None => self.file(word),
        }
    }

    /// Adds a file that was not read, and may not be replaced either.
    pub fn unread(&mut self, name: impl AsRef<OsStr>) {
        self.add(name.as_ref(), Use::Unread);
    }

    /// Adds a file whose place the result may take, because it is that file changed, or because that is what users of the
    /// replaced tool do.
    pub fn changed(&mut self, name: impl AsRef<OsStr>) {
        self.add(name.as_ref(), Use::Changed);
    }

    /// The same for a tree; but an image is something else than its entry.
    pub fn changed_tree(&mut self, word: &OsStr) {
        match EntryRef::parse(word) {
            Some(_) => self.tree(word),
            None => self.changed(word),
        }
    }

    fn add(&mut self, name: &OsStr, is: Use) {
        self.names.add(name.as_bytes());
        self.uses.push(is);
        self.places.take();
    }

    /// The names of what is read, each once and in order. Standard input has none.
    pub fn names(&self) -> impl Iterator<Item = &OsStr> {
        let mut known = HashSet::new();
        let read = self.names.iter().zip(&self.uses).filter(|(_, is)| **is != Use::Unread);
        read.map(|(name, _)| OsStr::from_bytes(name)).filter(move |name| *name != "-" && known.insert(*name))
    }

    /// Refuses a result where `old`, which stands under its name, is an input; `is_change` says whether it is the result
    /// for which [`Inputs::changed`] makes an exception.
    ///
    /// # Errors
    /// A usage failure about `path`.
    pub fn spare(&self, path: &Path, old: &Metadata, is_change: bool) -> Result<(), Failure> {
        let place = |identity| self.places.get_or_init(|| self.find()).get(&identity);
        let Some(place) = identity(old).and_then(place) else { return Ok(()) };
        if is_change && place.changed {
            return Ok(());
        }
        let name = self.names.word(place.name).unwrap_or_default();
        let message = match name == path.as_os_str() {
            true => "this result would replace an input".to_owned(),
            false => format!("this result would replace an input, {}", input::name(name)),
        };
        Err(Failure::usage(message).at_file(path.display()).hint("name another file for the result"))
    }

    /// Refuses a standard output that is one of the inputs, which the shell has opened (`>>FILE`, `1<>FILE`), as cat(1) does.
    ///
    /// # Errors
    /// A usage failure.
    pub fn spare_behind_stdout(&self) -> Result<(), Failure> {
        let stdout = io::stdout().as_fd().try_clone_to_owned().and_then(|fd| File::from(fd).metadata());
        // What is closed is told where it is written to.
        let Ok(Some(identity)) = stdout.map(|status| identity(&status)) else { return Ok(()) };
        let Some(place) = self.places.get_or_init(|| self.find()).get(&identity) else { return Ok(()) };
        let name = self.names.word(place.name).unwrap_or_default();
        let message = format!("this result would go into an input, {}", input::name(name));
        Err(Failure::usage(message).at_file("standard output").hint("name another file for the result"))
    }

    fn find(&self) -> HashMap<Identity, Place> {
        let mut places: HashMap<Identity, Place> = HashMap::new();
        for (index, (name, is)) in self.names.iter().zip(&self.uses).enumerate() {
            let Some(identity) = metadata(OsStr::from_bytes(name)).ok().as_ref().and_then(identity) else {
                continue;
            };
            let changed = *is == Use::Changed;
            let place = places.entry(identity).or_insert(Place { name: index, changed });
            // Where the file is an input under another name, too, that may not be replaced, that one counts.
            if place.changed && !changed {
                *place = Place { name: index, changed };
            }
        }
        places
    }
}

fn metadata(name: &OsStr) -> io::Result<Metadata> {
    if name == "-" {
        File::from(io::stdin().as_fd().try_clone_to_owned()?).metadata()
    } else {
        fs::metadata(name)
    }
}

/// Files and disks lose what is written over; a terminal, a pipe or /dev/null may be read and written.
fn identity(status: &Metadata) -> Option<Identity> {
    let keeps = status.is_file() || status.file_type().is_block_device();
    keeps.then(|| (status.dev(), status.ino()))
}
