//! Where the boxes of a graph go: columns, and rows within them.
//!
//! **Idea** (Sugiyama, Tagawa and Toda 1981). A box lies one column behind the furthest of those that lead to it. An
//! edge over more than one column gets a point in each between, so that it has a way of its own. The rows of a column
//! then follow the mean row of their neighbours, to and fro, which unties most crossings.
//!
//! **Limits.** An edge that closes a cycle has no say in the columns. Crossings are made few, not fewest. Where the points
//! of all edges would pass [`MAX_POINTS`] edges are straight: nobody could follow them either way.

/// Sweeps over the columns; few crossings go away after that.
const SWEEPS: usize = 8;

/// Points of all edges; a whole distribution's modules have a tenth of it.
const MAX_POINTS: usize = 100_000;

/// Something that has a row in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    /// A node.
    Box(usize),
    /// Where an edge passes through.
    Point,
}

/// The columns of a graph, and the ways of its edges.
pub struct Layout {
    /// The items of each column, from the top; numbers of `items`.
    pub columns: Vec<Vec<usize>>,
    pub items: Vec<Item>,
    /// Of each edge the items that it visits, from the left.
    pub ways: Vec<Vec<usize>>,
}

/// Lays `count` nodes out; edges lead to the right where they can.
pub fn lay_out(count: usize, edges: &[(usize, usize)]) -> Layout {
    let column = columns_of(count, edges);
    let mut layout = Layout { columns: Vec::new(), items: Vec::new(), ways: Vec::new() };
    for node in 0..count {
        layout.push(Item::Box(node), column.get(node).copied().unwrap_or_default());
    }
    let at = |node: usize| column.get(node).copied().unwrap_or_default();
    let points: usize = edges.iter().map(|&(from, to)| at(from).abs_diff(at(to)).saturating_sub(1)).sum();
    for &(from, to) in edges {
        // A way goes from the left to the right, be the edge turned or not.
        let (left, right) = if at(from) <= at(to) { (from, to) } else { (to, from) };
        let mut way = vec![left];
        if points <= MAX_POINTS {
            way.extend((at(left) + 1..at(right)).map(|column| layout.push(Item::Point, column)));
        }
        way.push(right);
        layout.ways.push(way);
    }
    layout.untie();
    layout
}

/// The longest way to each node, but for edges that close a cycle.
fn columns_of(count: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let mut next = vec![Vec::new(); count];
    let mut incoming = vec![0_usize; count];
    for &(from, to) in edges {
        if let (Some(next), Some(incoming)) = (next.get_mut(from), incoming.get_mut(to)) {
            next.push(to);
            *incoming += 1;
        }
    }
    let order = depth_first(&next, &incoming);
    let mut place = vec![0; count];
    for (at, &node) in order.iter().enumerate() {
        place[node] = at;
    }
    let mut column = vec![0; count];
    for &node in &order {
        for &to in next.get(node).into_iter().flatten() {
            if place[to] > place[node] {
                column[to] = column[to].max(column[node] + 1);
            }
        }
    }
    column
}

/// The nodes so that an edge leads forward, unless it closes a cycle; those that nothing leads to are begun with.
fn depth_first(next: &[Vec<usize>], incoming: &[usize]) -> Vec<usize> {
    let mut seen = vec![false; next.len()];
    let mut left = Vec::with_capacity(next.len());
    let first = (0..next.len()).filter(|&node| incoming.get(node) == Some(&0));
    for start in first.chain(0..next.len()) {
        let mut open = vec![(start, 0)];
        if std::mem::replace(&mut seen[start], true) {
            continue;
        }
        while let Some((node, at)) = open.last_mut() {
            match next.get(*node).and_then(|next| next.get(*at)) {
                Some(&to) => {
                    *at += 1;
                    if !std::mem::replace(&mut seen[to], true) {
                        open.push((to, 0));
                    }
                }
                None => {
                    left.push(*node);
                    open.pop();
                }
            }
        }
    }
    left.reverse();
    left
}

impl Layout {
    fn push(&mut self, item: Item, column: usize) -> usize {
        if self.columns.len() <= column {
            self.columns.resize(column + 1, Vec::new());
        }
        self.items.push(item);
        if let Some(column) = self.columns.get_mut(column) {
            column.push(self.items.len() - 1);
        }
        self.items.len() - 1
    }

    fn untie(&mut self) {
        let (mut before, mut behind) =
            (vec![Vec::new(); self.items.len()], vec![Vec::new(); self.items.len()]);
        for (left, right) in self.ways.iter().flat_map(|way| way.windows(2)).map(|pair| (pair[0], pair[1])) {
            before[right].push(left);
            behind[left].push(right);
        }
        let mut row = vec![0.0_f64; self.items.len()];
        self.columns.iter().for_each(|column| number(column, &mut row));
        for sweep in 0..SWEEPS {
            let forward = sweep % 2 == 0;
            let neighbours = if forward { &before } else { &behind };
            let count = self.columns.len();
            for step in 0..count {
                let column = if forward { step } else { count - 1 - step };
                if let Some(column) = self.columns.get_mut(column) {
                    column.sort_by(|&a, &b| mean(a, neighbours, &row).total_cmp(&mean(b, neighbours, &row)));
                    number(column, &mut row);
                }
            }
        }
    }
}

/// The mean row of the neighbours; one's own where there are none.
fn mean(item: usize, neighbours: &[Vec<usize>], row: &[f64]) -> f64 {
    let around = neighbours.get(item).map(Vec::as_slice).unwrap_or_default();
    if around.is_empty() {
        return row[item];
    }
    let sum: f64 = around.iter().map(|&other| row[other]).sum();
    sum / f64::from(u32::try_from(around.len()).unwrap_or(u32::MAX))
}

/// Rows from -1 to 1, so that a short column lies around the middle of a long one.
fn number(column: &[usize], row: &mut [f64]) {
    let narrow = |number: usize| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
    for (at, &item) in column.iter().enumerate() {
        row[item] = (narrow(at) + 0.5) / narrow(column.len()) * 2.0 - 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_edge_has_a_point_in_each_column_between() {
        let layout = lay_out(3, &[(0, 1), (1, 2), (0, 2)]);
        assert_eq!(layout.columns.len(), 3);
        assert_eq!(layout.ways, [vec![0, 1], vec![1, 2], vec![0, 3, 2]]);
        assert_eq!(layout.items[3], Item::Point);
    }

    #[test]
    fn where_everything_needs_everything_edges_are_straight() {
        let edges: Vec<_> = (0..300).flat_map(|from| (from + 1..300).map(move |to| (from, to))).collect();
        let layout = lay_out(300, &edges);
        assert_eq!((layout.columns.len(), layout.items.len()), (300, 300));
        assert!(layout.ways.iter().all(|way| way.len() == 2));
    }

    #[test]
    fn a_cycle_ends() {
        let layout = lay_out(3, &[(0, 1), (1, 0), (1, 2), (2, 2)]);
        assert_eq!(layout.columns, [[0], [1], [2]]);
    }

    #[test]
    fn crossings_that_need_not_be_go() {
        // 0 and 1 lead crosswise to 3 and 2.
        let layout = lay_out(4, &[(0, 3), (1, 2)]);
        assert_eq!(layout.columns, [[0, 1], [3, 2]]);
    }
}
