//! Cycles of dependencies: which modules make them, in kmod's words and order.
//!
//! **Idea.** From each module that the topological sort left over all paths are walked; a path that comes back to its
//! start is a cycle, and its modules are no starts any more.
//!
//! A start that an earlier walk has passed is told as a cycle of one, as kmod does.
//!
//! **Limits.** A path that meets itself elsewhere ends there. kmod would not come to an end then, so from there on each start
//! is searched anew instead. After [`MAX_STEPS`] or [`MAX_LOOKS`] the search ends, which is told with the cycles that
//! were found by then.

use std::collections::{BTreeSet, VecDeque};

use crate::dependencies::Dependencies;
use crate::message::Messages;
use crate::modules::Modules;

/// Steps of all paths, and looks back along them: one cycle of n modules takes half the square of n.
const MAX_STEPS: usize = 100_000;
const MAX_LOOKS: usize = 400_000_000;

/// A module on a path, and who needed it there.
struct Step {
    module: u32,
    parent: Option<usize>,
    length: usize,
}

/// Tells the cycles among the modules that have `users` left.
pub(crate) fn report(modules: &Modules, all: &Dependencies, users: &[u32], messages: &mut Messages) {
    let starts = (0..).zip(users).filter(|(_, users)| **users > 0).map(|(index, _)| index);
    let mut search = Search {
        all,
        starts: starts.collect(),
        visited: vec![0; users.len()],
        round: 0,
        endless: false,
        cyclic: BTreeSet::new(),
        steps: MAX_STEPS,
        looks: MAX_LOOKS,
    };
    while let Some(start) = search.starts.pop_front() {
        search.from(start, modules, messages);
        if search.is_over() {
            messages.error(&[b"There are more cycles than are searched for"]);
            break;
        }
    }
    let found = search.cyclic.len().to_string();
    messages.error(&[b"Found ", found.as_bytes(), b" modules in dependency cycles!"]);
}

struct Search<'d> {
    all: &'d Dependencies,
    starts: VecDeque<u32>,
    /// In which round each module was last visited.
    visited: Vec<u32>,
    /// The number of the start, from 1.
    round: u32,
    /// Whether a path has met itself.
    endless: bool,
    cyclic: BTreeSet<u32>,
    /// How many are left.
    steps: usize,
    looks: usize,
}

impl Search<'_> {
    fn is_over(&self) -> bool {
        self.steps == 0 || self.looks == 0
    }

    fn from(&mut self, start: u32, modules: &Modules, messages: &mut Messages) {
        self.round += 1;
        let mut steps = vec![Step { module: start, parent: None, length: 0 }];
        let mut open = vec![0];
        while let Some(at) = open.pop() {
            let Some(&Step { module, length, .. }) = steps.get(at) else { continue };
            let Some(visited) = self.visited.get_mut(module as usize) else { continue };
            let before = std::mem::replace(visited, self.round);
            let known = before == self.round || (before > 0 && !self.endless);
            if known && module == start {
                self.tell(&steps, at, modules, messages);
                continue;
            }
            if self.all.of(module).is_empty() {
                self.forget_start(module);
                continue;
            }
            for &needed in self.all.of(module) {
                self.looks = self.looks.saturating_sub(length + 1);
                if self.is_over() {
                    break;
                }
                let known = needed != start && on_path(&steps, at, needed);
                self.endless |= known;
                if known {
                    continue;
                }
                self.steps -= 1;
                open.push(steps.len());
                steps.push(Step { module: needed, parent: Some(at), length: length + 1 });
            }
        }
    }

    fn tell(&mut self, steps: &[Step], at: usize, modules: &Modules, messages: &mut Messages) {
        let mut path: Vec<u32> = ancestors(steps, at).skip(1).map(|step| step.module).collect();
        self.cyclic.extend(&path);
        path.reverse();
        let name = |module: u32| modules.get(module as usize).map(|file| file.name).unwrap_or_default();
        let mut text = Vec::new();
        for &module in &path {
            text.extend_from_slice(name(module));
            text.extend_from_slice(b" -> ");
            self.forget_start(module);
        }
        text.extend_from_slice(steps.get(at).map(|step| name(step.module)).unwrap_or_default());
        messages.error(&[b"Cycle detected: ", &text]);
    }

    /// Takes a module out of the starts; kmod's list then begins behind it.
    fn forget_start(&mut self, module: u32) {
        if let Some(at) = self.starts.iter().position(|&start| start == module) {
            self.starts.rotate_left(at);
            self.starts.pop_front();
        }
    }
}

fn on_path(steps: &[Step], at: usize, module: u32) -> bool {
    ancestors(steps, at).any(|step| step.module == module)
}

/// The step and those that led to it, back to the start.
fn ancestors(steps: &[Step], at: usize) -> impl Iterator<Item = &Step> {
    let mut next = steps.get(at);
    std::iter::from_fn(move || {
        let step = next?;
        next = step.parent.and_then(|parent| steps.get(parent));
        Some(step)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn told(lists: &[&[u32]]) -> Vec<String> {
        let mut modules = Modules::new(b"/d");
        for index in 0..lists.len() {
            modules.offer(format!("/d/m{index:02}.ko").as_bytes(), 0, &Config::default());
        }
        let all = Dependencies::from_lists(lists);
        let mut messages = Messages::default();
        report(&modules, &all, &all.order().unwrap_err(), &mut messages);
        messages.iter().map(|(_, text)| String::from_utf8(text.to_vec()).unwrap()).collect()
    }

    #[test]
    fn a_cycle_is_told_once_with_its_way() {
        let told = told(&[&[1], &[2], &[0], &[0], &[]]);
        assert_eq!(
            told,
            ["Cycle detected: m00 -> m01 -> m02 -> m00", "Found 3 modules in dependency cycles!"]
        );
        assert_eq!(super::tests::told(&[&[0]])[0], "Cycle detected: m00 -> m00");
    }

    #[test]
    fn a_cycle_behind_another_ends() {
        let told = told(&[&[1, 2], &[0], &[3], &[2]]);
        assert_eq!(told.last().unwrap(), "Found 4 modules in dependency cycles!");
    }

    #[test]
    fn a_long_cycle_is_told_whole() {
        let next: Vec<[u32; 1]> = (0..5000_u32).map(|index| [(index + 1) % 5000]).collect();
        let lists: Vec<&[u32]> = next.iter().map(<[u32; 1]>::as_slice).collect();
        let told = told(&lists);
        assert_eq!(told.len(), 2);
        assert_eq!(told[1], "Found 5000 modules in dependency cycles!");
    }

    #[test]
    fn everybody_needing_everybody_ends() {
        let all: Vec<u32> = (0..60).collect();
        let lists: Vec<&[u32]> = (0..60).map(|_| all.as_slice()).collect();
        assert_eq!(told(&lists).last().unwrap(), "Found 60 modules in dependency cycles!");
    }
}
