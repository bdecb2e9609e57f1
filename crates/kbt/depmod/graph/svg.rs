//! Drawing a graph: boxes in columns, edges from who needs to what is needed.

use std::fmt::Write as _;

use super::layout::{Item, lay_out};
use super::{Graph, Node};

/// All lengths are pixels. A character of the font that the boxes are made for is so wide.
const CHARACTER: f64 = 7.3;
const PADDING: f64 = 10.0;
const BOX: f64 = 24.0;
/// Between two items of a column; a point takes less than a box.
const GAP: f64 = 10.0;
const POINT: f64 = 4.0;
/// Between two columns: at least this, and more for many edges, so that they stay apart.
const WAY: f64 = 70.0;
const MARGIN: f64 = 20.0;

const STYLE: &str = "text{font:12px ui-monospace,DejaVu Sans Mono,monospace;fill:#0f172a}\
rect{fill:#f8fafc;stroke:#64748b}.asked rect{fill:#dbeafe;stroke:#1d4ed8;stroke-width:1.5}\
path.e{fill:none;stroke:#94a3b8;stroke-width:1.2}path.e:hover{stroke:#dc2626;stroke-width:2}";

/// Where an item lies: its left, its middle from the top, its width.
#[derive(Clone, Copy, Default)]
struct Place {
    left: f64,
    middle: f64,
    width: f64,
}

/// The drawing, a document of its own.
pub fn draw(graph: &Graph) -> String {
    // The modules that were asked for stand on the left.
    let turned =
        |&(user, needed): &(usize, usize)| if graph.reverse { (needed, user) } else { (user, needed) };
    let edges: Vec<_> = graph.edges.iter().map(turned).collect();
    let layout = lay_out(graph.nodes.len(), &edges);
    let heights: Vec<f64> = layout.columns.iter().map(|column| height(column, &layout.items)).collect();
    let highest = heights.iter().copied().fold(0.0, f64::max);
    let mut places = vec![Place::default(); layout.items.len()];
    let mut left = MARGIN;
    let mut right = MARGIN;
    for (column, height) in layout.columns.iter().zip(&heights) {
        let width =
            column.iter().map(|&item| width(layout.items.get(item), &graph.nodes)).fold(0.0, f64::max);
        let mut top = MARGIN + (highest - height) / 2.0;
        for &item in column {
            let size = item_height(layout.items.get(item));
            if let Some(place) = places.get_mut(item) {
                *place = Place { left, middle: top + size / 2.0, width };
            }
            top += size + GAP;
        }
        right = left + width;
        let crowd = f64::from(u32::try_from(column.len()).unwrap_or(u32::MAX));
        left = right + WAY + crowd.sqrt() * 12.0;
    }
    let mut text = head(right + MARGIN, highest + 2.0 * MARGIN, graph.reverse);
    for (way, &(user, needed)) in layout.ways.iter().zip(&graph.edges) {
        edge(&mut text, way, &places, graph, (user, needed));
    }
    for (item, place) in layout.items.iter().zip(&places) {
        if let Item::Box(node) = item
            && let Some(node) = graph.nodes.get(*node)
        {
            draw_box(&mut text, node, place);
        }
    }
    text.push_str("</svg>\n");
    text
}

fn head(width: f64, height: f64, reverse: bool) -> String {
    // The head of an arrow lies at what is needed: on the right, or in reverse on the left.
    let (at, shape) = if reverse { (0, "M8,0 L0,4 L8,8 z") } else { (8, "M0,0 L8,4 L0,8 z") };
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
         height=\"{height:.0}\">\n<style>{STYLE}</style>\n<defs><marker id=\"a\" markerWidth=\"8\" markerHeight=\"8\" \
         refX=\"{at}\" refY=\"4\" orient=\"auto\" markerUnits=\"userSpaceOnUse\"><path d=\"{shape}\" \
         fill=\"#64748b\"/></marker></defs>\n<rect width=\"100%\" height=\"100%\" \
         style=\"fill:#ffffff;stroke:none\"/>\n"
    )
}

/// A curve that leaves a box and meets the next one level.
fn edge(text: &mut String, way: &[usize], places: &[Place], graph: &Graph, ends: (usize, usize)) {
    let place = |item: usize| places.get(item).copied().unwrap_or_default();
    let Some((&first, rest)) = way.split_first() else { return };
    let start = place(first);
    let mut x = start.left + box_width(first, graph);
    let mut line = format!("M{x:.1},{:.1}", start.middle);
    let mut y = start.middle;
    for &item in rest {
        let next = place(item);
        let half = (next.left - x) / 2.0;
        let _ = write!(
            line,
            " C{:.1},{y:.1} {:.1},{:.1} {:.1},{:.1}",
            x + half,
            next.left - half,
            next.middle,
            next.left,
            next.middle
        );
        (x, y) = (next.left, next.middle);
        if item >= graph.nodes.len() {
            x += next.width;
            let _ = write!(line, " H{x:.1}");
        }
    }
    let name = |node: usize| graph.nodes.get(node).map(|node| escaped(&node.name)).unwrap_or_default();
    let end = if graph.reverse { "start" } else { "end" };
    let _ = writeln!(
        text,
        "<path class=\"e\" d=\"{line}\" marker-{end}=\"url(#a)\"><title>{} needs {}</title></path>",
        name(ends.0),
        name(ends.1)
    );
}

fn draw_box(text: &mut String, node: &Node, place: &Place) {
    let class = if node.asked { " class=\"asked\"" } else { "" };
    let _ = writeln!(
        text,
        "<g{class}><title>{}</title><rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{BOX}\" rx=\"4\"/><text \
         x=\"{:.1}\" y=\"{:.1}\">{}</text></g>",
        escaped(&node.path),
        place.left,
        place.middle - BOX / 2.0,
        name_width(&node.name),
        place.left + PADDING,
        place.middle + 4.0,
        escaped(&node.name)
    );
}

fn name_width(name: &str) -> f64 {
    let characters = f64::from(u32::try_from(name.chars().count()).unwrap_or(u32::MAX));
    characters * CHARACTER + 2.0 * PADDING
}

/// Nodes are the first items.
fn box_width(item: usize, graph: &Graph) -> f64 {
    graph.nodes.get(item).map_or(0.0, |node| name_width(&node.name))
}

fn width(item: Option<&Item>, nodes: &[Node]) -> f64 {
    match item {
        Some(Item::Box(node)) => nodes.get(*node).map_or(0.0, |node| name_width(&node.name)),
        _ => 0.0,
    }
}

fn item_height(item: Option<&Item>) -> f64 {
    if matches!(item, Some(Item::Box(_))) { BOX } else { POINT }
}

fn height(column: &[usize], items: &[Item]) -> f64 {
    column.iter().map(|&item| item_height(items.get(item)) + GAP).sum::<f64>() - GAP
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    text.chars().filter(|c| !c.is_control()).collect()
}
