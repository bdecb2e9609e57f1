//! Made bases and overlays, from source text for dtc or from the tree builder where dtc would not make them.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use kbt_testkit::write::write_with;
use kbt_testkit::{BlockOrder, Node, Overlay, StringSharing, Target, Tree, WriteOptions};

use crate::Expected;

/// What a file is made of.
pub enum Source {
    /// Text for dtc, with its options beyond `-I dts -O dtb`.
    Dts(String, &'static [&'static str]),
    /// Bytes as they are.
    Bytes(Vec<u8>),
}

/// A base, what is applied to it and what is to come of it.
pub struct Case {
    /// The rule that it shows.
    pub name: &'static str,
    /// The base.
    pub base: Source,
    /// The overlays in order.
    pub overlays: Vec<Source>,
    /// What both programs say.
    pub expected: Expected,
}

impl Source {
    /// The file's bytes.
    pub fn compile(&self, dtc: &Path) -> Vec<u8> {
        let (text, options) = match self {
            Self::Bytes(bytes) => return bytes.clone(),
            Self::Dts(text, options) => (text, options),
        };
        let mut child = Command::new(dtc)
            .args(["-q", "-q", "-I", "dts", "-O", "dtb"])
            .args(*options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }
}

/// A base that most cases share, compiled with symbols.
const BOARD: &str = r#"/ {
    compatible = "vendor,board";
    aliases { serial0 = &uart; };
    chosen: chosen { bootargs = "console=ttyS0"; };
    clocks { osc: oscillator { #clock-cells = <1>; }; };
    soc: soc {
        #address-cells = <1>;
        #size-cells = <1>;
        uart: serial@1000 { reg = <0x1000 0x100>; status = "disabled"; clocks = <&osc 3>; };
        i2c: i2c@2000 { reg = <0x2000 0x100>; bus { sensor@40 { reg = <0x40>; }; }; };
    };
    users { list = <&uart &i2c &soc>; };
};"#;

fn base(text: &str) -> Source {
    Source::Dts(format!("/dts-v1/;\n{text}"), &["-@"])
}

fn overlay(text: &str) -> Source {
    Source::Dts(format!("/dts-v1/;\n/plugin/;\n{text}"), &["-@"])
}

fn made(overlay: Overlay) -> Source {
    Source::Bytes(kbt_testkit::write(&overlay.finish()))
}

fn case(name: &'static str, expected: Expected, base: Source, overlays: Vec<Source>) -> Case {
    Case { name, base, overlays, expected }
}

/// A case on [`BOARD`] with overlays from text.
fn on_board(name: &'static str, expected: Expected, overlays: &[&str]) -> Case {
    case(name, expected, base(BOARD), overlays.iter().map(|text| overlay(text)).collect())
}

/// A case on [`BOARD`] with one made overlay.
fn made_on_board(name: &'static str, expected: Expected, fill: impl FnOnce(&mut Overlay)) -> Case {
    let mut overlay = Overlay::new();
    fill(&mut overlay);
    case(name, expected, base(BOARD), vec![made(overlay)])
}

/// All cases.
pub fn cases() -> Vec<Case> {
    [merges(), phandles(), symbols(), stacks(), names(), forms(), refusals(), odd_overlays()]
        .into_iter()
        .flatten()
        .collect()
}

fn merges() -> Vec<Case> {
    use Expected::Same;
    vec![
        on_board("empty overlay", Same, &["/ {};"]),
        on_board("fragment without a change", Same, &["&uart {};"]),
        on_board("longer value", Same, &[r#"&uart { status = "a longer value than before"; };"#]),
        on_board("shorter value", Same, &[r#"&uart { status = ""; reg = <1>; };"#]),
        on_board("empty value", Same, &["&uart { reg; };"]),
        on_board(
            "new properties and nodes",
            Same,
            &["&i2c { a = <1>; bus { b; sensor@40 { c; }; sensor@41 {}; }; };"],
        ),
        on_board(
            "one node from two fragments",
            Same,
            &["&uart { a = <1>; b = <1>; }; &uart { a = <2>; n {}; };"],
        ),
        on_board("the root by path", Same, &[r#"&{/} { model = "new"; fresh { n; }; };"#]),
        on_board("a node by path", Same, &["&{/soc/i2c@2000} { extra = <1>; };"]),
        on_board(
            "target-path by alias",
            Same,
            &[r#"/ { fragment@0 { target-path = "serial0"; __overlay__ { extra; }; }; };"#],
        ),
        on_board(
            "fragments of any name",
            Same,
            &[r#"/ { anything { target-path = "/soc"; __overlay__ { extra; }; }; other { no-overlay; }; };"#],
        ),
        on_board(
            "target before target-path",
            Same,
            &[r#"/ { f { target = <&uart>; target-path = "/chosen"; __overlay__ { extra; }; }; };"#],
        ),
        on_board("boot arguments", Same, &[r#"&chosen { bootargs_ext = "quiet"; };"#]),
        on_board(
            "a fragment into a node of an earlier fragment, by path",
            Same,
            &[r#"/ { a { target = <&soc>; __overlay__ { new { n; }; }; };
                     b { target-path = "/soc/new"; __overlay__ { extra; }; }; };"#],
        ),
        on_board(
            "a fragment into a node of an earlier fragment, by phandle",
            Same,
            &[r#"/ { a { target = <&soc>; __overlay__ { new: new { n; }; }; };
                     b { target = <&new>; __overlay__ { extra; deeper { r = <&new>; }; }; }; };"#],
        ),
    ]
}

fn phandles() -> Vec<Case> {
    use Expected::Same;
    vec![
        on_board("references to the base", Same, &["&uart { clocks = <&osc 1 &osc 2>, <&i2c>; };"]),
        on_board("unaligned reference", Same, &["&uart { data = /bits/ 8 <1>, <&osc 1>; };"]),
        on_board(
            "nested local references",
            Same,
            &["&soc { a: a { b: b { up = <&a>; c { both = <7 &a &b>; }; }; }; };
                 &uart { far = <&b 1 &osc>; };"],
        ),
        on_board(
            "base and overlay both have a phandle",
            Same,
            &["&soc { mine: i2c@2000 { extra; }; user { r = <&mine>; }; };"],
        ),
        on_board(
            "both have a phandle, deep and twice",
            Same,
            &["&{/} { soc { mine: i2c@2000 { extra; }; other: serial@1000 {}; }; };
               &chosen { r = <&mine &other &mine>; };"],
        ),
        case(
            "linux,phandle",
            Same,
            Source::Dts(format!("/dts-v1/;\n{BOARD}"), &["-@", "-H", "both"]),
            vec![Source::Dts(
                "/dts-v1/;\n/plugin/;\n&soc { a: a { r = <&a &uart>; }; };".to_owned(),
                &["-@", "-H", "both"],
            )],
        ),
        case(
            "phandles with gaps",
            Same,
            base("/ { a: a { phandle = <0x1000>; }; b: b { phandle = <7>; r = <&a>; }; };"),
            vec![overlay("&a { c: c { phandle = <3>; r = <&c &b>; }; };")],
        ),
        case(
            "phandles used up",
            Expected::Refused,
            base("/ { a: a { phandle = <0xfffffffe>; }; };"),
            vec![overlay("&a { c: c { r = <&c>; }; };")],
        ),
        case(
            "phandles used up, without a reference",
            Expected::Refused,
            base("/ { a: a { phandle = <0xfffffffe>; }; };"),
            vec![overlay("&a { c { phandle = <2>; }; };")],
        ),
        case(
            "a labelled node without a phandle",
            Expected::OnlyKbt,
            base(r#"/ { a {}; __symbols__ { a = "/a"; }; };"#),
            vec![overlay("&a { extra; };")],
        ),
    ]
}

fn symbols() -> Vec<Case> {
    use Expected::Same;
    let plain = || Source::Dts(format!("/dts-v1/;\n{BOARD}"), &[]);
    vec![
        on_board("new symbols", Same, &["&soc { one: two: a { three: b@1 {}; }; };"]),
        on_board(
            "a symbol of an __overlay__: no slash at the end",
            Expected::Differs(r#"/__symbols__:me: "/soc/serial@1000" | "/soc/serial@1000/""#),
            &["/ { f { target = <&uart>; me: __overlay__ { extra; }; }; };"],
        ),
        on_board(
            "a symbol of the root's __overlay__",
            Same,
            &[r#"/ { f { target-path = "/"; me: __overlay__ { n: n {}; }; }; };"#],
        ),
        on_board(
            "a symbol outside of an __overlay__",
            Same,
            &["/ { lost: lost { a; }; }; &uart { extra; };"],
        ),
        on_board("a symbol that the base has", Same, &["&soc { uart: other { extra; }; };"]),
        case(
            "symbols created where absent",
            Same,
            plain(),
            vec![overlay("&{/soc} { fresh: fresh { a; }; };")],
        ),
        case("no symbols on either side", Same, plain(), vec![overlay("&{/soc} { fresh { a; }; };")]),
        case("a base without symbols", Expected::Refused, plain(), vec![overlay("&uart { extra; };")]),
        case(
            "a base without symbols, fragment by path",
            Expected::Refused,
            plain(),
            vec![overlay("&{/soc} { r = <&uart>; };")],
        ),
        case(
            "paths with a NUL in them",
            Same,
            base(
                r#"/ { a: a { b: b {}; }; aliases { c = "/a", "x"; };
                    __symbols__ { d = "/a", ""; e = "/a/b", "x"; f = "c/b"; g = "c/b", ""; }; };"#,
            ),
            vec![overlay("&d { d; }; &e { e; }; &f { f; }; &g { g; };")],
        ),
        case(
            "a symbol that starts with an alias and looks like a path",
            Same,
            base(
                r#"/ { aliases { bus = "/other"; }; bus { a@1 {}; a@2 {}; a@3 {}; };
                    other { a@1 { phandle = <1>; }; a@2 { phandle = <2>; }; a@3 { phandle = <3>; }; };
                    __symbols__ { a1 = "bus/a@1"; a2 = "bus/a@2"; a3 = "bus/a@3"; }; };"#,
            ),
            vec![overlay("&a1 { x; }; &a2 { x; }; &a3 { x; };")],
        ),
        case(
            "an unused symbol that leads nowhere",
            Same,
            base(r#"/ { a: a {}; __symbols__ { lost = "/nowhere"; }; };"#),
            vec![overlay("&a { extra; };")],
        ),
    ]
}

fn stacks() -> Vec<Case> {
    use Expected::Same;
    vec![
        on_board("two overlays", Same, &["&uart { a = <1>; };", "&uart { a = <2>; b = <&osc>; };"]),
        on_board(
            "stacking by label",
            Same,
            &[
                "&soc { first: first { r = <&a>; a: a {}; }; };",
                "&first { x; second: second { r = <&a &first>; }; };",
                "&second { y = <&uart &second>; };",
            ],
        ),
        on_board(
            "stacking on a node that both bring",
            Same,
            &["&soc { n: n { a = <1>; r = <&n>; }; };", "&soc { m: n { a = <2>; r = <&m>; }; };"],
        ),
        on_board(
            "a later overlay moves a label",
            Same,
            &["&soc { l: one {}; };", "&soc { l: two {}; };", "&l { which; };"],
        ),
        on_board(
            "the second of two cannot be applied",
            Expected::Refused,
            &["&uart { a; };", "&nowhere { b; };"],
        ),
        on_board("many overlays", Same, &["&soc { a0 {}; };"; 20]),
    ]
}

fn names() -> Vec<Case> {
    use Expected::{OnlyWithLooseNames, Same, SameWithLooseNames};
    let long = "a-node-name-that-is-longer-than-the-thirty-one-characters-of-the-specification@1000";
    let property = "vendor,a-property-name-that-is-longer-than-thirty-one-characters";
    vec![
        case(
            "long names",
            Same,
            base(&format!("/ {{ l: {long} {{ {property} = <1>; }}; }};")),
            vec![overlay(&format!(
                "&l {{ {property} = <2>; {long} {{ n; }}; }}; &{{/{long}}} {{ by-path; }};"
            ))],
        ),
        on_board(
            "a new node whose name is a unit's without its address",
            SameWithLooseNames,
            &["&soc { serial { x; }; };"],
        ),
        on_board(
            "a path without a unit address",
            OnlyWithLooseNames,
            &[r#"/ { f { target-path = "/soc/i2c"; __overlay__ { extra; }; }; };"#],
        ),
        on_board("a unit address beside another", Same, &["&soc { serial@3000 { x; }; };"]),
        case(
            "an exact name before a loose one",
            Same,
            base("/ { s: s { a; port {}; port@1 {}; }; };"),
            vec![overlay("&s { port { x; }; };")],
        ),
        case(
            "a loose name before the exact one",
            SameWithLooseNames,
            base("/ { s: s { a; port@1 {}; port {}; }; };"),
            vec![overlay("&s { port { x; }; };")],
        ),
        case(
            "the first of two loose matches",
            SameWithLooseNames,
            base("/ { s: s { port@0 {}; port@1 {}; }; };"),
            vec![overlay("&s { port { x; }; };")],
        ),
    ]
}

fn forms() -> Vec<Case> {
    let board = Tree {
        root: Node::new("")
            .child(Node::new("a").phandle(1).cells("size-cells", &[1]).cells("#size-cells", &[1]))
            .child(Node::new("__symbols__").text("a", "/a")),
        reservations: vec![(0x8000_0000, 0x1000), (0x1_0000_0000, 0x20)],
        boot_cpuid: 5,
    };
    let overlay = || {
        let mut overlay = Overlay::new();
        overlay
            .fragment(Target::label("a"), Node::default().cells("new", &[1]).child(Node::new("n").flag("x")));
        overlay.finish()
    };
    let usual = WriteOptions::default();
    let forms = [
        ("as usual", usual),
        ("version 16", WriteOptions { version: 16, ..usual }),
        ("NOP tokens", WriteOptions { nops: true, ..usual }),
        ("gaps between the blocks", WriteOptions { gap: 24, ..usual }),
        ("padding", WriteOptions { padding: 4096, ..usual }),
        ("blocks reversed", WriteOptions { order: BlockOrder::Reversed, ..usual }),
        ("structure first", WriteOptions { order: BlockOrder::StructureFirst, ..usual }),
        ("names that share a suffix", WriteOptions { sharing: StringSharing::Suffix, ..usual }),
        ("a name for each property", WriteOptions { sharing: StringSharing::Never, ..usual }),
    ];
    forms
        .into_iter()
        .map(|(name, options)| {
            let files = [write_with(&board, &options), write_with(&overlay(), &options)];
            let [base, overlay] = files.map(Source::Bytes);
            case(name, Expected::Same, base, vec![overlay])
        })
        .collect()
}

fn refusals() -> Vec<Case> {
    use Expected::Refused;
    let truncated = || {
        let mut overlay = Overlay::new();
        overlay.fragment(Target::label("uart"), Node::default().flag("x"));
        let mut bytes = kbt_testkit::write(&overlay.finish());
        bytes.truncate(bytes.len() - 8);
        Source::Bytes(bytes)
    };
    let extra = || Node::default().cells("extra", &[u32::MAX]);
    vec![
        on_board("an unresolved label", Refused, &["&nowhere { x; };"]),
        on_board("an unresolved reference", Refused, &["&uart { r = <&nowhere>; };"]),
        on_board("a path that leads nowhere", Refused, &["&{/soc/nowhere} { x; };"]),
        on_board(
            "an alias that is none",
            Refused,
            &[r#"/ { f { target-path = "serial9"; __overlay__ { x; }; }; };"#],
        ),
        on_board("no target at all", Refused, &["/ { f { __overlay__ { x; }; }; };"]),
        on_board(
            "a target that is no phandle",
            Refused,
            &["/ { f { target = <0x7777>; __overlay__ { x; }; }; };"],
        ),
        case("an overlay that is cut off", Refused, base(BOARD), vec![truncated()]),
        case("no device tree", Refused, base(BOARD), vec![Source::Bytes(vec![0; 64])]),
        case("an empty file", Refused, base(BOARD), vec![Source::Bytes(Vec::new())]),
        made_on_board("a fixup of a property that is not there", Refused, |overlay| {
            let path = overlay.fragment(Target::label("uart"), extra());
            overlay.reference(&path, "missing", 0, "osc");
        }),
        made_on_board("a fixup of a node that is not there", Refused, |overlay| {
            overlay.fragment(Target::label("uart"), extra());
            overlay.reference("/fragment@0/__overlay__/missing", "extra", 0, "osc");
        }),
        made_on_board("a fixup that points behind its property", Refused, |overlay| {
            let path = overlay.fragment(Target::label("uart"), extra());
            overlay.reference(&path, "extra", 4, "osc");
        }),
        made_on_board("a local fixup that points behind its property", Refused, |overlay| {
            let path = overlay.fragment(Target::label("uart"), extra());
            overlay.local_reference(&path, "extra", 2);
        }),
        made_on_board("a local fixup of a property that is not there", Refused, |overlay| {
            let path = overlay.fragment(Target::label("uart"), extra());
            overlay.local_reference(&path, "missing", 0);
        }),
        made_on_board("a fixup without an offset", Refused, |overlay| {
            overlay.fragment(Target::label("uart"), extra());
            let place = Node::new("__fixups__").text("osc", "/fragment@0/__overlay__:extra");
            overlay.root.children.push(place);
        }),
        made_on_board("a fixup whose offset is no number", Refused, |overlay| {
            overlay.fragment(Target::path("/soc"), extra());
            let place = Node::new("__fixups__").text("osc", "/fragment@0/__overlay__:extra:4x");
            overlay.root.children.push(place);
        }),
    ]
}

fn odd_overlays() -> Vec<Case> {
    use Expected::Same;
    let cell = || Node::default().cells("extra", &[u32::MAX, 1]);
    vec![
        made_on_board("a reference to each of two labels in one property", Same, |overlay| {
            let path = overlay.fragment(Target::label("uart"), cell());
            overlay.reference(&path, "extra", 0, "osc");
            overlay.reference(&path, "extra", 4, "i2c");
        }),
        made_on_board("a local target", Same, |overlay| {
            overlay.fragment(Target::label("soc"), Node::default().child(Node::new("new").phandle(1)));
            overlay.fragment(Target::Local(1), Node::default().flag("x"));
        }),
        made_on_board("a symbol of a node that is not there", Same, |overlay| {
            overlay.fragment(Target::label("soc"), Node::default().child(Node::new("new")));
            overlay.symbol("lost", "/fragment@0/__overlay__/missing");
        }),
        made_on_board("properties of the overlay's root", Same, |overlay| {
            overlay.root =
                Node::new("").text("compatible", "vendor,overlay").child(Node::new("other").flag("x"));
            overlay.fragment(Target::label("soc"), Node::default().flag("x"));
        }),
        made_on_board("an __overlay__ with the names of metadata", Same, |overlay| {
            let content = Node::new("")
                .child(Node::new("__symbols__").text("mine", "/soc"))
                .child(Node::new("__fixups__"));
            overlay.fragment(Target::path("/"), content);
        }),
    ]
}
