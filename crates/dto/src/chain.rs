//! Many short lists in one vector: a node's additions are chained through it, so that a list costs no
//! allocation of its own, and a node that has none but four bytes.

use alloc::vec::Vec;

const NONE: u32 = u32::MAX;

/// A list in a [`Chains`]: its last link, behind which stands the first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chain {
    last: u32,
}

impl Default for Chain {
    fn default() -> Self {
        Self { last: NONE }
    }
}

impl Chain {
    pub(crate) fn is_empty(self) -> bool {
        self.last == NONE
    }
}

/// What is left of a list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rest {
    next: u32,
    last: u32,
}

impl Default for Rest {
    fn default() -> Self {
        Self { next: NONE, last: NONE }
    }
}

/// The links of all lists.
#[derive(Debug)]
pub(crate) struct Chains<T> {
    links: Vec<(T, u32)>,
}

impl<T> Default for Chains<T> {
    fn default() -> Self {
        Self { links: Vec::new() }
    }
}

impl<T: Copy> Chains<T> {
    /// Appends to `chain`; gives the link's number.
    pub(crate) fn push(&mut self, chain: &mut Chain, item: T) -> u32 {
        // Each link stands for a token of an overlay, and all of them have less than 2^32 bytes.
        let link = u32::try_from(self.links.len()).unwrap_or(NONE);
        let first = match self.links.get_mut(chain.last as usize) {
            Some(last) => core::mem::replace(&mut last.1, link),
            None => link,
        };
        self.links.push((item, first));
        chain.last = link;
        link
    }

    pub(crate) fn get(&self, link: u32) -> Option<T> {
        self.links.get(link as usize).map(|(item, _)| *item)
    }

    pub(crate) fn set(&mut self, link: u32, item: T) {
        self.change(link, |old| *old = item);
    }

    pub(crate) fn change(&mut self, link: u32, change: impl FnOnce(&mut T)) {
        if let Some((item, _)) = self.links.get_mut(link as usize) {
            change(item);
        }
    }

    /// The last item of `chain`.
    pub(crate) fn last_mut(&mut self, chain: Chain) -> Option<&mut T> {
        self.links.get_mut(chain.last as usize).map(|(item, _)| item)
    }

    /// Makes room for `count` more links at once.
    pub(crate) fn reserve(&mut self, count: usize) {
        self.links.reserve(count);
    }

    /// All of `chain`.
    pub(crate) fn all(&self, chain: Chain) -> Rest {
        let next = self.links.get(chain.last as usize).map_or(NONE, |(_, first)| *first);
        Rest { next, last: chain.last }
    }

    /// The first item of what is left of a list, and what is left then.
    #[inline]
    pub(crate) fn pop_front(&self, rest: Rest) -> Option<(T, Rest)> {
        let (item, next) = *self.links.get(rest.next as usize)?;
        let next = if rest.next == rest.last { NONE } else { next };
        Some((item, Rest { next, ..rest }))
    }

    /// The item of `chain`, if it has just one.
    #[inline]
    pub(crate) fn only(&self, chain: Chain) -> Option<T> {
        let (item, first) = *self.links.get(chain.last as usize)?;
        (first == chain.last).then_some(item)
    }

    /// The items of `chain` with their links' numbers.
    pub(crate) fn iter(&self, chain: Chain) -> impl Iterator<Item = (u32, T)> + Clone + '_ {
        let mut rest = self.all(chain);
        core::iter::from_fn(move || {
            let link = rest.next;
            let (item, behind) = self.pop_front(rest)?;
            rest = behind;
            Some((link, item))
        })
    }
}
