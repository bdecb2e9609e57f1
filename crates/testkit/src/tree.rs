//! An owned device tree, made to be written down in a test.

/// A node: its name with unit address, its properties and its children, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    /// `serial@fe001000`; empty for the root.
    pub name: String,
    /// Names and values in order; a name may occur twice, as in a hostile file.
    pub properties: Vec<(String, Vec<u8>)>,
    /// The sub-nodes in order.
    pub children: Vec<Node>,
}

/// A whole file: the root and what stands beside the structure block.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// The root node.
    pub root: Node,
    /// Address and size of each entry of the memory reservation block.
    pub reservations: Vec<(u64, u64)>,
    /// `boot_cpuid_phys` of the header.
    pub boot_cpuid: u32,
}

impl From<Node> for Tree {
    fn from(root: Node) -> Self {
        Self { root, ..Self::default() }
    }
}

impl Node {
    /// An empty node.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Adds a property of raw bytes.
    pub fn bytes(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.properties.push((name.to_owned(), value.into()));
        self
    }

    /// Adds a property of big-endian cells.
    pub fn cells(self, name: &str, cells: &[u32]) -> Self {
        self.bytes(name, cells.iter().flat_map(|cell| cell.to_be_bytes()).collect::<Vec<_>>())
    }

    /// Adds a property of NUL-terminated text.
    pub fn text(self, name: &str, text: &str) -> Self {
        self.bytes(name, [text.as_bytes(), b"\0"].concat())
    }

    /// Adds an empty property.
    pub fn flag(self, name: &str) -> Self {
        self.bytes(name, [])
    }

    /// Adds a `phandle`.
    pub fn phandle(self, phandle: u32) -> Self {
        self.cells("phandle", &[phandle])
    }

    /// Adds a sub-node.
    pub fn child(mut self, child: Node) -> Self {
        self.children.push(child);
        self
    }

    /// Adds sub-nodes.
    pub fn children(mut self, children: impl IntoIterator<Item = Node>) -> Self {
        self.children.extend(children);
        self
    }

    /// The first property of that name.
    pub fn property(&self, name: &str) -> Option<&[u8]> {
        self.properties.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_slice())
    }

    /// The first property of that name as text without its NUL.
    pub fn property_text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.property(name)?.strip_suffix(b"\0")?).ok()
    }

    /// The first cell of the first property of that name.
    pub fn property_cell(&self, name: &str) -> Option<u32> {
        Some(u32::from_be_bytes(*self.property(name)?.first_chunk()?))
    }

    /// The first sub-node of exactly that name.
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The sub-node of exactly that name, made where it is absent.
    pub fn node_mut(&mut self, name: &str) -> &mut Node {
        let index = self.children.iter().position(|child| child.name == name).unwrap_or_else(|| {
            self.children.push(Node::new(name));
            self.children.len() - 1
        });
        &mut self.children[index]
    }

    /// The node at an absolute path of exact names; `/` is the node itself.
    pub fn at(&self, path: &str) -> Option<&Node> {
        path.split('/').filter(|name| !name.is_empty()).try_fold(self, |node, name| node.node(name))
    }

    /// Itself and every node below, parents before children; their absolute paths beside them.
    pub fn walk(&self) -> Vec<(String, &Node)> {
        let mut nodes = vec![(String::from("/"), self)];
        let mut next = 0;
        // Breadth first, so that the depth of a tree costs no stack.
        while let Some((path, node)) = nodes.get(next).cloned() {
            nodes.extend(node.children.iter().map(|child| (join(&path, &child.name), child)));
            next += 1;
        }
        nodes
    }
}

/// The path of a sub-node.
pub fn join(path: &str, name: &str) -> String {
    if path == "/" { format!("/{name}") } else { format!("{path}/{name}") }
}
