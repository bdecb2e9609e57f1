//! `--incremental`: only what changed since the last run is read again, and only what that changes is made anew.
//!
//! **Idea.** A cache outside of the module directory has what each module gave, with the identity of the file: device,
//! inode, size, times. A file of the same identity is the same file, but for a change within one tick of the file system's
//! clock, which leaves the times as they are. So a run first asks for the time, by making a file without a name in the
//! module directory, and keeps only what was last changed before: a later change has a later time. (git does the same
//! with its index.)
//!
//! Facts have a checksum of each kind, and so has what an output is made of. An output that was made of the same, and is
//! there with its bytes, stays (`plan.rs`); facts that nothing is made of are not even read (`stored.rs`).
//!
//! **Limits.** When times count, `now.rs` says. A store through a shared mapping moves the time of change at the first one to
//! a clean page only. `--verify` trusts no clock: contents are read and compared by their checksum.
//!
//! There are two files. What changed since the cache was written goes to a small one beside it, which names the large
//! one by its checksum; where it would grow the large one is written anew.

mod now;
mod plan;
mod stored;

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kbt_depmod::{
    CacheEntry, Checksums, Digest, Exported, Facts, FileIdentity, KnownFile, Level, ModuleFacts, ModuleFile,
    Modules, REGIONS, Resolution, write_cache,
};

use super::find::Found;
use super::log::Log;
use super::read::{self, Reading};
use super::settings::Settings;
use super::{Stop, path};
use crate::args::depmod::Depmod;
use crate::workers::{self, Jobs};
use now::Now;
pub use now::identity;
pub use plan::Plan;
use stored::{Part, Stored};

/// Bytes of a file that are read at once for its checksum.
const PIECE: usize = 1 << 18;

/// What a checksum takes, about: to open the file, and for so many of its bytes a nanosecond.
const OPENING: Duration = Duration::from_micros(10);
const BYTES_IN_A_NANOSECOND: u64 = 2;

/// The share of the modules that the small file may hold.
const CHANGES: usize = 16;

/// A cache, opened before the modules are looked at.
pub struct Incremental {
    file: PathBuf,
    purpose: Vec<u8>,
    large: Option<Stored>,
    small: Option<Stored>,
    verify: bool,
    now: Now,
}

impl Incremental {
    /// Opens the cache that the arguments ask for. Where modules are named there is nothing to keep.
    pub fn wanted(args: &Depmod, settings: &Settings, log: &mut Log<'_>) -> Option<Self> {
        let directory = args.incremental.as_ref()?.as_ref();
        let Some(directory) = directory.map(PathBuf::from).or_else(default_directory) else {
            log.tell(
                Level::Warning,
                "nothing is kept: neither XDG_CACHE_HOME nor HOME names a directory; give --incremental=DIR",
            );
            return None;
        };
        settings.named.is_none().then(|| Self::open(settings, &directory, args.verify))
    }

    fn open(settings: &Settings, directory: &Path, verify: bool) -> Self {
        let version = String::from_utf8_lossy(&settings.version);
        let name = format!("depmod-{version}-{:032x}", Digest::of(&settings.directory)).replace('/', "_");
        let file = directory.join(name);
        let purpose = [env!("CARGO_PKG_VERSION").as_bytes(), b" ", &settings.directory].concat();
        let (large, small) = (Stored::open(&file), Stored::open(&beside(&file)));
        let now = Now::ask(&settings.directory, directory);
        Self { file, purpose, large, small, verify, now }
    }

    /// Whether there is something that an earlier run has kept.
    pub fn has_cache(&self) -> bool {
        self.large.is_some()
    }

