//! Which files are modules: one a name, and which of two wins.

use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::config::{Config, Search};
use crate::hash::{MODULE_BUCKETS, bucket};
use crate::names::{base_start, push_module_name};

/// Modules that one directory may have: kmod counts them in 16 bits.
pub const MAX_MODULES: usize = 65534;

/// A module's file, all of it places in one text.
#[derive(Debug, Clone, Copy)]
struct Entry {
    path: u32,
    path_end: u32,
    name_end: u32,
    /// Where the base name begins in the path.
    base: u32,
    tag: u32,
}

/// The modules of one directory, in the order in which they were found until [`Modules::sort`] gives them kmod's.
pub struct Modules {
    /// Of each module its path, then its name.
    text: Vec<u8>,
    entries: Vec<Entry>,
    by_name: HashTable<u32>,
    seed: RandomState,
    /// The directory, without a slash at the end.
    directory: Vec<u8>,
}

/// One module's file.
#[derive(Debug, Clone, Copy)]
pub struct ModuleFile<'m> {
    /// The path as it was found.
    pub path: &'m [u8],
    /// The path below the directory, or all of it where it lies outside.
    pub relative: &'m [u8],
    /// The name of the module: `snd_hda_intel`.
    pub name: &'m [u8],
    /// What was given with it.
    pub tag: u32,
}

impl Modules {
    /// None yet, of this directory.
    pub fn new(directory: &[u8]) -> Self {
        Self {
            text: Vec::new(),
            entries: Vec::new(),
            by_name: HashTable::new(),
            seed: RandomState::default(),
            directory: directory.to_vec(),
        }
    }

    /// The directory.
    pub fn directory(&self) -> &[u8] {
        &self.directory
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = ModuleFile<'_>> + Clone {
        self.entries.iter().map(|entry| self.file(entry))
    }

