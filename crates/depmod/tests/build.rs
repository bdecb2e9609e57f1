//! From facts made by hand to the eleven files.

#![allow(clippy::unwrap_used, reason = "a test that fails to set itself up has failed")]

use kbt_depmod::{
    Built, Config, FactsBuilder, Index, KernelSymbols, Level, Messages, ModuleFacts, Modules, Options,
    Output, build,
};

const DIRECTORY: &str = "/lib/modules/6.1";

type Push<'p> = &'p dyn Fn(&mut FactsBuilder);

struct Case {
    modules: Modules,
    facts: Vec<ModuleFacts>,
}

/// Modules, in this order, with what each pushes; `NAME` lies at `DIRECTORY/kernel/NAME.ko`.
fn case(list: &[(&str, Push<'_>)]) -> Case {
    let mut modules = Modules::new(DIRECTORY.as_bytes());
    for (name, _) in list {
        modules.offer(format!("{DIRECTORY}/kernel/{name}.ko").as_bytes(), 0, &Config::default());
    }
    let facts = list.iter().map(|(_, push)| {
        let mut builder = FactsBuilder::new();
        push(&mut builder);
        builder.finish().unwrap()
    });
    Case { facts: facts.collect(), modules }
}

fn run(case: &Case, options: &Options<'_>) -> (Built, Vec<String>) {
    let mut messages = Messages::default();
    let facts: Vec<_> = case.facts.iter().map(ModuleFacts::view).collect();
    let built = build(&case.modules, &facts, options, &mut messages);
    let told =
        messages.iter().map(|(level, text)| format!("{}: {}", level.name(), String::from_utf8_lossy(text)));
    let told = told.collect();
    (built, told)
}

fn text(built: &Built, output: Output) -> String {
    String::from_utf8(built.outputs.as_ref().unwrap().get(output).unwrap().to_vec()).unwrap()
}

fn found(built: &Built, output: Output, key: &str) -> Vec<String> {
    let bytes = built.outputs.as_ref().unwrap().get(output).unwrap();
    let entries = Index::parse(bytes).unwrap().get(key.as_bytes()).unwrap();
    entries.iter().map(|entry| String::from_utf8(entry.value.to_vec()).unwrap()).collect()
}

fn quiet() -> Options<'static> {
    Options { builtin: Ok(b""), builtin_modinfo: Ok(b""), ..Options::default() }
}

fn three() -> Case {
    case(&[
        ("a-b", &|facts| {
            facts.push_import(b"middle", 0, false);
            facts.push_import(b"printk", 0, false);
            facts.push_alias(b"pci:v1-2");
            facts.push_softdep(b"pre: x");
        }),
        ("c", &|facts| {
            facts.push_export(b"middle", 7);
            facts.push_import(b".base", 0, false);
            facts.push_import(b"base", 0, false);
            facts.push_alias(b"devname:c0");
            facts.push_alias(b"char-major-10-7");
        }),
        ("d", &|facts| {
            facts.push_export(b"base", 9);
            facts.push_weakdep(b"y");
        }),
    ])
}

#[test]
fn the_text_files() {
    let (built, told) = run(&three(), &quiet());
    assert_eq!(told, [""; 0]);
    let dep = "kernel/a-b.ko: kernel/c.ko kernel/d.ko\nkernel/c.ko: kernel/d.ko\nkernel/d.ko:\n";
    assert_eq!(text(&built, Output::Dep), dep);
    let alias = "# Aliases extracted from modules themselves.\nalias pci:v1-2 a_b\nalias devname:c0 c\nalias \
                 char-major-10-7 c\n";
    assert_eq!(text(&built, Output::Alias), alias);
    let softdep = "# Soft dependencies extracted from modules themselves.\nsoftdep a_b pre: x\n";
    assert_eq!(text(&built, Output::Softdep), softdep);
    let weakdep = "# Weak dependencies extracted from modules themselves.\nweakdep d y\n";
    assert_eq!(text(&built, Output::Weakdep), weakdep);
    let devname = "# Device nodes to trigger on-demand module loading.\nc c0 c10:7\n";
    assert_eq!(text(&built, Output::Devname), devname);
    assert_eq!(text(&built, Output::Symbols).lines().count(), 3);
}

#[test]
fn the_indexes() {
    let (built, _) = run(&three(), &quiet());
    assert_eq!(found(&built, Output::DepBin, "a_b"), ["kernel/a-b.ko: kernel/c.ko kernel/d.ko"]);
    assert_eq!(found(&built, Output::AliasBin, "pci:v1_2"), ["a_b"]);
    assert_eq!(found(&built, Output::SymbolsBin, "symbol:base"), ["d"]);
    let options = Options {
        builtin: Ok(b"kernel/x-y.ko\n"),
        builtin_modinfo: Ok(b"x_y.alias=of-z\0"),
        ..Options::default()
    };
    let (built, told) = run(&three(), &options);
    assert_eq!(told, [""; 0]);
    assert_eq!(found(&built, Output::BuiltinBin, "x_y"), [""]);
    assert_eq!(found(&built, Output::BuiltinAliasBin, "of_z"), ["x_y"]);
}

#[test]
fn without_a_list_of_builtins_their_indexes_are_empty_files() {
    let options = Options { builtin: Err(b"no a"), builtin_modinfo: Err(b"no b"), ..Options::default() };
    let (built, told) = run(&three(), &options);
    assert_eq!(told, ["WARNING: no a", "WARNING: no b"]);
    assert_eq!(text(&built, Output::BuiltinBin), "");
    assert_eq!(text(&built, Output::BuiltinAliasBin), "");
}

#[test]
fn only_text_files_where_only_those_are_wanted() {
    let (built, told) = run(&three(), &Options { text_only: true, ..Options::default() });
    let names: Vec<_> = built.outputs.as_ref().unwrap().iter().map(|(output, _)| output.name()).collect();
    let expected = [
        "modules.dep",
        "modules.alias",
        "modules.softdep",
        "modules.weakdep",
        "modules.symbols",
        "modules.devname",
    ];
    assert_eq!(names, expected);
    assert_eq!(told, [""; 0]);
    let (built, _) = run(&three(), &quiet());
    let names: Vec<_> = built.outputs.as_ref().unwrap().iter().map(|(output, _)| output).collect();
    assert_eq!(names, Output::ALL);
}

#[test]
fn unknown_symbols_and_other_versions_are_told() {
    let case = case(&[("a", &|facts| {
        facts.push_import(b"printk", 1, false);
        facts.push_import(b"gone", 0, false);
        facts.push_import(b"weak", 0, true);
        facts.push_import(b"other", 2, false);
    })]);
    let symvers = b"0x1 printk vmlinux E\n0x3 other vmlinux E\n";
    let kernel = Some(KernelSymbols::Symvers { name: b"s", text: symvers });
    let (_, told) = run(&case, &Options { kernel, report_symbols: true, ..quiet() });
    assert_eq!(
        told,
        [
            "WARNING: /lib/modules/6.1/kernel/a.ko needs unknown symbol gone",
            "WARNING: /lib/modules/6.1/kernel/a.ko disagrees about version of symbol other",
        ]
    );
    let kernel = Some(KernelSymbols::SystemMap { name: b"m", text: b"0 R __ksymtab_printk\n" });
    let (_, told) = run(&case, &Options { kernel, report_symbols: true, ..quiet() });
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(run(&case, &Options { kernel, ..quiet() }).1, [""; 0]);
}

#[test]
fn each_dependency_is_shown_with_the_first_symbol_that_makes_it() {
    let (built, _) = run(&three(), &Options { show_needs: true, ..quiet() });
    let needs = "/lib/modules/6.1/kernel/a-b.ko needs \"middle\": /lib/modules/6.1/kernel/c.ko\n/lib/modules/6.1/kernel/c.ko \
                 needs \"base\": /lib/modules/6.1/kernel/d.ko\n";
    assert_eq!(String::from_utf8(built.needs).unwrap(), needs);
}

#[test]
fn a_cycle_leaves_no_outputs() {
    let case = case(&[
        ("a", &|facts| {
            facts.push_export(b"a", 0);
            facts.push_import(b"b", 0, false);
        }),
        ("b", &|facts| {
            facts.push_export(b"b", 0);
            facts.push_import(b"a", 0, false);
        }),
    ]);
    let (built, told) = run(&case, &quiet());
    assert!(built.outputs.is_none());
    assert_eq!(told, ["ERROR: Cycle detected: a -> b -> a", "ERROR: Found 2 modules in dependency cycles!"]);
}

#[test]
fn an_alias_that_is_not_ascii_is_fatal_and_named() {
    let case = case(&[("a", &|facts| facts.push_alias(b"x\xC3\xA9"))]);
    let mut messages = Messages::default();
    let facts: Vec<_> = case.facts.iter().map(ModuleFacts::view).collect();
    let built = build(&case.modules, &facts, &quiet(), &mut messages);
    assert!(built.outputs.is_none());
    let (level, text) = messages.iter().last().unwrap();
    assert_eq!(level, Level::Fatal);
    let expected =
        "cannot make modules.alias.bin: /lib/modules/6.1/kernel/a.ko: byte 0xc3 is not 7-bit ASCII";
    assert_eq!(String::from_utf8_lossy(text), expected);
}

#[test]
fn brackets_and_duplicates_are_told_in_their_order() {
    let case = case(&[("a", &|facts| {
        for alias in ["x", "x", "b[", "y", "]", "x"] {
            facts.push_alias(alias.as_bytes());
        }
    })]);
    let (_, told) = run(&case, &Options { warn_duplicates: true, ..quiet() });
    let again = "WARNING: duplicate module alias:\nx a";
    assert_eq!(told, [again, "WARNING: Unmatched bracket in b[", "WARNING: Unmatched bracket in ]", again]);
}

#[test]
fn of_two_exports_the_later_counts_and_the_kernels_are_not_listed() {
    let case = case(&[
        ("a", &|facts| facts.push_export(b"both", 0)),
        ("b", &|facts| facts.push_export(b"both", 0)),
        ("c", &|facts| facts.push_import(b"both", 0, false)),
    ]);
    let kernel = Some(KernelSymbols::SystemMap { name: b"m", text: b"0 R __ksymtab_printk\n" });
    let (built, _) = run(&case, &Options { kernel, ..quiet() });
    assert!(text(&built, Output::Dep).ends_with("kernel/c.ko: kernel/b.ko\n"));
    let symbols = text(&built, Output::Symbols);
    assert_eq!(symbols, "# Aliases for symbols, used by symbol_request().\nalias symbol:both b\n");
}
