//! Properties of an overlay's own nodes by name, for the fixups: each entry of a list names one.
//!
//! Few properties are compared one by one. A node with many gets a table when it is asked for the second time, so
//! that a list of n entries on one node costs n look-ups and not n walks.

use alloc::collections::BTreeMap;

use kbt_fdt::{NodeIndex, Property};

use crate::lookup::WIDE;
use crate::source::Source;

/// Tables of the nodes that were asked for.
#[derive(Debug, Default)]
pub(crate) struct PropertyTables<'a> {
    /// Of a node that was asked for once nothing yet.
    tables: BTreeMap<NodeIndex, Option<BTreeMap<&'a [u8], Property>>>,
}

impl<'a> PropertyTables<'a> {
    /// The property of `node` that is called `name`; the one that stays where there are several.
    #[inline]
    pub(crate) fn find(&mut self, source: &Source<'a>, node: NodeIndex, name: &[u8]) -> Option<Property> {
        let mut properties = source.properties(node);
        let found = properties
            .by_ref()
            .take(WIDE)
            .find(|property| source.strings.is(property.name, name) && source.is_kept(property));
        if found.is_some() || properties.clone().next().is_none() {
            return found;
        }
        self.find_wide(source, node, name)
    }

    #[cold]
    fn find_wide(&mut self, source: &Source<'a>, node: NodeIndex, name: &[u8]) -> Option<Property> {
        let Some(table) = self.tables.get_mut(&node) else {
            self.tables.insert(node, None);
            return source.property(node, name);
        };
        let table = table.get_or_insert_with(|| {
            let kept = source.properties(node).filter(|property| source.is_kept(property));
            kept.map(|property| (source.property_name(&property), property)).collect()
        });
        table.get(name).copied()
    }
}