    /// One of them.
    pub fn get(&self, index: usize) -> Option<ModuleFile<'_>> {
        self.entries.get(index).map(|entry| self.file(entry))
    }

    /// The module of this name.
    pub fn find(&self, name: &[u8]) -> Option<usize> {
        let hash = self.seed.hash_one(name);
        self.by_name.find(hash, |&index| self.name(index as usize) == name).map(|&index| index as usize)
    }

    /// Takes the module at `path`, unless one of its name is there that has the higher priority.
    ///
    /// `tag` is the caller's: [`ModuleFile::tag`] has it again.
    pub fn offer(&mut self, path: &[u8], tag: u32, config: &Config) -> Offer {
        self.offer_below(b"", path, tag, config)
    }

    /// The same for a module whose path was found relative to a directory: `above`, with a slash at its end. The module
    /// has the whole path; for priorities, as in kmod, the new one is taken as it was found.
    pub fn offer_below(&mut self, above: &[u8], path: &[u8], tag: u32, config: &Config) -> Offer {
        let entry = self.push_text(above, path, tag);
        let Some(old) = self.find_entry(&entry) else {
            self.add(entry);
            return Offer::New;
        };
        let mine = self.entries.get(old).copied();
        if mine.is_some_and(|mine| self.wins(&mine, &entry, above.len(), config)) {
            self.text.truncate(entry.path as usize);
            return Offer::Lower(old);
        }
        if let Some(place) = self.entries.get_mut(old) {
            *place = entry;
        }
        Offer::Replaced
    }

    /// Takes a module that was named by the user, unless there is one of its name: then gives that.
    pub fn add_named(&mut self, path: &[u8], tag: u32) -> Result<(), ModuleFile<'_>> {
        let entry = self.push_text(b"", path, tag);
        if let Some(old) = self.find_entry(&entry).and_then(|old| self.entries.get(old)) {
            return Err(self.file(old));
        }
        self.add(entry);
        Ok(())
    }

    /// Gives the modules kmod's order: by the bucket of the name, then by the name.
    pub fn sort(&mut self) {
        let mut keyed: Vec<(u32, Entry)> =
            self.entries.iter().map(|entry| (bucket(self.name_of(entry), MODULE_BUCKETS), *entry)).collect();
        keyed.sort_unstable_by(|(a_bucket, a), (b_bucket, b)| {
            a_bucket.cmp(b_bucket).then_with(|| self.name_of(a).cmp(self.name_of(b)))
        });
        self.entries = keyed.into_iter().map(|(_, entry)| entry).collect();
        self.index_names();
    }

    /// Puts the modules in this order, which names each once.
    pub(crate) fn reorder(&mut self, order: &[u32]) {
        self.entries = order.iter().filter_map(|&index| self.entries.get(index as usize).copied()).collect();
        self.index_names();
    }

    /// The path of a module below the directory as modules.order has it: with `.ko` and no suffix of a compression.
    pub(crate) fn order_path(&self, index: usize) -> Option<&[u8]> {
        let entry = self.entries.get(index)?;
        let path = self.path_of(entry);
        let start = self.relative_start(path)?;
        let name = (entry.name_end - entry.path_end) as usize;
        path.get(start..entry.base as usize + name + b".ko".len())
    }

    fn index_names(&mut self) {
        let mut by_name = std::mem::take(&mut self.by_name);
        by_name.clear();
        let hash = |index: &u32| self.seed.hash_one(self.name(*index as usize));
        for index in (0..).take(self.entries.len()) {
            by_name.insert_unique(hash(&index), index, hash);
        }
        self.by_name = by_name;
    }

    fn push_text(&mut self, above: &[u8], path: &[u8], tag: u32) -> Entry {
        let start = self.text.len();
        self.text.extend_from_slice(above);
        self.text.extend_from_slice(path);
        let path_end = self.text.len();
        push_module_name(path, &mut self.text);
        // All paths together stay far below 4 GiB: each is at most a path's length, and they are at most MAX_MODULES
        // that count; a list that has more ends in an error.
        let narrow = |place: usize| u32::try_from(place).unwrap_or(u32::MAX);
        Entry {
            path: narrow(start),
            path_end: narrow(path_end),
            name_end: narrow(self.text.len()),
            base: narrow(above.len() + base_start(path)),
            tag,
        }
    }

    fn find_entry(&self, entry: &Entry) -> Option<usize> {
        self.find(self.name_of(entry))
    }

    fn add(&mut self, entry: Entry) {
        let index = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        self.entries.push(entry);
        let (entries, text, seed) = (&self.entries, &self.text, &self.seed);
        let hash = |index: &u32| {
            let name = entries.get(*index as usize).map(|entry| name_in(text, entry));
            seed.hash_one(name.unwrap_or_default())
        };
        self.by_name.insert_unique(hash(&index), index, hash);
    }

    fn file(&self, entry: &Entry) -> ModuleFile<'_> {
        let path = self.path_of(entry);
        let relative = self.relative_start(path).and_then(|start| path.get(start..)).unwrap_or(path);
        ModuleFile { path, relative, name: self.name_of(entry), tag: entry.tag }
    }

    fn name(&self, index: usize) -> &[u8] {
        self.entries.get(index).map(|entry| self.name_of(entry)).unwrap_or_default()
    }

    fn name_of(&self, entry: &Entry) -> &[u8] {
        name_in(&self.text, entry)
    }

    fn path_of(&self, entry: &Entry) -> &[u8] {
        self.text.get(entry.path as usize..entry.path_end as usize).unwrap_or_default()
    }

    fn relative_start(&self, path: &[u8]) -> Option<usize> {
        let rest = path.strip_prefix(self.directory.as_slice())?;
        (rest.first() == Some(&b'/')).then_some(self.directory.len() + 1)
    }

    /// Whether the module that is there has at least the priority of the new one, of whose path `skip` bytes do not count.
    fn wins(&self, old: &Entry, new: &Entry, skip: usize, config: &Config) -> bool {
        let place = |entry: &Entry, skip: usize| {
            let name = (entry.name_end - entry.path_end) as usize;
            let path = self.path_of(entry).get(skip..entry.base as usize + name).unwrap_or_default();
            // A path of another directory whose name begins like this one's loses a byte, as in kmod.
            let below = path.strip_prefix(self.directory.as_slice());
            Place { path, below: below.and_then(|below| below.get(1..)) }
        };
        old_wins(place(old, 0), place(new, skip), config)
    }
}

/// What became of an offered module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// Its name is new.
    New,
    /// It took another's place.
    Replaced,
    /// The module of this index has the higher priority.
    Lower(usize),
}

/// A path without its extension.
#[derive(Clone, Copy)]
struct Place<'p> {
    path: &'p [u8],
    below: Option<&'p [u8]>,
}

impl Place<'_> {
    fn is(self, path: &[u8]) -> bool {
        self.below == Some(path)
    }

    fn is_below(self, directory: &[u8]) -> bool {
        self.below.is_some_and(|below| is_below(below, directory))
    }
}

fn is_below(path: &[u8], directory: &[u8]) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.first() == Some(&b'/'))
}

/// Overrides first, then the `search` entries; entries are numbered, a higher number wins, and of equal ones the old.
/// An entry that matches the new path does not look at the old one.
fn old_wins(old: Place<'_>, new: Place<'_>, config: &Config) -> bool {
    for path in &config.overrides {
        if new.is(path) {
            return false;
        }
        if old.is(path) {
            return true;
        }
    }
    let (mut built_in, mut old_priority, mut new_priority) = (None, None, None);
    let mut number = 0;
    // What is below an external directory is so at every such entry, and the last has the highest numbers.
    let last = config.searches.iter().rposition(|search| *search == Search::External);
    for (at, search) in config.searches.iter().enumerate() {
        match search {
            Search::BuiltIn => built_in = Some(number),
            Search::External if Some(at) != last => number += config.externals.len(),
            Search::External => {
                for external in &config.externals {
                    if is_below(new.path, external) {
                        new_priority = Some(number);
                    }
                    if is_below(old.path, external) {
                        old_priority = Some(number);
                    }
                    number += 1;
                }
            }
            Search::Path(path) if new.is_below(path) => new_priority = Some(number),
            Search::Path(path) if old.is_below(path) => old_priority = Some(number),
            Search::Path(_) => {}
        }
        number += 1;
    }
    new_priority.or(built_in) <= old_priority.or(built_in)
}

