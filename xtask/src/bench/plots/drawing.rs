//! The two forms of a plot: lines over a size, in one panel or several side by side, and bars.

use super::axis::{Axis, Scale, short};
use super::svg::{Anchor, Svg, Text, WIDTH, width};

/// What stands above and below every plot.
pub struct Frame<'a> {
    pub title: &'a str,
    /// What is counted, with its unit.
    pub unit: &'a str,
    /// The names of the series; the place of a name is the series' colour and mark.
    pub series: &'a [Series],
    /// What was measured, where and when.
    pub foot: &'a [String],
}

/// One of the things that are compared.
pub struct Series {
    pub name: String,
    /// Without marks: what others are measured by.
    pub dashed: bool,
}

/// One set of axes.
pub struct Panel {
    pub title: String,
    /// For each series its points, from left to right.
    pub points: Vec<Vec<(f64, f64)>>,
}

/// Bars that belong together.
pub struct Group {
    pub name: String,
    /// One for each series.
    pub figures: Vec<f64>,
}

const LEFT: f64 = 62.0;
const RIGHT: f64 = 22.0;
const PANEL_GAP: f64 = 18.0;
const EDGE: f64 = 16.0;
/// Where the plot's area begins, below title and legend.
const TOP: f64 = 96.0;
const PANEL_HEIGHT: f64 = 250.0;
const FOOT_LINE: f64 = 16.0;

/// Lines over `x_name`, which lies on a logarithmic axis with a tick for each figure that was measured.
pub fn lines(frame: &Frame<'_>, x_name: &str, scale: Scale, panels: &[Panel]) -> String {
    let all = || panels.iter().flat_map(|panel| &panel.points).flatten().copied();
    let mut sizes: Vec<f64> = all().map(|(x, _)| x).collect();
    sizes.sort_by(f64::total_cmp);
    sizes.dedup();
    let (x_axis, y_axis) = (Axis::at(Scale::Log, &sizes), Axis::around(scale, all().map(|(_, y)| y)));
    let count = panels.len().max(1) as f64;
    let wide = (WIDTH - LEFT - RIGHT - PANEL_GAP * (count - 1.0)) / count;
    let bottom = TOP + PANEL_HEIGHT;
    let mut svg = Svg::new();
    head(&mut svg, frame, false);
    let y = |figure: f64| bottom - PANEL_HEIGHT * y_axis.place(figure);
    for &tick in &y_axis.ticks {
        svg.text((LEFT - 8.0, y(tick) + 4.0), Anchor::End, Text::Label, &short(tick));
    }
    let mut left = LEFT;
    for panel in panels {
        let x = |figure: f64| left + INSET + (wide - 2.0 * INSET) * x_axis.place(figure);
        svg.text((left + wide / 2.0, TOP - 8.0), Anchor::Middle, Text::Value, &panel.title);
        for &tick in &y_axis.ticks {
            svg.line("grid", (left, y(tick)), (left + wide, y(tick)));
        }
        svg.line("axis", (left, bottom), (left + wide, bottom));
        for &tick in &x_axis.ticks {
            svg.line("axis", (x(tick), bottom), (x(tick), bottom + 4.0));
            svg.text((x(tick), bottom + 18.0), Anchor::Middle, Text::Label, &short(tick));
        }
        for (colour, points) in panel.points.iter().enumerate().rev() {
            let points: Vec<_> = points.iter().map(|&(size, figure)| (x(size), y(figure))).collect();
            series(&mut svg, frame, colour, &points);
        }
        left += wide + PANEL_GAP;
    }
    svg.text((LEFT + (WIDTH - LEFT - RIGHT) / 2.0, bottom + 38.0), Anchor::Middle, Text::Label, x_name);
    let height = foot(&mut svg, frame, bottom + 44.0);
    svg.finish(height, frame.title)
}

/// From the edge of a panel to its first point.
const INSET: f64 = 14.0;

fn series(svg: &mut Svg, frame: &Frame<'_>, colour: usize, points: &[(f64, f64)]) {
    let dashed = frame.series.get(colour).is_some_and(|series| series.dashed);
    if points.len() > 1 {
        svg.path(colour, dashed, points);
    }
    for &point in points.iter().filter(|_| !dashed || points.len() == 1) {
        svg.mark(colour, point);
    }
}

const BAR: f64 = 14.0;
const BAR_GAP: f64 = 3.0;
const GROUP_GAP: f64 = 14.0;

