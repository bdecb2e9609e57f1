//! The live tree's properties: looking them up, setting them, making new ones.

use alloc::vec::Vec;
use core::mem;

use kbt_fdt::{Property, StringsOffset, StructureOffset, Tag};

use crate::links::{Change, List, PropertyPlace};
use crate::live::Live;
use crate::lookup::{Slots, WALKS, WIDE};
use crate::source::{NodeId, PropertyRef, SourceId};

/// Where a node keeps a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slot {
    /// Among its own, at this place.
    Source(StructureOffset),
    /// The same where something else was put there, as this link.
    Overridden(u32),
    /// Among those appended, as this link.
    Added(u32),
}

/// What a property may take with all that is in front of it before it counts as more than one.
const WORDS_A_PROPERTY: usize = 256;

impl Slot {
    /// As an item of a table: a place is a multiple of four, and there are less links than a quarter of 2^32 bytes.
    fn item(self) -> u32 {
        match self {
            Self::Source(at) => at.0,
            Self::Overridden(link) => link << 2 | 1,
            Self::Added(link) => link << 2 | 2,
        }
    }

    fn of_item(item: u32) -> Self {
        match item & 3 {
            0 => Self::Source(StructureOffset(item)),
            1 => Self::Overridden(item >> 2),
            _ => Self::Added(item >> 2),
        }
    }
}

