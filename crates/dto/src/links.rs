//! What happens to nodes: a short list of changes each, all of them chained through one vector, so that a list costs no
//! allocation of its own, and a node to which nothing happens four bytes.
//!
//! A list is known by its last link, behind which stands its first. A link takes 12 bytes: a place or a node, in whose
//! lowest two bits is what it is; one more number; the next link.

use alloc::vec::Vec;

use kbt_fdt::StructureOffset;

const NONE: u32 = u32::MAX;

/// A node's list of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct List {
    last: u32,
}

impl List {
    /// The list of a node to which nothing happens.
    pub(crate) const EMPTY: Self = Self { last: NONE };

    pub(crate) fn is_empty(self) -> bool {
        self.last == NONE
    }

    /// The list whose last link has this number.
    pub(crate) fn ending_in(last: u32) -> Self {
        Self { last }
    }

    /// The number of its last link plus one; 0 for an empty list.
    pub(crate) fn number_plus_one(self) -> u32 {
        self.last.wrapping_add(1)
    }
}

/// A property of any source as one number: places in all structure blocks are counted through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PropertyPlace(pub(crate) u32);

impl PropertyPlace {
    /// In place of a property that was taken away. Tokens stand at multiples of four.
    pub(crate) const REMOVED: Self = Self(!KIND);
}

/// One of the changes of a node.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Change {
    /// Nodes from this number to before that are appended with their subtrees.
    Run { from: u32, to: u32 },
    /// A property is appended.
    Added(PropertyPlace),
    /// The node's own property at this place is replaced.
    Overridden { at: StructureOffset, replacement: PropertyPlace },
    /// None: what is known of a node that has many children or properties. It is the first of its list.
    State(State),
}

const RUN: u32 = 0;
const ADDED: u32 = 1;
const OVERRIDDEN: u32 = 2;
const STATE: u32 = 3;
/// The bits of a link that say which of these it is.
const KIND: u32 = 3;

/// What is known of a node that has many children or properties.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct State {
    /// The number of its tables plus one, once it has any.
    pub(crate) lookup: u32,
    /// How often its children or properties, which are many, were walked through.
    pub(crate) walks: u8,
    /// Its own children are not where they were read: each was appended to it or merged by itself.
    pub(crate) piecewise: bool,
    pub(crate) children_indexed: bool,
    pub(crate) properties_indexed: bool,
}

impl State {
    fn pack(self) -> u32 {
        let flags = [self.piecewise, self.children_indexed, self.properties_indexed];
        let flags = (8..).zip(flags).fold(0, |all, (bit, flag)| all | u32::from(flag) << bit);
        u32::from(self.walks) | flags
    }

