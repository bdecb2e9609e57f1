//! Many short lists in one vector: a node's additions are chained through it, so that a list costs no
//! allocation of its own.

use alloc::vec::Vec;

const NONE: u32 = u32::MAX;

/// A list in a [`Chains`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chain {
    first: u32,
    last: u32,
}

impl Default for Chain {
    fn default() -> Self {
        Self { first: NONE, last: NONE }
    }
}

impl Chain {
    pub(crate) fn is_empty(self) -> bool {
        self.first == NONE
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
        // Each link stands for a token of an overlay, which has less than 2^32 bytes.
        let link = u32::try_from(self.links.len()).unwrap_or(NONE);
        self.links.push((item, NONE));
        match self.links.get_mut(chain.last as usize) {
            Some(last) => last.1 = link,
            None => chain.first = link,
        }
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

    /// Makes room for `count` more links at once.
    pub(crate) fn reserve(&mut self, count: usize) {
        self.links.reserve(count);
    }

    /// The first item of `chain` and the rest of it.
    pub(crate) fn pop_front(&self, chain: Chain) -> Option<(T, Chain)> {
        let (item, next) = *self.links.get(chain.first as usize)?;
        Some((item, Chain { first: next, last: chain.last }))
    }

    /// The items of `chain` with their links' numbers.
    pub(crate) fn iter(&self, chain: Chain) -> impl Iterator<Item = (u32, T)> + Clone + '_ {
        let mut next = chain.first;
        core::iter::from_fn(move || {
            let link = next;
            let (item, behind) = *self.links.get(link as usize)?;
            next = behind;
            Some((link, item))
        })
    }
}