/// Lying bars, each with its figure, over an axis of the whole numbers from zero to `most`.
pub fn bars(frame: &Frame<'_>, most: u32, groups: &[Group]) -> String {
    let names = groups.iter().map(|group| width(Text::Label, &group.name)).fold(0.0, f64::max);
    let left = EDGE + names + 12.0;
    let axis = Axis::at(Scale::Linear, &(0..=most).map(f64::from).collect::<Vec<_>>());
    let x = |figure: f64| left + (WIDTH - left - RIGHT - EDGE) * axis.place(figure);
    let of_group = frame.series.len() as f64 * (BAR + BAR_GAP) + GROUP_GAP;
    let bottom = TOP + of_group * groups.len() as f64;
    let mut svg = Svg::new();
    head(&mut svg, frame, true);
    for &tick in &axis.ticks {
        svg.line("grid", (x(tick), TOP), (x(tick), bottom));
        svg.text((x(tick), bottom + 18.0), Anchor::Middle, Text::Label, &short(tick));
    }
    svg.line("axis", (left, TOP), (left, bottom));
    let mut top = TOP + GROUP_GAP / 2.0;
    for group in groups {
        let middle = top + (of_group - GROUP_GAP) / 2.0 + 3.0;
        svg.text((left - 10.0, middle), Anchor::End, Text::Label, &group.name);
        for (colour, &figure) in group.figures.iter().enumerate() {
            let y = top + (BAR + BAR_GAP) * colour as f64;
            svg.bar(colour, (left, y), x(figure) - left, BAR);
            svg.text((x(figure) + 6.0, y + BAR - 3.0), Anchor::Start, Text::Value, &short(figure));
        }
        top += of_group;
    }
    let height = foot(&mut svg, frame, bottom + 24.0);
    svg.finish(height, frame.title)
}

/// Title, legend, and what the axis counts.
fn head(svg: &mut Svg, frame: &Frame<'_>, as_bars: bool) {
    svg.text((EDGE, 26.0), Anchor::Start, Text::Title, frame.title);
    let mut x = EDGE;
    for (colour, series) in frame.series.iter().enumerate() {
        if as_bars {
            svg.bar(colour, (x + 8.0, 40.0), BAR, 10.0);
        } else {
            svg.path(colour, series.dashed, &[(x, 46.0), (x + 28.0, 46.0)]);
            if !series.dashed {
                svg.mark(colour, (x + 14.0, 46.0));
            }
        }
        svg.text((x + 34.0, 50.0), Anchor::Start, Text::Value, &series.name);
        x += 34.0 + width(Text::Value, &series.name) + 22.0;
    }
    svg.text((EDGE, 70.0), Anchor::Start, Text::Label, frame.unit);
}

/// Gives the height of the whole.
fn foot(svg: &mut Svg, frame: &Frame<'_>, mut y: f64) -> f64 {
    y += 4.0;
    for line in frame.foot {
        y += FOOT_LINE;
        svg.text((EDGE, y), Anchor::Start, Text::Small, line);
    }
    y + 12.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::plots::svg::tests::check;

    const FOOT: [&str; 2] = ["what was measured", "where & when"];

    fn drawn(draw: impl FnOnce(&Frame<'_>) -> String, names: &[(&str, bool)]) -> String {
        let series: Vec<_> =
            names.iter().map(|&(name, dashed)| Series { name: name.to_owned(), dashed }).collect();
        let foot = FOOT.map(ToOwned::to_owned);
        draw(&Frame { title: "A small plot", unit: "ms a run", series: &series, foot: &foot })
    }

    /// Equal to the committed file, which `KBT_BLESS=1` writes.
    fn golden(name: &str, drawing: &str) {
        check(name, drawing);
        let file = crate::run::root().join("xtask/src/bench/plots/golden").join(name);
        if std::env::var_os("KBT_BLESS").is_some() {
            std::fs::write(&file, drawing).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&file).unwrap(), drawing, "{name}; KBT_BLESS=1 takes it over");
    }

    #[test]
    fn lines_in_two_panels() {
        let panel = |title: &str, factor: f64| Panel {
            title: title.to_owned(),
            points: vec![vec![(1.0, factor), (2.0, factor * 2.0), (4.0, factor * 4.0)], vec![(1.0, 3.0)]],
        };
        let panels = [panel("none", 1.0), panel("xz", 10.0)];
        let own =
            drawn(|frame| lines(frame, "threads", Scale::Log, &panels), &[("kbt", false), ("it", true)]);
        golden("lines.svg", &own);
    }

    #[test]
    fn bars_in_groups() {
        let group =
            |name: &str, figures: [f64; 2]| Group { name: name.to_owned(), figures: figures.to_vec() };
        let groups = [group("an end", [7.0, 0.0]), group("another one", [7.0, 3.0])];
        golden("bars.svg", &drawn(|frame| bars(frame, 7, &groups), &[("kbt", false), ("script", false)]));
    }

    #[test]
    fn nothing_is_drawn_without_a_panic() {
        check("no panel", &drawn(|frame| lines(frame, "x", Scale::Log, &[]), &[]));
        check("no group", &drawn(|frame| bars(frame, 0, &[]), &[]));
    }
}
