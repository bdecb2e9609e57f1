//! Which properties hold phandles, by their names.
//!
//! A tree that was compiled says nowhere which cells are phandles. The bindings do: `clocks` is a list of specifiers,
//! each a phandle and as many cells as the provider's `#clock-cells` says. A property counts only where all of it
//! reads so: every phandle is a node's, every provider says how many cells follow, and nothing is left over. What does
//! not is a list of numbers.
//!
//! Sources: Devicetree Specification v0.4 (2.4, `interrupt-parent`, `interrupts-extended`, `interrupt-map`), the
//! phandle properties that Linux follows (drivers/of/property.c) and that dtc checks (checks.c), by name.

use alloc::vec::Vec;

use kbt_fdt::{NodeIndex, Property};

use crate::index::{IndexedTree, cell_at};
use crate::references::{Reference, Referent};
use crate::value::is_strings;

/// How a property holds phandles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Phandles and nothing else.
    Phandles,
    /// Specifiers: a phandle and the cells that this property of its node counts.
    Specifiers(&'static [u8]),
    /// The same, where a node without the property counts none.
    SpecifiersOrNone(&'static [u8]),
    /// `interrupt-map`: a child's address and interrupt, a phandle, a parent's address and interrupt.
    InterruptMap,
}

/// The shape of a property of that name, where it is known to hold phandles.
pub fn shape(name: &[u8]) -> Option<Shape> {
    Some(match name {
        b"clocks" | b"assigned-clocks" | b"assigned-clock-parents" => Shape::Specifiers(b"#clock-cells"),
        b"cooling-device" => Shape::Specifiers(b"#cooling-cells"),
        b"dmas" => Shape::Specifiers(b"#dma-cells"),
        b"hwlocks" => Shape::Specifiers(b"#hwlock-cells"),
        b"interconnects" => Shape::Specifiers(b"#interconnect-cells"),
        b"interrupts-extended" => Shape::Specifiers(b"#interrupt-cells"),
        b"io-channels" => Shape::Specifiers(b"#io-channel-cells"),
        b"iommus" => Shape::Specifiers(b"#iommu-cells"),
        b"mboxes" => Shape::Specifiers(b"#mbox-cells"),
        b"msi-parent" => Shape::SpecifiersOrNone(b"#msi-cells"),
        b"mux-controls" => Shape::SpecifiersOrNone(b"#mux-control-cells"),
        b"nvmem-cells" => Shape::SpecifiersOrNone(b"#nvmem-cell-cells"),
        b"phys" => Shape::Specifiers(b"#phy-cells"),
        b"power-domains" => Shape::Specifiers(b"#power-domain-cells"),
        b"pwms" => Shape::Specifiers(b"#pwm-cells"),
        b"resets" => Shape::Specifiers(b"#reset-cells"),
        b"sound-dai" => Shape::Specifiers(b"#sound-dai-cells"),
        b"thermal-sensors" => Shape::Specifiers(b"#thermal-sensor-cells"),
        b"interrupt-map" => Shape::InterruptMap,
        b"interrupt-parent"
        | b"remote-endpoint"
        | b"memory-region"
        | b"operating-points-v2"
        | b"panel"
        | b"backlight"
        | b"leds"
        | b"next-level-cache"
        | b"cpu-idle-states"
        | b"phy-handle"
        | b"pcs-handle"
        | b"extcon"
        | b"wakeup-parent"
        | b"trip"
        | b"mmc-pwrseq"
        | b"iommu-parent"
        | b"power-supplies"
        | b"affinity"
        | b"interrupt-affinity" => Shape::Phandles,
        _ => return by_form(name),
    })
}

fn by_form(name: &[u8]) -> Option<Shape> {
    if let Some(number) = name.strip_prefix(b"pinctrl-") {
        return number.iter().all(u8::is_ascii_digit).then_some(Shape::Phandles);
    }
    if name.ends_with(b"-supply") {
        return Some(Shape::Phandles);
    }
    // `nr-gpios` and its like count lines.
    let is_gpio = matches!(name, b"gpio" | b"gpios") || name.ends_with(b"-gpio") || name.ends_with(b"-gpios");
    (is_gpio && !name.starts_with(b"nr-") && !name.ends_with(b",nr-gpios") && name.first() != Some(&b'#'))
        .then_some(Shape::Specifiers(b"#gpio-cells"))
}

/// The phandles in a property, in order; none where its name does not tell of any, or the value does not read so.
pub fn references<'a>(
    tree: &IndexedTree<'a>,
    node: NodeIndex,
    property: &Property,
) -> Option<Vec<Reference<'a>>> {
    let shape = shape(tree.property_name(property)).filter(|_| !is_listing(tree, node))?;
    let value = tree.value(property);
    if value.is_empty() || !value.len().is_multiple_of(4) {
        return None;
    }
    let mut found = Vec::new();
    let mut offset = 0;
    while offset < value.len() {
        let at = match shape {
            Shape::InterruptMap => offset + 4 * interrupt_map_front(tree, node)?,
            _ => offset,
        };
        let phandle = cell_at(value, at)?;
        // An entry that is left out: bindings that number their entries allow it.
        let left_out = matches!(phandle, 0 | u32::MAX) && shape != Shape::InterruptMap;
        let mut cells = 0;
        if !left_out {
            let to = tree.node_with_phandle(phandle)?;
            found.push(Reference {
                property: property.at,
                offset: u32::try_from(at).ok()?,
                to: Referent::Node(to),
            });
            cells = behind(tree, shape, to)?;
        }
        offset = at.checked_add(4)?.checked_add(cells.checked_mul(4)?)?;
    }
    (offset == value.len() && !found.is_empty() && !is_hog(tree, node, property)).then_some(found)
}

