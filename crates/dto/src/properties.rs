//! The live tree's properties: looking them up, setting them, making new ones.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use kbt_fdt::{Property, StringsOffset, StructureOffset, Tag};

use crate::live::{Live, Override};
use crate::lookup::{WALKS, WIDE};
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

impl Live<'_> {
    /// Where `node` keeps the property `name`.
    pub(crate) fn find_property(&mut self, node: NodeId, name: &[u8]) -> Option<Slot> {
        let patch = self.patch_number(node);
        if let Some(patch) = patch.filter(|&patch| self.patches[patch as usize].properties_indexed) {
            return self.find_indexed_property(patch, name);
        }
        let (found, seen) = self.walk_properties(node, patch, |other| self.names.is(other, name));
        if seen > WIDE {
            self.count_property_walk(node);
        }
        found
    }

    /// Sets the property of `node` whose name stands at `name` of the merged strings block: in place where the node has
    /// one, else behind the others.
    pub(crate) fn set_property(&mut self, node: NodeId, name: StringsOffset, property: PropertyRef) -> Slot {
        let patch = self.touch(node);
        let found = if self.patches[patch as usize].properties_indexed {
            self.find_indexed_property(patch, self.names.get(name))
        } else {
            let first = self.names.first_byte(name);
            let is = |other| {
                other == name || self.names.first_byte(other) == first && self.names.are_same(other, name)
            };
            let (found, seen) = self.walk_properties(node, Some(patch), is);
            if seen > WIDE {
                self.count_property_walk(node);
            }
            found
        };
        match found {
            Some(Slot::Source(at)) => self.override_at(patch, node, at, Some(property)),
            Some(slot) => self.replace_property(node, slot, Some(property)),
            None => self.append_to(patch, property),
        }
    }

    #[cold]
    fn find_indexed_property(&self, owner: u32, name: &[u8]) -> Option<Slot> {
        let is = |(_, other)| self.names.is(other, name);
        self.indexed_properties.find(owner, name, is).map(|(slot, _)| slot)
    }

    /// Where `node` keeps the first property whose name `is` accepts, and how many there are in front of it.
    #[inline(always)]
    fn walk_properties(
        &self,
        node: NodeId,
        patch: Option<u32>,
        is: impl Fn(StringsOffset) -> bool,
    ) -> (Option<Slot>, usize) {
        let mut seen = 0;
        let (additions, overridden) = patch.map_or_else(Default::default, |patch| {
            let patch = &self.patches[patch as usize];
            (patch.additions, patch.overridden)
        });
        for property in self.own_properties(node) {
            if is(property.name) {
                // There are few: of a node with many properties those far behind are found in the table.
                let mut overrides = self.overrides.iter(overridden);
                let link = overrides.find(|(_, entry)| entry.at == property.at).map(|(link, _)| link);
                return (Some(link.map_or(Slot::Source(property.at), Slot::Overridden)), seen);
            }
            seen += 1;
        }
        for (link, addition) in self.additions.iter(additions) {
            if addition.is_some_and(|addition| is(self.property_at(addition).name)) {
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
        let patch = self.patch_mut(node);
        patch.walks = patch.walks.saturating_add(1);
        if patch.walks > WALKS {
            self.index_properties(node);
        }
    }

    fn index_properties(&mut self, node: NodeId) {
        let owner = self.touch(node);
        let added = self.additions.iter(self.patches[owner as usize].additions);
        let added = added.filter_map(|(link, addition)| {
            addition.map(|addition| (Slot::Added(link), self.property_at(addition).name))
        });
        let items: Vec<_> = self.own_slots(node).into_iter().chain(added).collect();
        self.indexed_properties.reserve(items.len());
        for item in items {
            self.index_property(owner, item, false);
        }
        self.patches[owner as usize].properties_indexed = true;
    }

    fn index_property(&mut self, owner: u32, item: (Slot, StringsOffset), replace: bool) {
        let text = self.names.get(item.1);
        let is = |(_, name)| self.names.is(name, text);
        self.indexed_properties.insert(owner, text, item, is, replace);
    }

    /// The slots of the node's own properties, with their names.
    fn own_slots(&self, node: NodeId) -> Vec<(Slot, StringsOffset)> {
        let overridden = self.patch(node).map(|patch| patch.overridden).unwrap_or_default();
        let links = self.overrides.iter(overridden).map(|(link, entry)| (entry.at, link));
        let links: BTreeMap<StructureOffset, u32> = links.collect();
        let slot = |at| links.get(&at).map_or(Slot::Source(at), |&link| Slot::Overridden(link));
        self.own_properties(node).map(|property| (slot(property.at), property.name)).collect()
    }

    /// The properties of the node's own source, names in the merged strings block.
    fn own_properties(&self, node: NodeId) -> kbt_fdt::Properties<'_> {
        self.source(node.source).copy().properties(self.node(node))
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
            Slot::Overridden(link) => self.overrides.get(link)?.replacement,
            Slot::Added(link) => self.additions.get(link).flatten(),
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

    /// Makes room for so many properties that come in place of others or behind them. What is not needed is not
    /// touched.
    pub(crate) fn reserve_properties(&mut self, count: usize) {
        self.additions.reserve(count);
        self.overrides.reserve(count);
    }

    /// Appends a property that `node` is known to lack.
    pub(crate) fn append_property(&mut self, node: NodeId, property: PropertyRef) -> Slot {
        let patch = self.touch(node);
        self.append_to(patch, property)
    }

    #[inline]
    fn append_to(&mut self, number: u32, property: PropertyRef) -> Slot {
        let patch = &mut self.patches[number as usize];
        let slot = Slot::Added(self.additions.push(&mut patch.additions, Some(property)));
        if patch.properties_indexed {
            let name = self.property_at(property).name;
            self.index_property(number, (slot, name), false);
        }
        slot
    }

    /// Puts `property`, or nothing, into a slot of `node`; gives the slot that it has from now on.
    pub(crate) fn replace_property(
        &mut self,
        node: NodeId,
        slot: Slot,
        property: Option<PropertyRef>,
    ) -> Slot {
        match slot {
            Slot::Added(link) => self.additions.set(link, property),
            Slot::Overridden(link) => self.overrides.change(link, |entry| entry.replacement = property),
            Slot::Source(at) => {
                let patch = self.touch(node);
                return self.override_at(patch, node, at, property);
            }
        }
        slot
    }

    #[inline]
    fn override_at(
        &mut self,
        number: u32,
        node: NodeId,
        at: StructureOffset,
        replacement: Option<PropertyRef>,
    ) -> Slot {
        let patch = &mut self.patches[number as usize];
        let slot = Slot::Overridden(self.overrides.push(&mut patch.overridden, Override { at, replacement }));
        if patch.properties_indexed {
            let name = self.property_at(PropertyRef { source: node.source, at }).name;
            self.index_property(number, (slot, name), true);
        }
        slot
    }

    /// The properties of a node as they are now.
    pub(crate) fn properties(&self, node: NodeId) -> Vec<(Slot, PropertyRef)> {
        let own = self.own_slots(node).into_iter().map(|(slot, _)| slot);
        let additions = self.patch(node).map(|patch| patch.additions).unwrap_or_default();
        let added = self.additions.iter(additions).map(|(link, _)| Slot::Added(link));
        own.chain(added).filter_map(|slot| Some((slot, self.current(node, slot)?))).collect()
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
        let inputs: usize = self.sources.iter().map(|source| source.original.bytes().len()).sum();
        let made = self.source(SourceId::MADE).bytes.len();
        made + bytes <= FREE || made + bytes <= inputs.saturating_mul(TIMES)
    }

    /// Makes a property whose value is the concatenation of `parts`.
    pub(crate) fn make_property(&mut self, name: StringsOffset, parts: &[&[u8]]) -> PropertyRef {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let bytes = self.sources[SourceId::MADE.0 as usize].bytes.to_mut();
        // Phandles and boot arguments are bounded by the inputs' sizes, symbols by `may_make`.
        let at = StructureOffset(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
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