    #[inline]
    fn unpack(lookup: u32, packed: u32) -> Self {
        Self {
            lookup,
            walks: packed.to_le_bytes()[0],
            piecewise: packed & 1 << 8 != 0,
            children_indexed: packed & 1 << 9 != 0,
            properties_indexed: packed & 1 << 10 != 0,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Link {
    what: u32,
    more: u32,
    next: u32,
}

impl Link {
    #[inline]
    fn new(change: Change) -> Self {
        // Nodes take 12 bytes and states a node each, so their numbers fit; places are multiples of four.
        let (what, more) = match change {
            Change::Run { from, to } => (from << 2 | RUN, to),
            Change::Added(place) => (place.0 | ADDED, 0),
            Change::Overridden { at, replacement } => (at.0 | OVERRIDDEN, replacement.0),
            Change::State(state) => (state.lookup << 2 | STATE, state.pack()),
        };
        Self { what, more, next: NONE }
    }

    #[inline(always)]
    fn change(self) -> Change {
        let place = self.what & !KIND;
        match self.what & KIND {
            RUN => Change::Run { from: self.what >> 2, to: self.more },
            ADDED => Change::Added(PropertyPlace(place)),
            OVERRIDDEN => {
                Change::Overridden { at: StructureOffset(place), replacement: PropertyPlace(self.more) }
            }
            _ => Change::State(State::unpack(self.what >> 2, self.more)),
        }
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
#[derive(Debug, Default)]
pub(crate) struct Links {
    links: Vec<Link>,
}

impl Links {
    pub(crate) fn clear(&mut self) {
        self.links.clear();
    }

    /// Makes room for `count` more links at once.
    pub(crate) fn reserve(&mut self, count: usize) {
        self.links.reserve(count);
    }

    /// Appends to a list; gives the number of the link, which is the list's last one now: by the one before the list is
    /// known no more.
    #[inline]
    pub(crate) fn push(&mut self, list: List, change: Change) -> u32 {
        let number = self.count();
        let first = match self.links.get_mut(list.last as usize) {
            Some(last) => core::mem::replace(&mut last.next, number),
            None => number,
        };
        self.links.push(Link { next: first, ..Link::new(change) });
        number
    }

    /// The number that the next link will have. Each stands for a token of the inputs, which have less than 2^32 bytes,
    /// or for a node that has some.
    fn count(&self) -> u32 {
        u32::try_from(self.links.len()).unwrap_or(NONE)
    }

    #[inline]
    pub(crate) fn get(&self, link: u32) -> Option<Change> {
        self.links.get(link as usize).map(|link| link.change())
    }

    /// Puts another property in place of what was appended or replaced something before.
    pub(crate) fn set_property(&mut self, link: u32, property: PropertyPlace) {
        let Some(link) = self.links.get_mut(link as usize) else { return };
        match link.what & KIND {
            ADDED => link.what = property.0 | ADDED,
            OVERRIDDEN => link.more = property.0,
            _ => {}
        }
    }

    /// Lets the last change of a list take in nodes that stand behind those which it appends; says whether they do.
    #[inline]
    pub(crate) fn extend_run(&mut self, list: List, from: u32, to: u32) -> bool {
        match self.links.get_mut(list.last as usize) {
            Some(last) if last.what & KIND == RUN && last.more == from => {
                last.more = to;
                true
            }
            _ => false,
        }
    }

    /// The link that is a list's state.
    #[inline]
    fn state_link(&self, list: List) -> Option<u32> {
        let first = self.links.get(list.last as usize)?.next;
        self.links.get(first as usize).filter(|link| link.what & KIND == STATE).map(|_| first)
    }

    /// What is known of the list's node.
    #[inline]
    pub(crate) fn state(&self, list: List) -> State {
        match self.state_link(list).and_then(|link| self.get(link)) {
            Some(Change::State(state)) => state,
            _ => State::default(),
        }
    }

    /// Notes what is known of the list's node; gives the list.
    pub(crate) fn set_state(&mut self, list: List, state: State) -> List {
        if let Some(link) = self.state_link(list)
            && let Some(link) = self.links.get_mut(link as usize)
        {
            *link = Link { next: link.next, ..Link::new(Change::State(state)) };
            return list;
        }
        // What is pushed stands in front of the first; it stays there if the last one remains the last.
        let number = self.push(list, Change::State(state));
        if list.is_empty() { List { last: number } } else { list }
    }

    /// The change of `list`, if it has just one.
    #[inline]
    pub(crate) fn only(&self, list: List) -> Option<Change> {
        let link = *self.links.get(list.last as usize)?;
        (link.next == list.last).then(|| link.change())
    }

    /// All of `list`.
    #[inline]
    pub(crate) fn all(&self, list: List) -> Rest {
        let next = self.links.get(list.last as usize).map_or(NONE, |last| last.next);
        Rest { next, last: list.last }
    }

    /// The first change of what is left of a list, with its link's number.
    #[inline]
    pub(crate) fn pop_front(&self, rest: &mut Rest) -> Option<(u32, Change)> {
        let (number, link) = (rest.next, *self.links.get(rest.next as usize)?);
        rest.next = if number == rest.last { NONE } else { link.next };
        Some((number, link.change()))
    }

    /// The changes of `list` with their links' numbers.
    #[inline]
    pub(crate) fn iter(&self, list: List) -> impl Iterator<Item = (u32, Change)> + Clone + '_ {
        let mut rest = self.all(list);
        core::iter::from_fn(move || self.pop_front(&mut rest))
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn lists_keep_their_order_and_the_state_stands_in_front() {
        let mut links = Links::default();
        let (mut one, mut other) = (List::EMPTY, List::EMPTY);
        for number in 0..3 {
            one = List::ending_in(links.push(one, Change::Added(PropertyPlace(4 * number))));
            other = List::ending_in(links.push(other, Change::Run { from: number * 2, to: number * 2 + 1 }));
        }
        assert_eq!(links.state(one).walks, 0);
        let state = State { lookup: 5, walks: 200, piecewise: true, ..State::default() };
        assert_eq!(links.set_state(one, state), one);
        links.set_state(one, State { properties_indexed: true, ..links.state(one) });
        let read = links.state(one);
        assert_eq!((read.lookup, read.walks, read.piecewise), (5, 200, true));
        assert!(read.properties_indexed && !read.children_indexed);

        one = List::ending_in(links.push(one, Change::Added(PropertyPlace(12))));
        let added: Vec<u32> = links
            .iter(one)
            .filter_map(|(_, change)| if let Change::Added(place) = change { Some(place.0) } else { None })
            .collect();
        assert_eq!(added, [0, 4, 8, 12]);
        assert!(matches!(links.iter(one).next(), Some((_, Change::State(_)))));
        assert!(links.extend_run(other, 5, 9) && !links.extend_run(other, 5, 9));
        let last = links.iter(other).last();
        assert!(matches!(last, Some((_, Change::Run { from: 4, to: 9 }))));
    }

    #[test]
    fn a_list_may_begin_with_its_state() {
        let mut links = Links::default();
        let list = links.set_state(List::EMPTY, State { walks: 1, ..State::default() });
        let list = List::ending_in(links.push(list, Change::Added(PropertyPlace(8))));
        assert_eq!(links.state(list).walks, 1);
        assert_eq!(links.iter(list).count(), 2);
    }
}
