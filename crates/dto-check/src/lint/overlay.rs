//! An overlay beside the tree that it is merged into, before and after.

use alloc::format;
use alloc::string::String;

use kbt_dto::Input;
use kbt_dts::{Dts, IndexedTree};
use kbt_fdt::NodeIndex;

use super::found::Findings;
use crate::placement::{Placement, find_label};
use crate::rule::Rule;

/// An overlay that could be merged.
pub(super) struct Case<'c, 'o, 't> {
    pub(super) overlay: &'c Dts<'o>,
    pub(super) input: Input,
    pub(super) before: &'c IndexedTree<'t>,
    pub(super) after: &'c IndexedTree<'t>,
    /// Where its nodes were in the tree before, if they were there.
    pub(super) old: Placement,
    /// Where they are in the tree after.
    pub(super) new: Placement,
}

impl<'c, 'o, 't> Case<'c, 'o, 't> {
    pub(super) fn new(
        overlay: &'c Dts<'o>,
        input: Input,
        before: &'c IndexedTree<'t>,
        after: &'c IndexedTree<'t>,
        loose: bool,
    ) -> Self {
        let old = Placement::new(overlay, before, loose, |label| find_label(before, label, loose));
        let new = Placement::new(overlay, after, loose, |label| {
            // The overlay may have labels of the same name; its targets are the tree's before it.
            let node = find_label(before, label, loose)?;
            let path = before.ancestry(node);
            path.into_iter().try_fold(NodeIndex::ROOT, |above, node| after.child(above, before.name(node)))
        });
        Self { overlay, input, before, after, old, new }
    }

    pub(super) fn look(&self, found: &mut Findings) {
        let tree = self.overlay.tree();
        for fragment in self.new.fragments() {
            if fragment.target == Ok(NodeIndex::ROOT) {
                let message = || "the fragment changes the root node".into();
                found.at_node(Rule::RootTarget, message, self.input, tree, fragment.node);
            }
            for index in fragment.overlay.0..tree.node(fragment.overlay).subtree_end.0 {
                self.look_at_node(NodeIndex(index), found);
            }
        }
    }

    fn look_at_node(&self, node: NodeIndex, found: &mut Findings) {
        let tree = self.overlay.tree();
        let parent = tree.node(node).parent;
        match self.old.of(node) {
            Some(old) => {
                let (own, theirs) = (tree.phandle(node), self.before.phandle(old));
                if own != 0 && theirs != 0 {
                    let message = || {
                        let path = self.before.path(old);
                        format!("{path} has the phandle {theirs:#x} already, here it is {own:#x}")
                    };
                    found.at_node(Rule::PhandleClash, message, self.input, tree, node);
                }
            }
            None => {
                let Some(above) = self.old.of(parent) else { return };
                let name = tree.name(node);
                if name.contains(&b'@') {
                    return;
                }
                let mut alike = self.before.children_with_unit_address(above, name);
                if let (Some(only), None) = (alike.next(), alike.next()) {
                    let message = || {
                        let (name, path) = (String::from_utf8_lossy(name), self.before.path(only));
                        format!("a new node '{name}' is made, but there is {path}")
                    };
                    found.at_node(Rule::LooseName, message, self.input, tree, node);
                }
            }
        }
    }
}