impl Live<'_> {
    /// Where `node` keeps the property `name`.
    pub(crate) fn find_property(&mut self, node: NodeId, name: &[u8]) -> Option<Slot> {
        let list = self.list(node);
        if let Some(lookup) = self.property_table(list) {
            return self.find_indexed_property(node, lookup, name);
        }
        let own = self.own_properties(node);
        let (found, seen) = self.walk_properties(list, own, |other| self.names.is(other, name));
        if seen > WIDE {
            self.count_property_walk(node);
        }
        found
    }

    /// Sets the property of `node` whose name stands at `name` of the merged strings block: in place where the node has
    /// one, else behind the others.
    pub(crate) fn set_property(&mut self, node: NodeId, name: StringsOffset, property: PropertyRef) -> Slot {
        let mut list = self.list(node);
        let mut table = self.property_table(list);
        let found = if let Some(table) = table {
            self.find_indexed_property(node, table, self.names.get(name))
        } else {
            let is = |other| {
                other == name || self.names.may_be_elsewhere(other) && self.names.are_same(other, name)
            };
            let (found, seen) = self.walk_properties(list, self.own_properties(node), is);
            if seen > WIDE {
                self.count_property_walk(node);
                list = self.list(node);
                table = self.property_table(list);
            }
            found
        };
        match found {
            Some(Slot::Source(at)) => self.override_at((list, table), node, at, self.place_of(property)),
            Some(slot) => self.replace_property(node, slot, Some(property)),
            None => self.append_to((list, table), node, property),
        }
    }

    /// The number of the tables of the list's node, if there is one of its properties.
    #[inline]
    fn property_table(&self, list: List) -> Option<usize> {
        let state = self.links.state(list);
        state.properties_indexed.then(|| state.lookup as usize - 1)
    }

    /// What happens to the node, and the number of its tables if there is one of its properties.
    fn list_and_table(&self, node: NodeId) -> (List, Option<usize>) {
        let list = self.list(node);
        (list, self.property_table(list))
    }

    #[cold]
    fn find_indexed_property(&self, node: NodeId, lookup: usize, name: &[u8]) -> Option<Slot> {
        let table = &self.lookups[lookup].properties;
        let is = |item| self.names.is(self.name_in(node, Slot::of_item(item)), name);
        table.find(self.seed.hash(name), is).map(Slot::of_item)
    }

    /// The place of the name of the property in a slot.
    fn name_in(&self, node: NodeId, slot: Slot) -> StringsOffset {
        let property = match slot {
            Slot::Source(at) => Some(PropertyRef { source: node.source, at }),
            Slot::Overridden(link) => match self.links.get(link) {
                Some(Change::Overridden { at, .. }) => Some(PropertyRef { source: node.source, at }),
                _ => None,
            },
            Slot::Added(_) => self.current(node, slot),
        };
        property.map_or(StringsOffset(u32::MAX), |property| self.property_at(property).name)
    }

    /// Where `node` keeps the first property whose name `is` accepts, and how many are in front of it; much that stands
    /// between few, be it `FDT_NOP`, counts as well.
    #[inline(always)]
    fn walk_properties(
        &self,
        list: List,
        mut own: kbt_fdt::Properties<'_>,
        is: impl Fn(StringsOffset) -> bool,
    ) -> (Option<Slot>, usize) {
        let mut seen = 0;
        let start = own.position();
        for property in own.by_ref() {
            if is(property.name) {
                // There are few: of a node with many properties those far behind are found in the table.
                seen += (own.position() - start) / WORDS_A_PROPERTY;
                let is_it = |change| matches!(change, Change::Overridden { at, .. } if at == property.at);
                for (link, change) in self.links.iter(list) {
                    if is_it(change) {
                        return (Some(Slot::Overridden(link)), seen);
                    }
                    seen += 1;
                }
                return (Some(Slot::Source(property.at)), seen);
            }
            seen += 1;
        }
        seen += (own.position() - start) / WORDS_A_PROPERTY;
        // Mostly there are none.
        if list.is_empty() {
            return (None, seen);
        }
        for (link, change) in self.links.iter(list) {
            if let Change::Added(place) = change
                && let Some(addition) = self.property_ref(place)
                && is(self.property_at(addition).name)
            {
                return (Some(Slot::Added(link)), seen);
            }
            seen += 1;
        }
        (None, seen)
    }

    /// Notes that the properties of `node`, which are many, were walked through; a node that is walked through often
    /// gets a table.
    #[cold]
    fn count_property_walk(&mut self, node: NodeId) {
        self.change_state(node, |state| state.walks = state.walks.saturating_add(1));
        if self.state(node).walks > WALKS {
            self.index_properties(node);
        }
    }

    fn index_properties(&mut self, node: NodeId) {
        let number = self.lookup(node);
        let list = self.list(node);
        let mut table = mem::take(&mut self.lookups[number].properties).emptied();
        let added = || self.added_slots(list);
        table.reserve(self.own_properties(node).count() + added().count(), |_| 0);
        let links = self.overridden_links(node);
        for slot in self.own_properties(node).map(|property| own_slot(&links, property.at)).chain(added()) {
            self.index_property(&mut table, node, slot, false);
        }
        self.lookups[number].properties = table;
        self.change_state(node, |state| state.properties_indexed = true);
    }

    /// The properties that a list of changes appends.
    fn added_slots(&self, list: List) -> impl Iterator<Item = Slot> + '_ {
        let added = |(link, change)| matches!(change, Change::Added(_)).then_some(Slot::Added(link));
        self.links.iter(list).filter_map(added)
    }

    fn index_property(&self, table: &mut Slots, node: NodeId, slot: Slot, replace: bool) {
        let text = |item| self.names.get(self.name_in(node, Slot::of_item(item)));
        let name = text(slot.item());
        let hash_of = |item| self.seed.hash(text(item));
        let is = |item| self.names.is(self.name_in(node, Slot::of_item(item)), name);
        table.insert(self.seed.hash(name), slot.item(), is, hash_of, replace);
    }

    /// Notes in the table of `node`'s properties, if it has one, that a property of it is kept in `slot` from now on.
    #[inline]
    fn note_slot(&mut self, table: Option<usize>, node: NodeId, slot: Slot) {
        if let Some(table) = table {
            self.note_indexed_slot(table, node, slot);
        }
    }

    #[cold]
    #[inline(never)]
    fn note_indexed_slot(&mut self, number: usize, node: NodeId, slot: Slot) {
        let mut table = core::mem::take(&mut self.lookups[number].properties);
        self.index_property(&mut table, node, slot, true);
        self.lookups[number].properties = table;
    }

    /// The links of the node's own properties that something else was put in place of.
    fn overridden_links(&self, node: NodeId) -> Vec<(StructureOffset, u32)> {
        let overridden = |(link, change)| match change {
            Change::Overridden { at, .. } => Some((at, link)),
            _ => None,
        };
        let mut links: Vec<_> = self.links.iter(self.list(node)).filter_map(overridden).collect();
        links.sort_unstable();
        links
    }

    /// The properties of the node's own source, names in the merged strings block.
    fn own_properties(&self, node: NodeId) -> kbt_fdt::Properties<'_> {
        let source = self.source(node.source);
        source.copy().properties(source.tree.node(node.node))
    }

    /// The property that a reference stands for.
    pub(crate) fn property_at(&self, property: PropertyRef) -> Property {
        let found = self.source(property.source).copy().property(property.at);
        found.unwrap_or(Property { at: property.at, name: StringsOffset(0), length: 0 })
    }

    /// The property in a slot as it is now.
    pub(crate) fn current(&self, node: NodeId, slot: Slot) -> Option<PropertyRef> {
        match slot {
            Slot::Source(at) => Some(PropertyRef { source: node.source, at }),
            Slot::Overridden(link) | Slot::Added(link) => match self.links.get(link)? {
                Change::Overridden { replacement: place, .. } | Change::Added(place) => {
                    self.property_ref(place)
                }
                _ => None,
            },
        }
    }

    /// The value of the node's property `name`.
    pub(crate) fn value(&mut self, node: NodeId, name: &[u8]) -> Option<&[u8]> {
        let slot = self.find_property(node, name)?;
        let property = self.current(node, slot)?;
        Some(self.value_of(property))
    }

    pub(crate) fn value_of(&self, property: PropertyRef) -> &[u8] {
        self.source(property.source).value(&self.property_at(property))
    }

    /// Appends a property that `node` is known to lack.
    pub(crate) fn append_property(&mut self, node: NodeId, property: PropertyRef) -> Slot {
        self.append_to(self.list_and_table(node), node, property)
    }

    #[inline(always)]
    fn append_to(
        &mut self,
        (list, table): (List, Option<usize>),
        node: NodeId,
        property: PropertyRef,
    ) -> Slot {
        let added = Change::Added(self.place_of(property));
        let slot = Slot::Added(self.push_change(node, list, added));
        self.note_slot(table, node, slot);
        slot
    }

    /// Puts `property`, or nothing, into a slot of `node`; gives the slot that it has from now on.
    pub(crate) fn replace_property(
        &mut self,
        node: NodeId,
        slot: Slot,
        property: Option<PropertyRef>,
    ) -> Slot {
        let place = property.map_or(PropertyPlace::REMOVED, |property| self.place_of(property));
        match slot {
            Slot::Added(link) | Slot::Overridden(link) => self.links.set_property(link, place),
            Slot::Source(at) => return self.override_at(self.list_and_table(node), node, at, place),
        }
        slot
    }

    #[inline]
    fn override_at(
        &mut self,
        (list, table): (List, Option<usize>),
        node: NodeId,
        at: StructureOffset,
        replacement: PropertyPlace,
    ) -> Slot {
        let slot = Slot::Overridden(self.push_change(node, list, Change::Overridden { at, replacement }));
        self.note_slot(table, node, slot);
        slot
    }

    /// The properties of a node as they are now.
    pub(crate) fn properties(&self, node: NodeId) -> Vec<(Slot, PropertyRef)> {
        let links = self.overridden_links(node);
        let own = self.own_properties(node).map(|property| own_slot(&links, property.at));
        own.chain(self.added_slots(self.list(node)))
            .filter_map(|slot| Some((slot, self.current(node, slot)?)))
            .collect()
    }

    /// The names of all properties of a node.
    pub(crate) fn property_names(&self, node: NodeId) -> impl Iterator<Item = &[u8]> {
        self.properties(node).into_iter().map(|(_, property)| self.names.get(self.property_at(property).name))
    }

    /// Whether a property of so many bytes may be made: paths that many labels repeat must not make the output
    /// larger than the inputs by any factor.
    pub(crate) fn may_make(&self, bytes: usize) -> bool {
        const TIMES: usize = 16;
        const FREE: usize = 16 << 20;
        let made = self.source(SourceId::MADE).bytes.len();
        made + bytes <= FREE || made + bytes <= (self.input_bytes as usize).saturating_mul(TIMES)
    }

    /// Makes a property whose value is the concatenation of `parts`.
    pub(crate) fn make_property(&mut self, name: StringsOffset, parts: &[&[u8]]) -> PropertyRef {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let bytes = self.sources[SourceId::MADE.0 as usize].bytes.to_mut();
        // Phandles and boot arguments are bounded by the inputs' sizes, symbols by `may_make`; where that is too much, the
        // merge is refused at its end.
        let at = StructureOffset(u32::try_from(bytes.len()).unwrap_or(0));
        self.too_large |= u32::try_from(self.input_bytes as usize + bytes.len() + 4).is_err();
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        for word in [Tag::PROP, length, name.0] {
            bytes.extend_from_slice(&word.to_be_bytes());
        }
        for part in parts {
            bytes.extend_from_slice(part);
        }
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        PropertyRef { source: SourceId::MADE, at }
    }
}

/// Where a node keeps its own property at `at`; `links` are those of the properties with something else in their place,
/// in order.
fn own_slot(links: &[(StructureOffset, u32)], at: StructureOffset) -> Slot {
    let found = links.binary_search_by_key(&at, |(place, _)| *place);
    found.map_or(Slot::Source(at), |found| Slot::Overridden(links[found].1))
}
