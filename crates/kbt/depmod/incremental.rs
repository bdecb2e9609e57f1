//! `--incremental`: only what changed since the last run is read again.
//!
//! **Idea.** A cache outside of the module directory has what each module gave, with the identity of the file: device,
//! inode, size, times. A file of the same identity is the same file, but for a change within one tick of the file system's
//! clock, which leaves the times as they are. So a run first asks for the time, by making a file without a name in the
//! module directory, and keeps only what was last changed before: a later change has a later time. (git does the same
//! with its index.)
//!
//! **Limits.** The time of change cannot be set by users, only by who sets the clock back, and by who makes the image of
//! a file system. So times count only on the file systems of the cache itself, of `/` and of `/usr`, which are not
//! exchanged for others below the cache, and only where a file can be made; all else is read again each time. A store
//! through a shared mapping moves the time of change at the first one to a clean page only. `--verify` trusts no clock:
//! contents are read and compared by their checksum.
//!
//! There are two files. What changed since the cache was written goes to a small one beside it, which names the large
//! one by its checksum; where it would grow the large one is written anew.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use kbt_depmod::{
    CACHE_HEAD, Cache, CacheEntry, Digest, Facts, FileIdentity, KnownFile, Level, ModuleFacts, Modules,
    Output, Outputs, write_cache,
};
use rustix::fs::{Mode, OFlags, Stat, fstat, open, stat};

use super::log::Log;
use super::read::{self, Reading};
use super::settings::Settings;
use super::{Stop, path};
use crate::args::depmod::Depmod;
use crate::modules_dir::text;
use crate::output::Set;
use crate::workers::{self, Jobs};

/// Bytes of the largest cache that is read.
const MAX_CACHE: u64 = 1 << 30;

/// Bytes of a file that are read at once for its checksum.
const PIECE: usize = 1 << 18;

/// A cache, opened before the modules are looked at.
pub struct Incremental {
    file: PathBuf,
    purpose: Vec<u8>,
    bytes: Vec<u8>,
    /// The small file beside it.
    changes: Vec<u8>,
    verify: bool,
    now: Now,
}

/// The share of the modules that the small file may hold.
const CHANGES: usize = 16;

