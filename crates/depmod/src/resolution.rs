//! Dependencies that an earlier run resolved, and which of them still hold.
//!
//! **Idea.** A module's list is what it was if it wants the names that it wanted and each of them has the provider that it
//! had. That another has it now can come about in three ways:
//!
//! 1. the provider has other exports, or is gone: then it is in the list;
//! 2. a module exports the name that did not, or with other names, before: [`Exported`] finds who wants one of those;
//! 3. of two that export it the other counts, because they changed their order: then nothing is believed.
//!
//! **Limits.** With a prefix of symbols nothing is kept. Modules are known by their names, which are told apart by nothing
//! but them within a run.

use crate::cache::{Rest, put_length};
use crate::dependencies::Dependencies;
use crate::facts::{Checksums, Facts, Kind};
use crate::modules::Modules;
use crate::wants::Exported;

/// A module that is not there.
const NONE: u32 = u32::MAX;

/// The direct dependencies of all modules, and what they were resolved from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolution {
    /// How many symbols they export.
    pub symbols: usize,
    /// The name of each module with a NUL behind it.
    names: Vec<u8>,
    /// Of each the checksums of the names that it exports and of those that it wants.
    modules: Vec<[u128; 2]>,
    dependencies: Dependencies,
}

impl Resolution {
    /// Of modules whose facts have these checksums.
    pub fn new(
        modules: &Modules,
        checksums: &[Checksums],
        symbols: usize,
        dependencies: Dependencies,
    ) -> Self {
        let names = modules.iter().flat_map(|file| [file.name, b"\0"]).collect::<Vec<_>>().concat();
        Self { symbols, names, modules: checksums.iter().map(of).collect(), dependencies }
    }

    /// Only that they export so many symbols.
    pub fn of_count(symbols: usize) -> Self {
        Self { symbols, ..Self::default() }
    }

    /// What has changed since; `None` where nothing holds any more.
    pub fn drift(&self, modules: &Modules, checksums: &[Checksums]) -> Option<Drift> {
        let mut drift = Drift {
            old: vec![NONE; modules.len()],
            new: Vec::with_capacity(self.modules.len()),
            gained: Vec::new(),
        };
        let mut expected = 0;
        let mut last_exporter = None;
        for (old, (name, [exports, _])) in (0..).zip(self.names().zip(&self.modules)) {
            let there = modules.get(expected).is_some_and(|file| file.name == name);
            let new = if there { Some(expected) } else { modules.find(name) };
            expected = new.map_or(expected, |new| new + 1);
            let stays = new.and_then(|new| checksums.get(new)).is_some_and(|now| of(now)[0] == *exports);
            if let Some(place) = new.and_then(|new| drift.old.get_mut(new)) {
                *place = old;
            }
            if stays && *exports != 0 {
                if new < last_exporter {
                    return None;
                }
                last_exporter = new;
            }
            let new = new.filter(|_| stays).and_then(|new| u32::try_from(new).ok());
            drift.new.push(new.unwrap_or(NONE));
        }
        let gained = |&(new, now): &(usize, &Checksums)| of(now)[0] != 0 && !drift.stays(new);
        drift.gained = checksums.iter().enumerate().filter(gained).map(|(new, _)| new).collect();
        Some(drift)
    }

    fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.names.split(|byte| *byte == 0)
    }

    /// Appends it.
    pub(crate) fn put(&self, index: &mut Vec<u8>) -> Option<()> {
        put_length(index, self.symbols)?;
        put_length(index, self.modules.len())?;
        let mut end = 0;
        for (module, checksums) in (0..).zip(&self.modules) {
            end += self.dependencies.of(module).len();
            checksums.iter().for_each(|checksum| index.extend(checksum.to_le_bytes()));
            put_length(index, end)?;
        }
        let modules = (0..).take(self.modules.len());
        let lists = modules.flat_map(|module| self.dependencies.of(module));
        lists.for_each(|needed| index.extend(needed.to_le_bytes()));
        put_length(index, self.names.len())?;
        index.extend_from_slice(&self.names);
        Some(())
    }

    /// What [`Resolution::put`] appended.
    pub(crate) fn take(rest: &mut Rest<'_>) -> Option<Self> {
        let (symbols, count) = (rest.length()?, rest.length()?);
        let mut rows = Rest::new(rest.bytes(count.checked_mul(36)?)?);
        let (mut modules, mut ends) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for _ in 0..count {
            modules.push([rows.u128()?, rows.u128()?]);
            ends.push(u32::try_from(rows.length()?).ok()?);
        }
        if !ends.is_sorted() {
            return None;
        }
        let size = ends.last().map_or(0, |&end| end as usize);
        let lists = rest.bytes(size.checked_mul(4)?)?.as_chunks().0;
        let lists = lists.iter().map(|needed| u32::from_le_bytes(*needed)).collect();
        let length = rest.length()?;
        let names = rest.bytes(length)?.to_vec();
        Some(Self { symbols, names, modules, dependencies: Dependencies::from_ends(lists, ends) })
    }
}

/// The checksums that count.
fn of(checksums: &Checksums) -> [u128; 2] {
    [checksums.of(Kind::Export), checksums.of(Kind::Import)]
}

/// Modules of two runs.
pub struct Drift {
    /// Of each module its number in the earlier run, be its exports what they may.
    old: Vec<u32>,
    /// Of each module of the earlier run its number now, if it exports what it exported.
    new: Vec<u32>,
    /// Modules that export something, and not what they exported.
    gained: Vec<usize>,
}

impl Drift {
    fn stays(&self, new: usize) -> bool {
        let old = self.old.get(new).and_then(|old| self.new.get(*old as usize));
        old.is_some_and(|stays| *stays != NONE)
    }

