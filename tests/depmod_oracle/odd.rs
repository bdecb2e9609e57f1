//! Modules that no linker makes, one defect each.

use kbt_testkit::module::{Encoding, GLOBAL, LOCAL, Module, Place, WEAK};

type Case = (&'static str, Module);

/// Modules by the name of their case; each is read beside one that exports `other_one` and `other_two` and one that
/// wants `own_one`.
pub fn odd_modules(encoding: Encoding) -> Vec<Case> {
    [odd_sections(encoding), odd_imports(encoding), odd_exports(encoding), odd_aliases(encoding)].concat()
}

fn wanting(encoding: Encoding) -> Module {
    Module::new(encoding).import("other_one").version(1, "module_layout").version(2, "other_one")
}

fn with(mut module: Module, change: &dyn Fn(&mut Module)) -> Module {
    change(&mut module);
    module
}

fn odd_sections(encoding: Encoding) -> Vec<Case> {
    let wanting = || wanting(encoding);
    vec![
        ("no-symtab", with(wanting().export("own_one", 5), &|module| module.symbols = None)),
        ("no-modinfo", with(wanting(), &|module| module.modinfo = None)),
        ("modinfo-empty", with(wanting(), &|module| module.modinfo = Some(vec![]))),
        ("modinfo-one-byte", with(wanting(), &|module| module.modinfo = Some(vec![b'a']))),
        ("modinfo-zeros", with(wanting(), &|module| module.modinfo = Some(vec![0; 40]))),
        (
            "modinfo-padded",
            with(wanting(), &|module| {
                module.modinfo = Some(b"\0\0\0alias=one\0\0\0alias=two\0\0alias=unterminated".to_vec());
            }),
        ),
        (
            "modinfo-no-value",
            with(wanting(), &|module| {
                module.modinfo = Some(b"alias\0alias=\0softdep\0weakdep=\0=x\0alias =y\0Alias=z\0".to_vec());
            }),
        ),
        (
            "modinfo-twice",
            with(wanting(), &|module| {
                module.sections.push((".modinfo".to_owned(), b"alias=in-the-first\0".to_vec()));
            }),
        ),
    ]
}

fn odd_imports(encoding: Encoding) -> Vec<Case> {
    let (new, wanting) = (|| Module::new(encoding), || wanting(encoding));
    let sparc = Encoding { machine: if encoding.is_64 { 43 } else { 2 }, ..encoding };
    vec![
        (
            "versions-odd-size",
            with(wanting(), &|module| {
                module.versions.as_mut().unwrap().push(0);
            }),
        ),
        ("versions-empty", with(wanting(), &|module| module.versions = Some(vec![]))),
        ("versions-only", new().version(1, "module_layout").version(2, "other_one")),
        ("versions-twice", wanting().version(3, "other_one").version(4, "other_two").version(5, "other_two")),
        (
            "versions-long-name",
            with(wanting(), &|module| {
                module.versions.as_mut().unwrap().extend_from_slice(&[b'x'; 64]);
                *module = module.clone().version(6, "other_two");
            }),
        ),
        (
            "versions-dot",
            wanting().version(1, ".other_two").symbol(".other_two", Place::Undefined, 0, GLOBAL),
        ),
        (
            "extended-versions",
            new().import("other_one").extended_versions(&[(1, "other_one"), (2, "other_two")]),
        ),
        ("imported-twice", wanting().import("other_one").import("other_two").import("other_one")),
        ("imported-empty", wanting().import("")),
        ("weak", wanting().symbol("other_two", Place::Undefined, 0, WEAK)),
        ("local-undefined", wanting().symbol("other_two", Place::Undefined, 0, LOCAL)),
        ("odd-binding", wanting().symbol("other_two", Place::Undefined, 0, 0xa0)),
        ("register", wanting().symbol("other_two", Place::Undefined, 0, GLOBAL | 13)),
        (
            "sparc-register",
            Module::new(sparc).import("other_one").symbol("other_two", Place::Undefined, 0, GLOBAL | 13),
        ),
    ]
}

fn odd_exports(encoding: Encoding) -> Vec<Case> {
    let new = || Module::new(encoding);
    let text = || Place::Section(".text".to_owned());
    vec![
        ("crc-absolute", new().symbol("__crc_own_one", Place::Absolute, 0x1234, GLOBAL)),
        ("crc-undefined", new().symbol("__crc_own_one", Place::Undefined, 0, GLOBAL)),
        ("crc-at-end", new().symbol("__crc_own_one", text(), 60, LOCAL)),
        ("crc-behind-end", new().symbol("__crc_own_one", text(), 61, LOCAL)),
        (
            "crc-twice",
            new().symbol("__crc_own_one", Place::Absolute, 1, LOCAL).symbol(
                "__crc_own_one",
                Place::Absolute,
                2,
                LOCAL,
            ),
        ),
        ("crc-and-strings", new().export_unversioned("not_this").export("own_one", 3)),
        ("strings-only", new().export_unversioned("own_one").export_unversioned("own_two")),
        (
            "strings-padded",
            with(new(), &|module| module.ksymtab_strings = Some(b"\0\0own_one\0\0own_two".to_vec())),
        ),
        ("strings-one-byte", with(new(), &|module| module.ksymtab_strings = Some(b"\0\0\0a".to_vec()))),
        ("symbol-with-dot", new().export(".own_one", 4)),
        ("symbol-odd-bytes", new().export("own one=\"*\"", 4)),
    ]
}

fn odd_aliases(encoding: Encoding) -> Vec<Case> {
    let new = || Module::new(encoding);
    vec![
        ("alias-control", new().info("alias", "a\tb\nc\u{7f}")),
        ("alias-of-itself", new().info("alias", "odd")),
        ("alias-long", new().info("alias", &"x".repeat(900))),
        (
            "alias-brackets",
            new()
                .info("alias", "[-]-[a")
                .info("alias", "[[-]-]-")
                .info("alias", "]")
                .info("alias", "a-[b]-c[-d-]"),
        ),
        (
            "devname",
            new()
                .info("alias", "char-major-10-235")
                .info("alias", "devname:x/y")
                .info("alias", "char-major-99-1"),
        ),
        ("devname-star", new().info("alias", "char-major-10-*").info("alias", "devname:x")),
        ("devname-block", new().info("alias", "devname:x").info("alias", "block-major-7-2")),
        (
            "devname-odd",
            new().info("alias", "char-major-x-1").info("alias", "char-major-5").info("alias", "devname:"),
        ),
        ("softdeps", new().info("softdep", "pre: a-b post: c").info("softdep", "x").info("weakdep", "a-b c")),
    ]
}