/// The time at the start of the run by the clock of the module directory's file system, and which that is; `None` where
/// no clock can be believed.
struct Now(Option<(u64, (i64, u64))>);

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
        let bytes = read_own(&file).unwrap_or_default();
        let changes = read_own(&beside(&file)).unwrap_or_default();
        let now = Now::ask(&settings.directory, directory);
        Self { file, purpose, bytes, changes, verify, now }
    }

    /// The facts of all modules, those of `identities` (by the modules' tags): kept ones where the file is the same, else
    /// read anew.
    pub fn facts(
        &self,
        modules: &Modules,
        identities: &[FileIdentity],
        strict: bool,
        jobs: Jobs,
        log: &mut Log<'_>,
    ) -> Result<Gathered<'_>, Stop> {
        let cache = Cache::parse(&self.bytes, &self.purpose);
        let changes = cache.as_ref().and_then(|_| Cache::parse(&self.changes, &self.purpose_of_changes()));
        let find = |path: &[u8]| {
            let changed = changes.as_ref().and_then(|changes| changes.find(path));
            changed.or_else(|| cache.as_ref()?.find(path)).copied()
        };
        let contents = if self.verify { contents(modules, jobs, log)? } else { vec![0; modules.len()] };
        let known = changes.as_ref().or(cache.as_ref()).map(|cache| cache.known().to_vec());
        let mut gathered = Gathered { contents, known: known.unwrap_or_default(), ..Gathered::default() };
        let mut missing = Vec::new();
        for (index, file) in modules.iter().enumerate() {
            let kept = find(file.path).filter(|entry| {
                if self.verify {
                    entry.content != 0 && gathered.contents.get(index) == Some(&entry.content)
                } else {
                    identities.get(file.tag as usize) == Some(&entry.identity)
                }
            });
            if kept.is_none() {
                missing.push((index, file));
            }
            gathered.pieces.push(kept.map_or_else(Piece::none, Piece::Kept));
        }
        gathered.cache = cache;
        let files: Vec<_> = missing.iter().map(|(_, file)| *file).collect();
        log.report.field("reused", modules.len() - files.len());
        for ((index, _), facts) in
            missing.iter().zip(read::facts(modules.directory(), &files, strict, jobs, log)?)
        {
            if let Some(place) = gathered.pieces.get_mut(*index) {
                *place = Piece::Read(facts);
            }
        }
        Ok(gathered)
    }

    /// Keeps what this run has learnt: what modules gave, and of what the indexes were made.
    pub fn keep(
        &self,
        modules: &Modules,
        identities: &[FileIdentity],
        gathered: &Gathered<'_>,
        outputs: &Outputs,
        log: &mut Log<'_>,
    ) {
        let known = gathered.known_files(outputs);
        let read = gathered.pieces.iter().any(|piece| matches!(piece, Piece::Read(_)));
        if !read && known == gathered.known {
            return;
        }
        let mut entries = Vec::with_capacity(modules.len());
        for (index, file) in modules.iter().enumerate() {
            let content = gathered.contents.get(index).copied().unwrap_or_default();
            let identity = identities.get(file.tag as usize).copied().unwrap_or_default();
            entries.extend(match gathered.pieces.get(index) {
                Some(Piece::Kept(entry)) => Some(*entry),
                Some(Piece::Read(Reading::Whole(facts))) => self.entry(file.path, identity, content, facts),
                _ => None,
            });
        }
        if let Err(why) = self.write(&known, &entries, gathered) {
            log.tell(Level::Warning, format!("cannot keep what was read in {}: {why}", self.file.display()));
        }
    }

    /// What may be kept of a module that was read.
    fn entry<'e>(
        &self,
        file: &'e [u8],
        identity: FileIdentity,
        content: u128,
        facts: &'e ModuleFacts,
    ) -> Option<CacheEntry<'e>> {
        // It may have changed between its checksum and its reading.
        let same = content != 0 && self::content(path(file)).ok() == Some(content);
        let content = if same { content } else { 0 };
        let settled = self.now.is_after(&identity);
        // With a checksum of the content, the clock matters only to a later run without --verify.
        let identity = if settled { identity } else { FileIdentity::default() };
        (settled || same).then_some(CacheEntry { path: file, identity, content, facts: facts.view() })
    }

    fn write(
        &self,
        known: &[KnownFile],
        entries: &[CacheEntry<'_>],
        gathered: &Gathered<'_>,
    ) -> Result<(), String> {
        let large = gathered.cache.as_ref();
        let is_new = |entry: &&CacheEntry<'_>| large.and_then(|large| large.find(entry.path)) != Some(*entry);
        let changed: Vec<CacheEntry<'_>> = entries.iter().filter(is_new).copied().collect();
        let small = large.is_some() && changed.len() <= entries.len() / CHANGES;
        let written = match small {
            true => write_cache(&self.purpose_of_changes(), known, &changed),
            false => write_cache(&self.purpose, known, entries),
        };
        let bytes = written.ok_or("it would pass 4 GiB")?;
        write_own(&if small { beside(&self.file) } else { self.file.clone() }, &bytes)
    }

    /// The small file belongs to one state of the large one.
    fn purpose_of_changes(&self) -> Vec<u8> {
        let large = self.bytes.get(..CACHE_HEAD).unwrap_or_default();
        [self.purpose.as_slice(), b" ", large].concat()
    }
}

/// The small file of a large one.
fn beside(file: &Path) -> PathBuf {
    file.with_added_extension("changes")
}

/// The facts of all modules.
#[derive(Default)]
pub struct Gathered<'c> {
    /// One for each module.
    pieces: Vec<Piece<'c>>,
    /// The checksum of each module's content, 0 where none was made.
    contents: Vec<u128>,
    /// Indexes that were there after the last run.
    known: Vec<KnownFile>,
    /// What the large file has.
    cache: Option<Cache<'c>>,
}

