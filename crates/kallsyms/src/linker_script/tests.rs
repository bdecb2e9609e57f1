use super::*;

fn placement<'a>(script: &'a str, section: &str) -> Placement<'a> {
    LinkerScript::parse(script.as_bytes()).unwrap().placement(section.as_bytes())
}

fn assigned(script: &str) -> Vec<String> {
    let script = LinkerScript::parse(script.as_bytes()).unwrap();
    script.assigned().iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect()
}

const KERNEL: &str = r#"
OUTPUT_FORMAT("elf64-x86-64")
ENTRY(phys_startup_64)
jiffies = jiffies_64;
PHDRS { text PT_LOAD FLAGS(5); note PT_NOTE FLAGS(0); }
SECTIONS
{
 . = (0xffffffff80000000 + ALIGN(0x1000000, 0x200000));
 phys_startup_64 = ABSOLUTE(startup_64 - 0xffffffff80000000);
 .text : AT(ADDR(.text) - 0xffffffff80000000) {
  _text = .; KEEP(*(.head.text))
  . = ALIGN(8); *(.text.hot .text.hot.*) *(.text .text.fixup)
  __static_call_text_start = .; *(.static_call.text) __static_call_text_end = .;
 } :text =0xcccc
 _etext = .;
 .init.data : { KEEP(*(SORT(___kentry+*))) *(.init.data init.data.*); PROVIDE(__p = .); BYTE(3) }
 .data..percpu 0 : AT(__per_cpu_load - 0xffffffff80000000) { *(.data..percpu) __per_cpu_end = .; } :percpu . = __per_cpu_load + SIZEOF(.data..percpu);
 ASSERT(SIZEOF(.data..percpu) < 0x1000000, "a ) in a string; and a brace }")
 /* a comment with { */
 /DISCARD/ : { *(.exitcall.exit) *(.discard .discard.*) *(.text) }
 .got.plt (INFO) : { *(.got.plt) } >ram AT>rom :init
 PROVIDE_HIDDEN(last=.);
 _end+=4;
}
INSERT = 2;
"#;

#[test]
fn assigned_names() {
    let expected = [
        "jiffies",
        "phys_startup_64",
        "_text",
        "__static_call_text_start",
        "__static_call_text_end",
        "_etext",
        "__p",
        "__per_cpu_end",
        "last",
        "_end",
        "INSERT",
    ];
    assert_eq!(assigned(KERNEL), expected);
}

#[test]
fn the_first_statement_takes_a_section() {
    for (section, expected) in [
        (".head.text", Placement::Output(b".text")),
        (".text", Placement::Output(b".text")),
        (".text.hot.x", Placement::Output(b".text")),
        ("___kentry+x", Placement::Output(b".init.data")),
        ("init.data.x", Placement::Output(b".init.data")),
        (".discard", Placement::Discarded),
        (".discard.addressable", Placement::Discarded),
        (".exitcall.exit", Placement::Discarded),
        (".got.plt", Placement::Output(b".got.plt")),
        (".elsewhere", Placement::Orphan),
    ] {
        assert_eq!(placement(KERNEL, section), expected, "{section}");
    }
}

#[test]
fn what_may_match_is_kept() {
    for statement in [
        "*lib.a:x.o(.a)",
        "*(EXCLUDE_FILE(*x.o) .a)",
        "EXCLUDE_FILE(x.o) *(.a)",
        "INPUT_SECTION_FLAGS(SHF_WRITE) *(.a)",
        "x.o",
        "x.o(.a)",
        "KEEP(x.o(SORT_BY_NAME(.a)))",
    ] {
        let discarded = format!("SECTIONS {{ /DISCARD/ : {{ {statement} }} }}");
        assert_eq!(placement(&discarded, ".a"), Placement::Orphan, "{statement}");
        let kept = format!("SECTIONS {{ .o : {{ {statement} }} /DISCARD/ : {{ *(.a) }} }}");
        assert_eq!(placement(&kept, ".a"), Placement::Output(b".o"), "{statement}");
    }
}

#[test]
fn excluded_files_are_for_one_pattern() {
    let script = "SECTIONS { /DISCARD/ : { *(EXCLUDE_FILE(*x.o) .a .b) EXCLUDE_FILE(x.o) *(.c) *(.d) } }";
    for (section, expected) in [
        (".a", Placement::Orphan),
        (".b", Placement::Discarded),
        (".c", Placement::Orphan),
        (".d", Placement::Discarded),
    ] {
        assert_eq!(placement(script, section), expected, "{section}");
    }
}

#[test]
fn broken_scripts_name_their_place() {
    for (script, kind, offset) in [
        ("SECTIONS { .a : { *(.a) }", ScriptErrorKind::Unclosed, 0),
        ("SECTIONS { .a : { *(.a }", ScriptErrorKind::Unopened, 23),
        ("SECTIONS { .a : { *(.a)) } }", ScriptErrorKind::Unopened, 23),
        ("}", ScriptErrorKind::Unopened, 0),
        ("a = (1;", ScriptErrorKind::Unclosed, 0),
        ("a = 1", ScriptErrorKind::Unclosed, 0),
        ("/* ", ScriptErrorKind::Unclosed, 0),
        ("a = \"x;", ScriptErrorKind::Unclosed, 4),
        ("SECTIONS { a = 1 }", ScriptErrorKind::Unclosed, 11),
        ("what is this", ScriptErrorKind::Statement, 0),
        ("SECTIONS { {", ScriptErrorKind::Statement, 11),
    ] {
        let error = LinkerScript::parse(script.as_bytes()).unwrap_err();
        assert_eq!(error, ScriptError { kind, offset }, "{script}");
    }
}