    /// What all modules give: what was kept of a file that is the same, else read anew; or, if `anew`, because what was kept
    /// turned out to be broken, all of it.
    pub fn gather(
        &self,
        found: &Found,
        (strict, anew): (bool, bool),
        jobs: Jobs,
        log: &mut Log<'_>,
    ) -> Result<Gathered<'_>, Stop> {
        let modules = &found.modules;
        let contents = if self.verify { contents(found, jobs, log)? } else { Vec::new() };
        let large = self.large.as_ref().filter(|_| !anew).and_then(|stored| stored.part(&self.purpose));
        let purpose = self.purpose_of_changes();
        let small = self.small.as_ref().filter(|_| large.is_some()).and_then(|stored| stored.part(&purpose));
        let mut gathered = Gathered { pieces: Vec::new(), contents, large, small };
        let mut hint = 0;
        for (index, file) in modules.iter().enumerate() {
            let piece = gathered.find(file.path, &mut hint).filter(|(_, entry)| match self.verify {
                true => entry.content != 0 && gathered.contents.get(index) == Some(&entry.content),
                false => found.identities.get(file.tag as usize) == Some(&entry.identity),
            });
            gathered.pieces.push(piece.map_or_else(Piece::none, |(piece, _)| piece));
        }
        gathered.read(modules, strict, jobs, log)?;
        Ok(gathered)
    }

    /// Keeps what this run has learnt: what modules gave, and what was made of it.
    pub fn keep(&self, found: &Found, mut gathered: Gathered<'_>, learnt: &Learnt, log: &mut Log<'_>) {
        let modules = &found.modules;
        let read = gathered.pieces.iter().any(|piece| matches!(piece, Piece::Read(_)));
        let resolution = gathered.last().map(|last| last.cache.resolution());
        if !read && gathered.known() == learnt.known && resolution == Some(&learnt.resolution) {
            return;
        }
        let changed = gathered.pieces.iter().filter(|piece| !matches!(piece, Piece::Large(_))).count();
        let small = gathered.large.is_some() && changed <= modules.len() / CHANGES;
        gathered.load_whole(!small);
        let entries = self.entries(found, &gathered, small);
        if let Err(why) = self.write(small, learnt, &entries) {
            log.tell(Level::Warning, format!("cannot keep what was read in {}: {why}", self.file.display()));
        }
    }

    /// What the small file is to have, or the large one.
    fn entries<'g>(
        &self,
        found: &'g Found,
        gathered: &'g Gathered<'_>,
        small: bool,
    ) -> Vec<(CacheEntry<'g>, Facts<'g>)> {
        let entry = |(index, (file, piece)): (usize, (ModuleFile<'g>, &'g Piece))| match piece {
            Piece::Small(entry) => gathered.small.as_ref()?.entry(*entry),
            Piece::Large(_) if small => None,
            Piece::Large(entry) => gathered.large.as_ref()?.entry(*entry),
            Piece::Read(Reading::Broken(_)) => None,
            Piece::Read(Reading::Whole(facts)) => {
                let identity = found.identities.get(file.tag as usize).copied().unwrap_or_default();
                let content = gathered.contents.get(index).copied().unwrap_or_default();
                self.entry(file.path, identity, content, facts)
            }
        };
        found.modules.iter().zip(&gathered.pieces).enumerate().filter_map(entry).collect()
    }

    /// What may be kept of a module that was read.
    fn entry<'e>(
        &self,
        file: &'e [u8],
        identity: FileIdentity,
        content: u128,
        facts: &'e ModuleFacts,
    ) -> Option<(CacheEntry<'e>, Facts<'e>)> {
        // It may have changed between its checksum and its reading.
        let same = content != 0 && self::content(path(file)).ok() == Some(content);
        let content = if same { content } else { 0 };
        let settled = self.now.is_after(&identity);
        // With a checksum of the content, the clock matters only to a later run without --verify.
        let identity = if settled { identity } else { FileIdentity::default() };
        let facts = facts.view();
        let entry = CacheEntry { path: file, identity, content, checksums: facts.checksums() };
        (settled || same).then_some((entry, facts))
    }

    fn write(
        &self,
        small: bool,
        learnt: &Learnt,
        entries: &[(CacheEntry<'_>, Facts<'_>)],
    ) -> Result<(), String> {
        let (file, purpose) = match small {
            true => (beside(&self.file), self.purpose_of_changes()),
            false => (self.file.clone(), self.purpose.clone()),
        };
        let bytes = write_cache(&purpose, &learnt.known, &learnt.resolution, entries);
        stored::write(&file, &bytes.ok_or("it would pass 4 GiB")?)
    }

    /// The small file belongs to one state of the large one.
    fn purpose_of_changes(&self) -> Vec<u8> {
        let large = self.large.as_ref().map(Stored::head).unwrap_or_default();
        [self.purpose.as_slice(), b" ", large].concat()
    }
}

