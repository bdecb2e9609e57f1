//! What a run reads: the depfile names it, and no result may replace it.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;
use std::sync::Arc;

use crate::dtbo::select::EntryRef;
use crate::input;
use crate::report::Failure;

/// The files that a run reads, as the user named them.
#[derive(Debug, Default)]
pub struct Inputs {
    /// Each name is kept once, wherever it stands: there may be many thousands.
    names: Vec<Arc<OsStr>>,
    known: HashSet<Arc<OsStr>>,
    /// Files that the run has seen and not read: no depfile names them.
    unread: Vec<Arc<OsStr>>,
    /// The one whose place the run's own result may take.
    changed: Option<Arc<OsStr>>,
    /// Which files these are, asked for when the first result has the name of a file.
    places: OnceCell<HashMap<Identity, Arc<OsStr>>>,
}

/// Device and inode: the same whatever the spelling, behind links too.
type Identity = (u64, u64);

impl Inputs {
    /// Adds a file that is read.
    pub fn file(&mut self, name: impl AsRef<OsStr>) {
        let name = name.as_ref();
        if !self.known.contains(name) {
            let name: Arc<OsStr> = name.into();
            self.known.insert(Arc::clone(&name));
            self.names.push(name);
            self.places.take();
        }
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
        self.unread.push(name.as_ref().into());
        self.places.take();
    }

    /// Adds a file whose place the result may take, because it is that file changed.
    pub fn changed(&mut self, name: impl AsRef<OsStr>) {
        self.file(&name);
        self.changed = Some(name.as_ref().into());
    }

    /// The same for a tree; but an image is something else than its entry.
    pub fn changed_tree(&mut self, word: &OsStr) {
        match EntryRef::parse(word) {
            Some(_) => self.tree(word),
            None => self.changed(word),
        }
    }

    /// The names of what is read, each once and in order. Standard input has none.
    pub fn names(&self) -> impl Iterator<Item = &OsStr> {
        self.names.iter().map(|name| &**name).filter(|name| *name != "-")
    }

    /// Refuses a result where `old`, which stands under its name, is an input; `is_change` says whether it is the result
    /// for which [`Inputs::changed`] makes an exception.
    ///
    /// # Errors
    /// A usage failure about `path`.
    pub fn spare(&self, path: &Path, old: &Metadata, is_change: bool) -> Result<(), Failure> {
        let places = self.places.get_or_init(|| self.find());
        let Some(name) = identity(old).and_then(|identity| places.get(&identity)) else { return Ok(()) };
        if is_change && self.changed.as_ref() == Some(name) {
            return Ok(());
        }
        let message = match **name == *path.as_os_str() {
            true => "this result would replace an input".to_owned(),
            false => format!("this result would replace an input, {}", input::name(name)),
        };
        Err(Failure::usage(message).at_file(path.display()).hint("name another file for the result"))
    }

    fn find(&self) -> HashMap<Identity, Arc<OsStr>> {
        let mut places = HashMap::new();
        // What is changed comes first: where the file is an input under another name, too, that one counts.
        let names =
            self.changed.iter().chain(self.names.iter().filter(|name| Some(*name) != self.changed.as_ref()));
        for name in names.chain(&self.unread) {
            if let Some(identity) = metadata(name).ok().as_ref().and_then(identity) {
                places.insert(identity, Arc::clone(name));
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
