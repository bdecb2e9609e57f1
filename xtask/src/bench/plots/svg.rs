//! The few elements of SVG that a plot is made of, written so that the same plot is the same bytes.
//!
//! Colours are classes of one style sheet within the file, which has a second set for readers with a dark screen. Nothing
//! is loaded from elsewhere: the letters are the reader's own, so the width of a text is only estimated.

use std::fmt::Write as _;

/// The width of every plot, in pixels.
pub const WIDTH: f64 = 760.0;

/// The sizes of letters, in pixels, by class.
const TITLE: f64 = 15.0;
const LABEL: f64 = 12.0;
const SMALL: f64 = 11.0;

/// What a wide font (DejaVu Sans) takes for a letter on average, in parts of its size.
const OF_SIZE: f64 = 0.62;

const STYLE: &str = "\
text{font-family:system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif;font-size:12px;fill:#52514e}
.title{font-size:15px;font-weight:600;fill:#0b0b0b}
.small{font-size:11px}
.value{fill:#0b0b0b}
.paper{fill:#fcfcfb}
.grid{stroke:#e1e0d9;stroke-width:1}
.axis{stroke:#8a897f;stroke-width:1}
.c0{stroke:#2a78d6;fill:#2a78d6}
.c1{stroke:#d55a1f;fill:#d55a1f}
.c2{stroke:#14875f;fill:#14875f}
.c3{stroke:#6f6e68;fill:#6f6e68}
.line{fill:none;stroke-width:2;stroke-linejoin:round}
.dashed{stroke-dasharray:6 4}
.mark{stroke:#fcfcfb;stroke-width:1.5}
.bar{stroke:none}
@media (prefers-color-scheme:dark){
text{fill:#c3c2b7}
.title,.value{fill:#ffffff}
.paper{fill:#1a1a19}
.grid{stroke:#33332f}
.axis{stroke:#8a897f}
.c0{stroke:#5a9ff0;fill:#5a9ff0}
.c1{stroke:#f08a55;fill:#f08a55}
.c2{stroke:#3fbf8f;fill:#3fbf8f}
.c3{stroke:#a3a298;fill:#a3a298}
.line{fill:none}
.mark{stroke:#1a1a19}
.bar{stroke:none}
}
";

/// Where a text stands to its place.
#[derive(Clone, Copy)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

/// The look of a text.
#[derive(Clone, Copy)]
pub enum Text {
    Title,
    Label,
    Small,
    Value,
}

/// A drawing in the making.
pub struct Svg {
    body: String,
}

impl Svg {
    /// An empty sheet.
    pub fn new() -> Self {
        Self { body: String::new() }
    }

    /// A line of text whose letters stand on `y`.
    pub fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, look: Text, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let class = match look {
            Text::Title => " class=\"title\"",
            Text::Label => "",
            Text::Small => " class=\"small\"",
            Text::Value => " class=\"value\"",
        };
        let _ =
            writeln!(self.body, "<text x=\"{x:.1}\" y=\"{y:.1}\"{class}{anchor}>{}</text>", escaped(text));
    }

    /// A straight line of a class.
    pub fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let _ = writeln!(
            self.body,
            "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
            from.0, from.1, to.0, to.1
        );
    }

    /// A line through points, of the series' colour.
    pub fn path(&mut self, colour: usize, dashed: bool, points: &[(f64, f64)]) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let dashed = if dashed { " dashed" } else { "" };
        let _ = writeln!(
            self.body,
            "<polyline class=\"c{colour} line{dashed}\" points=\"{}\"/>",
            points.join(" ")
        );
    }

    /// A bar of the series' colour.
    pub fn bar(&mut self, colour: usize, (x, y): (f64, f64), width: f64, height: f64) {
        let _ = writeln!(
            self.body,
            "<rect class=\"c{colour} bar\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"2\"/>"
        );
    }

    /// The sign of a series at a point: each has a form of its own, for those who see colours otherwise.
    pub fn mark(&mut self, colour: usize, (x, y): (f64, f64)) {
        let _ = match colour {
            0 => writeln!(self.body, "<circle class=\"c0 mark\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4.5\"/>"),
            1 => writeln!(
                self.body,
                "<rect class=\"c1 mark\" x=\"{:.1}\" y=\"{:.1}\" width=\"8\" height=\"8\"/>",
                x - 4.0,
                y - 4.0
            ),
            _ => writeln!(
                self.body,
                "<path class=\"c{colour} mark\" d=\"M{x:.1} {:.1}l5.5 9.5h-11z\"/>",
                y - 6.0
            ),
        };
    }

    /// The file.
    pub fn finish(self, height: f64, title: &str) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH:.0} {height:.0}\" width=\"{WIDTH:.0}\" \
             height=\"{height:.0}\" role=\"img\">\n<title>{}</title>\n<style>\n{STYLE}</style>\n\
             <rect class=\"paper\" width=\"{WIDTH:.0}\" height=\"{height:.0}\"/>\n{}</svg>\n",
            escaped(title),
            self.body
        )
    }
}

/// About how wide a text is, in pixels; rather too much than too little.
pub fn width(look: Text, text: &str) -> f64 {
    let size = match look {
        Text::Title => TITLE,
        Text::Label | Text::Value => LABEL,
        Text::Small => SMALL,
    };
    text.chars().count() as f64 * size * OF_SIZE
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// What holds for every drawing.
#[cfg(test)]
pub mod tests {
    use super::*;

    /// Fails where a drawing is no XML, or texts lie over each other or over the edge.
    pub fn check(name: &str, drawing: &str) {
        let document = roxmltree::Document::parse(drawing).unwrap_or_else(|error| panic!("{name}: {error}"));
        let root = document.root_element();
        assert_eq!(root.tag_name().name(), "svg", "{name}");
        let number = |node: &roxmltree::Node<'_, '_>, attribute: &str| -> f64 {
            node.attribute(attribute).unwrap_or("0").parse().unwrap()
        };
        let mut boxes: Vec<([f64; 4], &str)> = Vec::new();
        for node in root.descendants().filter(|node| node.has_tag_name("text")) {
            let text = node.text().unwrap_or_default();
            let (look, size) = match node.attribute("class") {
                Some("title") => (Text::Title, TITLE),
                Some("small") => (Text::Small, SMALL),
                _ => (Text::Label, LABEL),
            };
            let (x, y, wide) = (number(&node, "x"), number(&node, "y"), width(look, text));
            let left = match node.attribute("text-anchor") {
                Some("middle") => x - wide / 2.0,
                Some("end") => x - wide,
                _ => x,
            };
            let own = [left, y - size, left + wide, y];
            assert!(own[0] >= 0.0 && own[2] <= WIDTH, "{name}: '{text}' is over the edge: {own:?}");
            assert!(own[1] >= 0.0 && own[3] <= number(&root, "height"), "{name}: '{text}' is over the edge");
            for (other, its) in &boxes {
                let apart =
                    own[2] <= other[0] || other[2] <= own[0] || own[3] <= other[1] || other[3] <= own[1];
                assert!(apart, "{name}: '{text}' lies over '{its}'");
            }
            boxes.push((own, text));
        }
        assert!(!boxes.is_empty(), "{name}: no text");
    }

    #[test]
    fn texts_are_escaped() {
        let mut svg = Svg::new();
        svg.text((10.0, 20.0), Anchor::Start, Text::Label, "a < b & c");
        let drawing = svg.finish(40.0, "x > y");
        check("escaped", &drawing);
        assert!(drawing.contains("a &lt; b &amp; c") && drawing.contains("<title>x &gt; y</title>"));
    }

    #[test]
    #[should_panic(expected = "'b' lies over 'a'")]
    fn texts_over_each_other_are_told() {
        let mut svg = Svg::new();
        svg.text((10.0, 20.0), Anchor::Start, Text::Label, "a");
        svg.text((12.0, 22.0), Anchor::Start, Text::Label, "b");
        check("two", &svg.finish(40.0, "t"));
    }
}
