//! Who needs whom: direct dependencies, their topological order, and the closure of one module.
//!
//! **Idea.** Lists lie one behind the other in one array. The order decides in which order modprobe loads: it is kmod's,
//! a stack of modules that nobody needs (any more), in the order of the module array.
//!
//! **Limits.** Indices are those of at most [`MAX_MODULES`](crate::modules::MAX_MODULES) modules. The closures together may
//! be as long as the square of that; they are the output.

use crate::facts::Facts;
use crate::message::Messages;
use crate::modules::Modules;
use crate::options::Reuse;
use crate::symbols::SymbolTable;

/// The direct dependencies of every module, each once, in the order of their first use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dependencies {
    lists: Vec<u32>,
    /// Where each module's list ends.
    ends: Vec<u32>,
}

/// What is told of symbols.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reports {
    /// Symbols that nobody exports, and those of another version.
    pub(crate) unknown: bool,
    /// Whether versions are compared.
    pub(crate) versions: bool,
    /// A line for every new dependency.
    pub(crate) needs: bool,
}

impl Reports {
    /// Versions alone are not told.
    fn none(self) -> bool {
        !(self.unknown || self.needs)
    }
}

impl Dependencies {
    /// Looks every wanted symbol up, of modules whose dependencies are not known.
    pub(crate) fn resolve<'f>(
        modules: &Modules,
        facts: &[Facts<'f>],
        symbols: &SymbolTable<'_>,
        (reports, reuse): (Reports, Reuse<'_>),
        needs: &mut Vec<u8>,
        messages: &mut Messages,
    ) -> Self {
        let mut all = Self::default();
        let mut last_user = vec![u32::MAX; modules.len()];
        for ((index, file), facts) in (0..).zip(modules.iter()).zip(facts) {
            // Reports are made of the symbols themselves.
            if let Some(known) =
                reuse.resolved.and_then(|resolved| resolved.of(index as usize)).filter(|_| reports.none())
            {
                all.lists.extend_from_slice(known);
                all.end_list();
                continue;
            }
            for import in facts.imports() {
                let Some(symbol) = symbols.find(import.name) else {
                    if reports.unknown && !import.weak {
                        messages.warn(&[file.path, b" needs unknown symbol ", import.name]);
                    }
                    continue;
                };
                if reports.unknown && reports.versions && !import.weak && symbol.crc != import.crc {
                    messages.warn(&[file.path, b" disagrees about version of symbol ", import.name]);
                }
                let Some(owner) = symbol.owner() else { continue };
                let Some(last) = last_user.get_mut(owner as usize).filter(|last| **last != index) else {
                    continue;
                };
                *last = index;
                all.lists.push(owner);
                if reports.needs {
                    let path = modules.get(owner as usize).map(|owner| owner.path).unwrap_or_default();
                    needs.extend([file.path, b" needs \"", symbol.name, b"\": ", path, b"\n"].concat());
                }
            }
            all.end_list();
        }
        all
    }

    /// The lists of modules 0, 1, ...
    pub fn from_lists<L: AsRef<[u32]>>(lists: impl IntoIterator<Item = L>) -> Self {
        let mut all = Self::default();
        for list in lists {
            all.lists.extend_from_slice(list.as_ref());
            all.end_list();
        }
        all
    }

    /// The lists one behind the other, and where each ends.
    pub(crate) fn from_ends(lists: Vec<u32>, ends: Vec<u32>) -> Self {
        Self { lists, ends }
    }

    /// Appends the list of one more module.
    pub(crate) fn push(&mut self, list: impl Iterator<Item = u32>) {
        self.lists.extend(list);
        self.end_list();
    }

    fn end_list(&mut self) {
        // A list has each of at most 65534 modules once.
        self.ends.push(u32::try_from(self.lists.len()).unwrap_or(u32::MAX));
    }

    /// How many modules there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The modules that this one needs itself.
    pub fn of(&self, module: u32) -> &[u32] {
        let module = module as usize;
        let end = |index: usize| self.ends.get(index).map_or(0, |&end| end as usize);
        let start = module.checked_sub(1).map_or(0, end);
        self.lists.get(start..end(module)).unwrap_or_default()
    }

    /// The topological order, users first; or of each module how many users are left, where there are cycles.
    pub(crate) fn order(&self) -> Result<Order, Vec<u32>> {
        let mut users = vec![0_u32; self.len()];
        for &needed in &self.lists {
            if let Some(users) = users.get_mut(needed as usize) {
                *users += 1;
            }
        }
        let mut open: Vec<u32> =
            (0..).zip(&users).filter(|(_, users)| **users == 0).map(|(index, _)| index).collect();
        let mut rank = vec![u32::MAX; self.len()];
        let mut next = 0;
        while let Some(module) = open.pop() {
            if let Some(rank) = rank.get_mut(module as usize) {
                *rank = next;
                next += 1;
            }
            for &needed in self.of(module) {
                let Some(users) = users.get_mut(needed as usize) else { continue };
                *users -= 1;
                if *users == 0 {
                    open.push(needed);
                }
            }
        }
        if next as usize == self.len() { Ok(Order { rank }) } else { Err(users) }
    }

    /// Everything that `module` needs, in the order in which it is unloaded; `closure` is filled anew.
    pub(crate) fn closure(&self, module: u32, order: &Order, closure: &mut Closure) {
        closure.found.clear();
        closure.seen.resize(self.len(), u32::MAX);
        let mut at = 0;
        self.enter(module, module, closure);
        while let Some(&needed) = closure.found.get(at) {
            at += 1;
            self.enter(needed, module, closure);
        }
        closure.found.sort_unstable_by_key(|&module| order.rank.get(module as usize));
    }

    fn enter(&self, module: u32, mark: u32, closure: &mut Closure) {
        for &needed in self.of(module) {
            if let Some(seen) = closure.seen.get_mut(needed as usize).filter(|seen| **seen != mark) {
                *seen = mark;
                closure.found.push(needed);
            }
        }
    }
}

/// Of each module its place in the topological order.
#[derive(Debug)]
pub(crate) struct Order {
    rank: Vec<u32>,
}

/// Buffers of [`Dependencies::closure`].
#[derive(Debug, Default)]
pub(crate) struct Closure {
    pub(crate) found: Vec<u32>,
    /// For which module each was last found.
    seen: Vec<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists(lists: &[&[u32]]) -> Dependencies {
        Dependencies::from_lists(lists)
    }

    #[test]
    fn a_closure_lists_what_is_used_before_what_it_uses() {
        // 0 needs 1 and 2, 1 needs 3, 2 needs 3 and 1.
        let all = lists(&[&[1, 2], &[3], &[3, 1], &[]]);
        let order = all.order().unwrap();
        let mut closure = Closure::default();
        all.closure(0, &order, &mut closure);
        assert_eq!(closure.found, [2, 1, 3]);
        all.closure(3, &order, &mut closure);
        assert_eq!(closure.found, [0; 0]);
    }

    #[test]
    fn what_lies_on_or_behind_a_cycle_is_left_over() {
        let all = lists(&[&[1], &[2], &[1, 3], &[]]);
        assert_eq!(all.order().unwrap_err(), [0, 1, 1, 1]);
        assert_eq!(lists(&[&[0]]).order().unwrap_err(), [1]);
    }
}