enum Piece<'c> {
    Kept(CacheEntry<'c>),
    Read(Reading),
}

impl Piece<'_> {
    fn view(&self) -> Facts<'_> {
        match self {
            Self::Kept(entry) => entry.facts,
            Self::Read(Reading::Whole(facts) | Reading::Broken(facts)) => facts.view(),
        }
    }

    /// To be filled.
    fn none() -> Self {
        Self::Read(Reading::Broken(ModuleFacts::default()))
    }
}

impl Gathered<'_> {
    /// Facts that were all read.
    pub fn read(facts: Vec<Reading>) -> Self {
        Self { pieces: facts.into_iter().map(Piece::Read).collect(), ..Self::default() }
    }

    /// Whether the index that is made of inputs with this checksum lies in `directory` already.
    pub fn knows(&self, directory: &[u8], output: Output, inputs: u128) -> bool {
        let same = |known: &&KnownFile| known.output == output && known.inputs == inputs;
        let Some(known) = self.known.iter().find(same) else { return false };
        let file = path(directory).join(output.name());
        let regular = fs::symlink_metadata(&file).is_ok_and(|status| status.is_file());
        regular && fs::read(&file).is_ok_and(|bytes| Digest::of(&bytes) == known.bytes)
    }

    /// The indexes that are there now.
    fn known_files(&self, outputs: &Outputs) -> Vec<KnownFile> {
        let known = |&(output, inputs): &(Output, u128)| {
            let bytes = match outputs.get(output) {
                Some(bytes) => Digest::of(bytes),
                None => self.known.iter().find(|known| known.output == output)?.bytes,
            };
            Some(KnownFile { output, inputs, bytes })
        };
        outputs.indexes().iter().filter_map(known).collect()
    }

    /// In the order of the modules.
    pub fn views(&self) -> Vec<Facts<'_>> {
        self.pieces.iter().map(Piece::view).collect()
    }
}

impl Now {
    fn ask(modules: &[u8], cache: &Path) -> Self {
        let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        let made = open(path(modules), flags, Mode::RUSR).and_then(fstat).ok();
        let made = made.map(|status| identity(&status)).map(|made| (made.device, made.changed));
        // A cache that is made first lies on the device of what is there of its path.
        let cache = cache.ancestors().find_map(|path| stat(path).ok());
        let lasting = [cache, stat("/").ok(), stat("/usr").ok()];
        let lasts = |device: u64| lasting.iter().flatten().any(|status| status.st_dev == device);
        Self(made.filter(|(device, _)| lasts(*device)))
    }

    /// Whether a file of this identity was last changed before, so that a later change would show.
    fn is_after(&self, identity: &FileIdentity) -> bool {
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

/// The checksum of each module's content, 0 where it cannot be read.
fn contents(modules: &Modules, jobs: Jobs, log: &mut Log<'_>) -> Result<Vec<u128>, Stop> {
    let files: Vec<_> = modules.iter().collect();
    let cost = |_: &_| std::time::Duration::ZERO;
    let step = |file: &kbt_depmod::ModuleFile<'_>| Ok(content(path(file.path)).unwrap_or_default());
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

/// A file that nobody else can have written.
fn read_own(file: &Path) -> Option<Vec<u8>> {
    // Nothing to wait for, be it a FIFO.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(open(file, flags, Mode::empty()).ok()?);
    let status = file.metadata().ok()?;
    let own =
        status.is_file() && status.uid() == rustix::process::geteuid().as_raw() && status.mode() & 0o022 == 0;
    let size = Some(status.len()).filter(|&size| own && size <= MAX_CACHE)?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(usize::try_from(size).ok()?).ok()?;
    file.take(size).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

fn write_own(file: &Path, bytes: &[u8]) -> Result<(), String> {
    if let Some(directory) = file.parent() {
        fs::create_dir_all(directory).map_err(text)?;
    }
    let mut set = Set::default();
    // What others could write is not believed.
    set.add_own(file, bytes, 0o600).and_then(|()| set.publish(false)).map_err(|failure| failure.message)
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