/// The small file of a large one.
fn beside(file: &Path) -> PathBuf {
    file.with_added_extension("changes")
}

/// What a run has made of its modules.
pub struct Learnt {
    pub known: Vec<KnownFile>,
    pub resolution: Resolution,
}

/// What all modules give.
pub struct Gathered<'c> {
    /// One for each module.
    pieces: Vec<Piece>,
    /// The checksum of each module's content, 0 where it cannot be read; none where they were not asked for.
    contents: Vec<u128>,
    large: Option<Part<'c>>,
    small: Option<Part<'c>>,
}

enum Piece {
    /// An entry of the small file.
    Small(usize),
    /// An entry of the large one.
    Large(usize),
    Read(Reading),
}

impl Piece {
    /// To be read.
    fn none() -> Self {
        Self::Read(Reading::Broken(ModuleFacts::default()))
    }
}

impl<'c> Gathered<'c> {
    /// Facts that were all read.
    pub fn all(facts: Vec<Reading>) -> Self {
        let pieces = facts.into_iter().map(Piece::Read).collect();
        Self { pieces, contents: Vec::new(), large: None, small: None }
    }

    /// What is kept of the module of this path; `hint` is where the large file may have it.
    fn find(&self, path: &[u8], hint: &mut usize) -> Option<(Piece, CacheEntry<'c>)> {
        if let Some(small) = &self.small
            && let Some(index) = small.cache.find(path, usize::MAX)
        {
            // The large one has it, too, as it was.
            *hint += 1;
            return Some((Piece::Small(index), small.cache.entry(index)?));
        }
        let large = &self.large.as_ref()?.cache;
        let index = large.find(path, *hint)?;
        *hint = index + 1;
        Some((Piece::Large(index), large.entry(index)?))
    }

    /// Reads the modules of which nothing is kept.
    fn read(&mut self, modules: &Modules, strict: bool, jobs: Jobs, log: &mut Log<'_>) -> Result<(), Stop> {
        let places = self.pieces.iter_mut().zip(modules.iter());
        let (places, files): (Vec<_>, Vec<_>) =
            places.filter(|(piece, _)| matches!(piece, Piece::Read(_))).unzip();
        log.report.field("reused", modules.len() - files.len());
        let facts = read::facts(modules.directory(), &files, strict, jobs, log)?;
        for (place, facts) in places.into_iter().zip(facts) {
            *place = Piece::Read(facts);
        }
        Ok(())
    }

    /// Reads a region of what was kept; `None` where it is not what was written.
    fn load(&mut self, region: usize) -> Option<()> {
        let mut parts = self.small.iter_mut().chain(&mut self.large);
        parts.all(|part| part.load(region)).then_some(())
    }

    /// Reads what one module wants, if that was kept.
    fn load_imports(&mut self, module: usize) -> Option<()> {
        let there = match self.pieces.get(module)? {
            Piece::Small(index) => self.small.as_mut()?.load_imports(*index),
            Piece::Large(index) => self.large.as_mut()?.load_imports(*index),
            Piece::Read(_) => true,
        };
        there.then_some(())
    }