/// The first phandle of a property that its name tells of and no node has: its place in the value, and the number.
///
/// An `interrupt-map` is not looked at: some of real trees count the parent's address differently.
pub fn dangling(tree: &IndexedTree<'_>, node: NodeIndex, property: &Property) -> Option<(usize, u32)> {
    let shape = shape(tree.property_name(property)).filter(|shape| *shape != Shape::InterruptMap)?;
    let value = tree.value(property);
    if !value.len().is_multiple_of(4)
        || is_text(value)
        || is_hog(tree, node, property)
        || is_listing(tree, node)
    {
        return None;
    }
    let mut offset = 0;
    while offset < value.len() {
        let phandle = cell_at(value, offset)?;
        let mut cells = 0;
        if !matches!(phandle, 0 | u32::MAX) {
            let Some(to) = tree.node_with_phandle(phandle) else { return Some((offset, phandle)) };
            // What is behind a node that does not count cells cannot be told.
            cells = behind(tree, shape, to)?;
        }
        offset = offset.checked_add(4)?.checked_add(cells.checked_mul(4)?)?;
    }
    None
}

/// How many cells follow a phandle.
fn behind(tree: &IndexedTree<'_>, shape: Shape, to: NodeIndex) -> Option<usize> {
    let count = |name| tree.property_value(to, name).and_then(|value| cell_at(value, 0));
    let cells = match shape {
        Shape::Phandles => 0,
        Shape::Specifiers(name) => count(name)?,
        Shape::SpecifiersOrNone(name) => count(name).unwrap_or(0),
        // An address of the parent is counted as 0 cells where it does not say.
        Shape::InterruptMap => {
            count(b"#interrupt-cells")?.checked_add(count(b"#address-cells").unwrap_or(0))?
        }
    };
    // More is no specifier.
    usize::try_from(cells).ok().filter(|&cells| cells <= 64)
}

/// How many cells of an `interrupt-map` stand in front of each phandle.
fn interrupt_map_front(tree: &IndexedTree<'_>, node: NodeIndex) -> Option<usize> {
    let count = |name| tree.property_value(node, name).and_then(|value| cell_at(value, 0));
    let cells = count(b"#address-cells")?.checked_add(count(b"#interrupt-cells")?)?;
    usize::try_from(cells).ok().filter(|&cells| cells <= 64)
}

/// Whether the node lists names and paths: a label or an alias may be called as a property is.
fn is_listing(tree: &IndexedTree<'_>, node: NodeIndex) -> bool {
    let mut top = node;
    while top != NodeIndex::ROOT && tree.node(top).parent != NodeIndex::ROOT {
        top = tree.node(top).parent;
    }
    matches!(tree.name(top), b"aliases" | b"__symbols__" | b"__fixups__" | b"__local_fixups__")
}

/// Whether a value is strings, whatever the property is called: no tree has so many nodes that a phandle is printable.
pub fn is_text(value: &[u8]) -> bool {
    is_strings(value)
}

/// A GPIO hog's `gpios` has no phandle: its controller is its parent.
fn is_hog(tree: &IndexedTree<'_>, node: NodeIndex, property: &Property) -> bool {
    tree.property_name(property) == b"gpios" && tree.property(node, b"gpio-hog").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell() {
        assert_eq!(shape(b"clocks"), Some(Shape::Specifiers(b"#clock-cells")));
        assert_eq!(shape(b"pinctrl-12"), Some(Shape::Phandles));
        assert_eq!(shape(b"pinctrl-names"), None);
        assert_eq!(shape(b"vmmc-supply"), Some(Shape::Phandles));
        assert_eq!(shape(b"reset-gpios"), Some(Shape::Specifiers(b"#gpio-cells")));
        assert_eq!(shape(b"snps,nr-gpios"), None);
        assert_eq!(shape(b"nr-gpios"), None);
        assert_eq!(shape(b"#gpio-cells"), None);
        assert_eq!(shape(b"reg"), None);
    }
}
