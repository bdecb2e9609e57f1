//! What `--incremental` takes after one module has changed, by what has changed of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::{Format, Programs, median, seconds, text};
use crate::bench::process::{Usage, measure};
use crate::bench::table::Table;
use crate::files;
use crate::run::Result;

/// Seconds of a processor.
const LIMIT: f64 = 0.040;

/// What happens between two runs. The module is wireguard, of 216 KiB uncompressed, such as DKMS builds.
#[derive(Clone, Copy)]
enum Change {
    /// It is put in its own place again.
    Rewritten,
    /// gtp stands in its place, with other aliases and other wants, and it again.
    Differs,
    /// macvlan does, which exports symbols, and it again.
    Exports,
    /// It stands in the place of mii, whose symbols dozens of others want, and that again. (What a large module costs in xz is
    /// its decoding: mac80211 takes half of the limit for that.)
    Provider,
    /// A copy of it comes, and goes.
    MoreOrLess,
}

/// With what the table calls it, and what a line about the limit says.
const CHANGES: [(Change, &str, &str); 5] = [
    (Change::Rewritten, "one rewritten, s", "one module was rewritten"),
    (Change::Differs, "one differs, s", "one module differs"),
    (Change::Exports, "exports differ, s", "one module exports other symbols"),
    (Change::Provider, "a provider goes and comes, s", "a provider goes and comes"),
    (Change::MoreOrLess, "one more or less, s", "there is a module more or less"),
];

impl Change {
    /// The module that is replaced, and what stands in its place in turns; `None` for nothing.
    fn contents(self, kernel: &Path) -> Result<(PathBuf, Vec<Option<PathBuf>>)> {
        let drivers = kernel.join("drivers/net");
        let own = one_of(&drivers.join("wireguard"), "wireguard.ko")?;
        let other = |name: &str| one_of(&drivers, name).map(Some);
        Ok(match self {
            Self::Rewritten => (own.clone(), vec![Some(own)]),
            Self::Differs => (own.clone(), vec![other("gtp.ko")?, Some(own)]),
            Self::Exports => (own.clone(), vec![other("macvlan.ko")?, Some(own)]),
            Self::Provider => {
                let provider = one_of(&drivers, "mii.ko")?;
                (provider.clone(), vec![Some(own), Some(provider)])
            }
            Self::MoreOrLess => {
                let name = own.file_name().unwrap_or_default().to_string_lossy();
                (own.with_file_name(format!("more_{name}")), vec![Some(own), None])
            }
        })
    }
}

/// The table without rows.
pub fn table() -> Table {
    let columns = CHANGES.iter().map(|(_, column, _)| *column);
    Table::new(&["modules"].into_iter().chain(columns).chain(["limit"]).collect::<Vec<_>>())
}

impl Programs {
    /// Adds the row of a format, and gives what is over its limit.
    pub fn judge_changed(
        &self,
        format: &Format,
        (root, version): (&Path, &str),
        rounds: usize,
        table: &mut Table,
    ) -> Result<Vec<String>> {
        let mut over = Vec::new();
        let mut row = vec![format.name.to_owned()];
        for (change, _, what) in CHANGES {
            let one = median(&self.changed(root, version, rounds, change)?);
            if one > LIMIT {
                over.push(format!("{}: {one:.3} s where {what}", format.name));
            }
            row.push(seconds(one));
        }
        row.push(seconds(LIMIT));
        let row: [String; CHANGES.len() + 2] = row.try_into().map_err(|_| "a row of another length")?;
        table.row(row);
        Ok(over)
    }

    /// Runs of --incremental, each after a change.
    fn changed(&self, root: &Path, version: &str, rounds: usize, change: Change) -> Result<Vec<Usage>> {
        let mut words = self.kbt(root, version, 1);
        words.insert(2, format!("--incremental={}", text(&root.join("cache"))));
        let kernel = root.join("lib/modules").join(version).join("kernel");
        let (place, contents) = change.contents(&kernel)?;
        let copy = |from: &Path, to: &Path| {
            fs::copy(from, to).map(drop).map_err(|error| files::cannot("copy", from, &error))
        };
        // What stands there comes again from copies: the modules are others' files under second names.
        let mut kept = Vec::new();
        for (number, content) in contents.iter().enumerate() {
            let kept_as = root.join(format!("content-{number}"));
            content.as_ref().map_or(Ok(()), |content| copy(content, &kept_as))?;
            kept.push(content.as_ref().map(|_| kept_as));
        }
        let new = root.join("new");
        let mut usages = Vec::new();
        // The first run fills the cache, the second sees what the first has written.
        let turns = kept.iter().cycle().enumerate().take(rounds.next_multiple_of(2) + 2);
        for (round, content) in turns {
            match content {
                Some(content) => {
                    copy(content, &new)?;
                    files::rename(&new, &place)?;
                }
                None => fs::remove_file(&place).map_err(|error| files::cannot("remove", &place, &error))?,
            }
            // What changes within a tick of the clock is read again.
            thread::sleep(Duration::from_millis(50));
            let usage = measure(&words)?;
            if round > 1 {
                usages.push(usage);
            }
        }
        Ok(usages)
    }
}

/// The module of this name in a directory, however it is compressed.
fn one_of(directory: &Path, name: &str) -> Result<PathBuf> {
    let found = files::names(directory)?.into_iter().find(|other| other.starts_with(name));
    Ok(directory.join(found.ok_or_else(|| format!("no {name} in {}", directory.display()))?))
}