    /// Whether a module may want one of these symbols.
    fn may_want(&self, module: usize, exported: &Exported) -> bool {
        let meet = |part: &Option<Part<'c>>, index| {
            part.as_ref().is_none_or(|part| exported.meet(part.wants(index)))
        };
        match self.pieces.get(module) {
            Some(Piece::Small(index)) => meet(&self.small, *index),
            Some(Piece::Large(index)) => meet(&self.large, *index),
            Some(Piece::Read(reading)) => exported.meet_facts(reading.facts()),
            None => true,
        }
    }

    /// Reads all facts of the small file, and if `large` of the large one. Where that cannot be done any more the entries
    /// are not kept any more.
    fn load_whole(&mut self, large: bool) {
        let is_whole = |part: &mut Part<'c>| (0..REGIONS).all(|region| part.load(region));
        self.small.take_if(|part| !is_whole(part));
        self.large.take_if(|part| large && !is_whole(part));
    }

    /// What is there of the facts, in the order of the modules.
    pub fn views(&self) -> Vec<Facts<'_>> {
        self.pieces.iter().map(|piece| self.view(piece).unwrap_or_default()).collect()
    }

    fn facts(&self, module: usize) -> Facts<'_> {
        self.pieces.get(module).and_then(|piece| self.view(piece)).unwrap_or_default()
    }

    fn view<'g>(&'g self, piece: &'g Piece) -> Option<Facts<'g>> {
        Some(match piece {
            Piece::Small(index) => self.small.as_ref()?.facts(*index),
            Piece::Large(index) => self.large.as_ref()?.facts(*index),
            Piece::Read(reading) => reading.facts(),
        })
    }

    /// How many symbols there are in what is there of the facts.
    pub fn symbols(&self) -> usize {
        self.pieces.iter().filter_map(|piece| self.view(piece)).map(|facts| facts.exports().len()).sum()
    }

    /// The checksums of all facts, in the order of the modules.
    fn checksums(&self) -> Vec<Checksums> {
        let of = |part: &Option<Part<'c>>, index| Some(part.as_ref()?.cache.entry(index)?.checksums);
        let checksums = |piece: &Piece| match piece {
            Piece::Small(index) => of(&self.small, *index).unwrap_or_default(),
            Piece::Large(index) => of(&self.large, *index).unwrap_or_default(),
            Piece::Read(reading) => reading.facts().checksums(),
        };
        self.pieces.iter().map(checksums).collect()
    }

    /// What the last run left.
    fn last(&self) -> Option<&Part<'c>> {
        self.small.as_ref().or(self.large.as_ref())
    }

    /// The files that it knew.
    fn known(&self) -> &[KnownFile] {
        self.last().map(|last| last.cache.known()).unwrap_or_default()
    }
}

/// The checksum of each module's content, 0 where it cannot be read.
fn contents(found: &Found, jobs: Jobs, log: &mut Log<'_>) -> Result<Vec<u128>, Stop> {
    let files: Vec<_> = found.modules.iter().collect();
    let step = |file: &ModuleFile<'_>| Ok(content(path(file.path)).unwrap_or_default());
    let cost = |file: &ModuleFile<'_>| {
        let size = found.identities.get(file.tag as usize).map_or(0, |identity| identity.size);
        OPENING.saturating_add(Duration::from_nanos(size / BYTES_IN_A_NANOSECOND))
    };
    workers::map(jobs, log.report, "modules compared", &files, cost, step).map_err(Stop::Fatal)
}

fn content(path: &Path) -> std::io::Result<u128> {
    let mut file = File::open(path)?;
    let mut digest = Digest::default();
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(digest.finish()),
            Ok(count) => digest.update(piece.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// For root a place that lasts, for others theirs, if they have one.
fn default_directory() -> Option<PathBuf> {
    let of = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if rustix::process::geteuid().is_root() {
        return Some(PathBuf::from("/var/cache/kbt"));
    }
    let cache = of("XDG_CACHE_HOME").or_else(|| of("HOME").map(|home| home.join(".cache")));
    cache.map(|cache| cache.join("kbt"))
}