    /// Modules that export something, and not what they exported. [`Drift::carry`] needs their exports.
    pub fn gained(&self) -> &[usize] {
        &self.gained
    }

    /// What still holds of `resolution`. `exports` gives the facts of a module that [`Drift::gained`] names; `meets` says
    /// whether a module may want one of their names.
    pub fn carry<'f>(
        &self,
        resolution: &Resolution,
        checksums: &[Checksums],
        exports: impl Fn(usize) -> Facts<'f>,
        meets: impl Fn(usize, &Exported) -> bool,
    ) -> Carried {
        let gained = Exported::by(self.gained.iter().map(|module| exports(*module)));
        let mut carried = Carried::default();
        for (new, (now, old)) in checksums.iter().zip(&self.old).enumerate() {
            let known =
                resolution.modules.get(*old as usize).is_some_and(|[_, imports]| *imports == of(now)[1])
                    && (self.gained.is_empty() || !meets(new, &gained));
            let list = if known { resolution.dependencies.of(*old) } else { &[] };
            let mut here = list.iter().map(|needed| self.new.get(*needed as usize).copied().unwrap_or(NONE));
            carried.push(known && here.clone().all(|needed| needed != NONE), &mut here);
        }
        carried
    }
}

/// Direct dependencies, of those modules of which they are known.
#[derive(Debug, Clone, Default)]
pub struct Carried {
    dependencies: Dependencies,
    known: Vec<bool>,
}

impl Carried {
    fn push(&mut self, known: bool, list: &mut dyn Iterator<Item = u32>) {
        self.dependencies.push(list.filter(|_| known));
        self.known.push(known);
    }

    /// The direct dependencies of a module, where they are known.
    pub fn of(&self, module: usize) -> Option<&[u32]> {
        self.known.get(module).filter(|known| **known)?;
        Some(self.dependencies.of(u32::try_from(module).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::facts::{FactsBuilder, ModuleFacts};

    /// A name, exports, imports.
    type Made<'m> = (&'m str, &'m [&'m str], &'m [&'m str]);

    fn made(made: &[Made<'_>]) -> (Modules, Vec<ModuleFacts>) {
        let mut modules = Modules::new(b"/d");
        let mut builder = FactsBuilder::new();
        let facts = made.iter().map(|(name, exports, imports)| {
            modules.offer(format!("/d/{name}.ko").as_bytes(), 0, &Config::default());
            exports.iter().for_each(|name| builder.push_export(name.as_bytes(), 1));
            imports.iter().for_each(|name| builder.push_import(name.as_bytes(), 1, false));
            builder.finish().unwrap()
        });
        let facts = facts.collect();
        (modules, facts)
    }

    /// Of each module of `after` what is known of it from `before`; `None` where nothing is.
    fn carried(before: &[Made<'_>], after: &[Made<'_>]) -> Option<Vec<Option<Vec<u32>>>> {
        let checksums = |facts: &[ModuleFacts]| -> Vec<Checksums> {
            facts.iter().map(|facts| facts.view().checksums()).collect()
        };
        let resolve = |modules: &Modules, facts: &[ModuleFacts]| {
            let views: Vec<_> = facts.iter().map(ModuleFacts::view).collect();
            crate::dependencies(modules, &views, &crate::Options::default())
        };
        let (modules, facts) = made(before);
        let old = Resolution::new(&modules, &checksums(&facts), 0, resolve(&modules, &facts));
        let (modules, facts) = made(after);
        let now = checksums(&facts);
        let drift = old.drift(&modules, &now)?;
        let meets = |module: usize, gained: &Exported| gained.meet_facts(facts[module].view());
        let carried = drift.carry(&old, &now, |module| facts[module].view(), meets);
        let right = resolve(&modules, &facts);
        Some(
            (0..modules.len())
                .map(|module| {
                    let list = carried.of(module)?;
                    assert_eq!(list, right.of(u32::try_from(module).unwrap()), "{module}");
                    Some(list.to_vec())
                })
                .collect(),
        )
    }

    const A: Made<'_> = ("a", &["from_a"], &[]);
    const B: Made<'_> = ("b", &[], &["from_a", "absent"]);
    const C: Made<'_> = ("c", &[], &["absent"]);

    #[test]
    fn lists_follow_their_modules() {
        let known = |after: &[Made<'_>]| carried(&[A, B, C], after).unwrap();
        assert_eq!(known(&[A, B, C]), [Some(vec![]), Some(vec![0]), Some(vec![])]);
        assert_eq!(
            known(&[("new", &[], &["from_a"]), A, C, B]),
            [None, Some(vec![]), Some(vec![]), Some(vec![1])]
        );
        assert_eq!(known(&[B, C]), [None, Some(vec![])]);
    }

    #[test]
    fn who_wants_what_another_exports_now_is_resolved_again() {
        let known = |after: &[Made<'_>]| carried(&[A, B, C], after).unwrap();
        assert_eq!(known(&[("a", &["other"], &[]), B, C]), [Some(vec![]), None, Some(vec![])]);
        assert_eq!(known(&[A, B, C, ("d", &["absent"], &[])]), [Some(vec![]), None, None, None]);
        // It comes behind and counts.
        assert_eq!(known(&[A, B, C, ("d", &["from_a"], &[])]), [Some(vec![]), None, Some(vec![]), None]);
        assert_eq!(known(&[A, ("b", &[], &["from_a"]), C]), [Some(vec![]), None, Some(vec![])]);
    }

    #[test]
    fn exporters_in_another_order_give_up_all() {
        let again = ("again", &["from_a"][..], &[][..]);
        assert!(carried(&[A, again, B], &[again, A, B]).is_none());
        assert!(carried(&[A, again, B, C], &[C, A, B, again]).is_some());
    }
}