fn name_in<'t>(text: &'t [u8], entry: &Entry) -> &'t [u8] {
    text.get(entry.path_end as usize..entry.name_end as usize).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Messages;

    const DIRECTORY: &str = "/lib/modules/6.1";

    fn winner(config: &str, paths: &[&str]) -> String {
        let mut messages = Messages::default();
        let config = Config::parse([(b"c".as_slice(), config.as_bytes())], b"6.1", &mut messages);
        let mut modules = Modules::new(DIRECTORY.as_bytes());
        for path in paths {
            modules.offer(path.as_bytes(), 0, &config);
        }
        assert_eq!(modules.len(), 1);
        let path = modules.get(0).unwrap().path;
        String::from_utf8(path.to_vec()).unwrap()
    }

    const KERNEL: &str = "/lib/modules/6.1/kernel/a.ko";
    const OTHER: &str = "/lib/modules/6.1/other/a.ko.xz";
    const UPDATES: &str = "/lib/modules/6.1/updates/a.ko";
    const DEEP: &str = "/lib/modules/6.1/updates/x/a.ko";
    const FAR: &str = "/opt/m/a.ko";

    #[test]
    fn updates_win_and_of_equal_ones_the_first() {
        assert_eq!(winner("", &[KERNEL, UPDATES]), UPDATES);
        assert_eq!(winner("", &[UPDATES, KERNEL]), UPDATES);
        assert_eq!(winner("", &[KERNEL, OTHER]), KERNEL);
        assert_eq!(winner("", &[OTHER, KERNEL]), OTHER);
    }

    #[test]
    fn inside_one_searched_directory_the_last_read_wins() {
        assert_eq!(winner("", &[UPDATES, DEEP]), DEEP);
        assert_eq!(winner("", &[DEEP, UPDATES]), UPDATES);
    }

    #[test]
    fn an_override_wins_over_every_search_entry() {
        assert_eq!(winner("override a * other\n", &[UPDATES, OTHER]), OTHER);
        assert_eq!(winner("override a * other\n", &[OTHER, UPDATES]), OTHER);
        assert_eq!(winner("override a * other\noverride a * kernel\n", &[OTHER, KERNEL]), KERNEL);
    }

    #[test]
    fn built_in_stands_for_what_nothing_matches() {
        assert_eq!(winner("search built-in updates\n", &[UPDATES, KERNEL]), KERNEL);
        assert_eq!(winner("search updates built-in\n", &[UPDATES, KERNEL]), UPDATES);
        assert_eq!(winner("search external built-in\nexternal * /opt/m\n", &[KERNEL, FAR]), FAR);
        assert_eq!(winner("search built-in external\nexternal * /opt/m\n", &[KERNEL, FAR]), KERNEL);
    }

    /// A search of all directories for each word would take minutes.
    #[test]
    fn to_search_external_twice_is_to_search_it_first() {
        let directories = "external * /opt/m\nexternal * /opt/n\n";
        for (search, expected) in [
            ("external updates", FAR),
            ("updates external", UPDATES),
            ("external updates external", FAR),
            ("updates external external", UPDATES),
        ] {
            for paths in [[UPDATES, FAR], [FAR, UPDATES]] {
                assert_eq!(winner(&format!("search {search}\n{directories}"), &paths), expected, "{search}");
            }
        }
        let many: String = (0..40_000).map(|number| format!("external * /opt/{number}\n")).collect();
        let many = format!("search{} updates\n{many}{directories}", " external".repeat(40_000));
        assert_eq!(winner(&many, &[UPDATES, FAR].repeat(10)), FAR);
    }

    #[test]
    fn the_order_is_that_of_buckets_and_names() {
        let config = Config::default();
        let mut modules = Modules::new(DIRECTORY.as_bytes());
        for name in ["b", "a", "e1000e", "ext4", "snd-hda-intel"] {
            modules.offer(format!("{DIRECTORY}/{name}.ko").as_bytes(), 0, &config);
        }
        modules.sort();
        let buckets: Vec<u32> = modules.iter().map(|file| bucket(file.name, MODULE_BUCKETS)).collect();
        assert!(buckets.is_sorted());
        assert_eq!(
            modules.find(b"snd_hda_intel").and_then(|at| modules.get(at)).unwrap().name,
            b"snd_hda_intel"
        );
    }
}
