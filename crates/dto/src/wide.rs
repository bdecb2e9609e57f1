//! Properties of an overlay's own nodes by name, for the fixups: each entry of a list names one.
//!
//! Few properties are compared one by one. A node with many, or with much between them, gets a table when it is asked for
//! the second time, so that a list of n entries on one node costs n look-ups and not n walks.

use alloc::collections::BTreeMap;

use kbt_fdt::{NodeIndex, Property, StructureOffset};

use crate::lookup::{LONG_WALK, Slots, WIDE};
use crate::source::Source;
use crate::table::Seed;

/// Tables of the nodes that were asked for.
#[derive(Debug, Default)]
pub(crate) struct PropertyTables {
    /// Of a node that was asked for once nothing yet; else the places of its properties.
    tables: BTreeMap<NodeIndex, Option<Slots>>,
    seed: Seed,
}

impl PropertyTables {
    /// The property of `node` that is called `name`; the one that stays where there are several.
    #[inline]
    pub(crate) fn find(&mut self, source: &Source<'_>, node: NodeIndex, name: &[u8]) -> Option<Property> {
        if source.properties_end(node).0 - source.tree.node(node).body.0 > LONG_WALK {
            return self.find_wide(source, node, name);
        }
        let mut properties = source.properties(node);
        let found = properties
            .by_ref()
            .take(WIDE)
            .find(|property| source.is_string(property.name, name) && source.is_kept(property));
        if found.is_some() || properties.clone().next().is_none() {
            return found;
        }
        self.find_wide(source, node, name)
    }

    #[cold]
    fn find_wide(&mut self, source: &Source<'_>, node: NodeIndex, name: &[u8]) -> Option<Property> {
        let Some(table) = self.tables.get_mut(&node) else {
            self.tables.insert(node, None);
            return source.property(node, name);
        };
        let seed = &self.seed;
        let name_at = |at| source.original.property(StructureOffset(at)).map(|property| property.name);
        let is = |at| name_at(at).is_some_and(|other| source.is_string(other, name));
        let table = table.get_or_insert_with(|| {
            let mut table = Slots::default();
            let kept = || source.properties(node).filter(|property| source.is_kept(property));
            table.reserve(kept().count(), |_| 0);
            for property in kept() {
                let name = source.property_name(&property);
                let is = |at| name_at(at).is_some_and(|other| source.is_string(other, name));
                // There is room for all of them.
                table.insert(seed.hash(name), property.at.0, is, |_| 0, false);
            }
            table
        });
        table.find(seed.hash(name), is).and_then(|at| source.original.property(StructureOffset(at)))
    }
}