#[test]
fn an_operator_is_no_part_of_the_name() {
    assert_eq!(assigned("a+=1; b <<= 2; c=3; \"d e\" = 4; . = 5; .+=6;"), ["a", "b", "c", "d e"]);
}

#[test]
fn deep_parentheses_take_no_stack() {
    let script = format!("a = {}1{};", "(".repeat(1_000_000), ")".repeat(1_000_000));
    assert_eq!(assigned(&script), ["a"]);
}

#[test]
fn absolute_names() {
    let script = "a = ABSOLUTE(x - 1); b = ABSOLUTE (y) + z; c = 1 + ABSOLUTE(x); d = ABSOLUTEx; e = ABSOLUTE(1); e = .; \
         f = ABSOLUTE(y) + (. - .); g = ABSOLUTE(0) ? . : x; h = ABSOLUTE(.) - y + .; i = ABSOLUTE(x) - .; j = ABSOLUTE((1)); \
         k = ABSOLUTE(x) + 0x10; l = ABSOLUTE(x) - x;";
    let script = LinkerScript::parse(script.as_bytes()).unwrap();
    let names: Vec<&str> = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "x"]
        .into_iter()
        .filter(|name| script.is_absolute(name.as_bytes()))
        .collect();
    assert_eq!(names, ["a", "j", "k"]);
}

#[test]
fn numbers_are_absolute_outside_of_output_sections() {
    let script = "a = 0x200; b = ((1 << 3) | 12M) & ~0xff; c = 1 + x; d = .; e = 4 + .; f = \"1\"; SECTIONS { g = -1; \
         .text : { h = 5; *(.text) } i = 3K; i += 1; j = _end - 1; k = ((2 - 1) ? 1 : 2); } l = 1; l = x;";
    let script = LinkerScript::parse(script.as_bytes()).unwrap();
    let is_absolute = |name: &&&str| script.is_absolute(name.as_bytes());
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    let names: Vec<&str> = names.iter().filter(is_absolute).copied().collect();
    assert_eq!(names, ["a", "b", "g", "i", "k"]);
}

/// The rules one after the other, as ld has them.
fn first_match<'a>(rules: &[(&'a str, &'a str)], section: &str) -> Option<&'a [u8]> {
    let rule = rules.iter().find(|(pattern, _)| glob::matches(pattern.as_bytes(), section.as_bytes()));
    rule.map(|(_, output)| output.as_bytes())
}

#[test]
fn the_first_rule_wins_however_it_is_found() {
    let patterns = [
        ".a", ".a*", ".a.b", "*", ".a.?", "[.]a", ".a.[bc]", "\\.a", ".ab*", ".a.*.c", "", "?a", ".ab",
        ".a.bc",
    ];
    let sections = ["", ".", ".a", ".ab", ".abc", ".a.b", ".a.c", ".a.b.c", ".a.bc", "a", "xa", "*", ".a*"];
    let (mut outputs, mut seed) = (Vec::new(), 1_usize);
    for rule in 0..4 {
        outputs.push(format!("out{rule}"));
    }
    for _ in 0..5000 {
        let rules: Vec<(&str, &str)> = outputs
            .iter()
            .map(|output| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (patterns[(seed >> 33) % patterns.len()], output.as_str())
            })
            .collect();
        let mut own = Rules::default();
        rules.iter().for_each(|(pattern, output)| own.push(pattern.as_bytes(), output.as_bytes()));
        for section in sections {
            let expected = first_match(&rules, section);
            assert_eq!(own.output(section.as_bytes()), expected, "{section} in {rules:?}");
        }
    }
}

/// One question for each name, and none may look at all of the script: that would take minutes.
#[test]
fn long_scripts_are_answered_at_once() {
    let names: Vec<String> = (0..60_000).map(|number| format!("sym_{number}")).collect();
    let numbers: String = names.iter().map(|name| format!("{name} = 5;\n")).collect();
    let patterns: String = names.iter().map(|name| format!("*(.{name} .{name}.*)\n")).collect();
    let text = format!("{numbers}SECTIONS {{ .o : {{ {patterns} }} }}");
    let script = LinkerScript::parse(text.as_bytes()).unwrap();
    for name in &names {
        assert!(script.is_absolute(name.as_bytes()));
        assert!(!script.is_absolute(format!("{name}x").as_bytes()));
        for section in [format!(".{name}"), format!(".{name}.x")] {
            assert_eq!(script.placement(section.as_bytes()), Placement::Output(b".o"));
        }
        assert_eq!(script.placement(format!(".{name}x").as_bytes()), Placement::Orphan);
    }
}
