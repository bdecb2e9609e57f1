//! Overlays as `dtc -@` writes them: fragments, `__fixups__`, `__local_fixups__`, `__symbols__`.

use crate::tree::{Node, Tree, join};

/// What a fragment is merged into.
#[derive(Debug, Clone)]
pub enum Target {
    /// A label of the base: `target` and an entry in `__fixups__`.
    Label(String),
    /// `target-path`: an absolute path or an alias.
    Path(String),
    /// `target` with the phandle of a node of this overlay: an entry in `__local_fixups__`.
    Local(u32),
}

impl Target {
    /// A label of the base.
    pub fn label(label: impl Into<String>) -> Self {
        Self::Label(label.into())
    }

    /// A path in the base, or an alias.
    pub fn path(path: impl Into<String>) -> Self {
        Self::Path(path.into())
    }
}

/// An overlay in the making.
#[derive(Debug, Clone, Default)]
pub struct Overlay {
    /// The root of the file so far; a test may add what no compiler would.
    pub root: Node,
    fragments: usize,
    fixups: Node,
    local_fixups: Node,
    symbols: Node,
}

impl Overlay {
    /// An overlay without a fragment.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a fragment and gives the path of its `__overlay__`.
    pub fn fragment(&mut self, target: Target, mut content: Node) -> String {
        let name = format!("fragment@{}", self.fragments);
        let path = join("/", &name);
        self.fragments += 1;
        let fragment = match target {
            Target::Label(label) => {
                self.reference(&path, "target", 0, &label);
                Node::new(name).cells("target", &[u32::MAX])
            }
            Target::Path(path) => Node::new(name).text("target-path", &path),
            Target::Local(phandle) => {
                self.local_reference(&path, "target", 0);
                Node::new(name).cells("target", &[phandle])
            }
        };
        content.name = "__overlay__".to_owned();
        self.root.children.push(fragment.child(content));
        join(&path, "__overlay__")
    }

    /// The cell at `offset` of a property holds the phandle of the base's node of that label.
    pub fn reference(&mut self, path: &str, property: &str, offset: u32, label: &str) {
        let place = format!("{path}:{property}:{offset}\0");
        match self.fixups.properties.iter_mut().find(|(other, _)| other == label) {
            Some((_, places)) => places.extend(place.as_bytes()),
            None => self.fixups.properties.push((label.to_owned(), place.into_bytes())),
        }
    }

    /// The cell at `offset` of a property holds the phandle of a node of this overlay.
    pub fn local_reference(&mut self, path: &str, property: &str, offset: u32) {
        let names = path.split('/').filter(|name| !name.is_empty());
        let node = names.fold(&mut self.local_fixups, |node, name| node.node_mut(name));
        match node.properties.iter_mut().find(|(other, _)| other == property) {
            Some((_, offsets)) => offsets.extend(offset.to_be_bytes()),
            None => node.properties.push((property.to_owned(), offset.to_be_bytes().to_vec())),
        }
    }

    /// Gives the node at `path` of this overlay a label.
    pub fn symbol(&mut self, label: &str, path: &str) {
        self.symbols.properties.push((label.to_owned(), [path.as_bytes(), b"\0"].concat()));
    }

    /// The file: fragments, then `__symbols__`, `__fixups__` and `__local_fixups__` where they hold
    /// something.
    pub fn finish(self) -> Tree {
        let mut root = self.root;
        let metadata = [
            ("__symbols__", self.symbols),
            ("__fixups__", self.fixups),
            ("__local_fixups__", self.local_fixups),
        ];
        for (name, node) in metadata {
            if !(node.properties.is_empty() && node.children.is_empty()) {
                root.children.push(Node { name: name.to_owned(), ..node });
            }
        }
        Tree::from(root)
    }
}
