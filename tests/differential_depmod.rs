//! `kbt depmod` against kmod's: every output, the exit code, both streams, on made trees with every option and
//! configuration, and on the modules of Debian's kernels in four compressions.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod depmod_oracle;

use std::fs;
use std::path::Path;

use depmod_oracle::config::{self, CONFIGURATIONS};
use depmod_oracle::{Depmod, Skips, Tree, differences, differences_30, outcome};
use kbt_testkit::module::Encoding;
use kbt_testkit::{peers, require};

/// Options whose first words every case has: this tree, no configuration of the machine.
const HERE: [&str; 4] = ["-b", "{root}", "-C", "{root}/none"];

/// Words behind [`HERE`] by name.
const OPTIONS: &[(&str, &[&str])] = &[
    ("plain", &["{version}"]),
    ("all", &["-a", "{version}"]),
    ("all-long", &["--all", "{version}"]),
    ("dry-run", &["-n", "{version}"]),
    ("dry-run-long", &["--show", "{version}"]),
    ("dry-run-other-long", &["--dry-run", "{version}"]),
    ("verbose", &["-v", "{version}"]),
    ("warn", &["-w", "{version}"]),
    ("warn-verbose", &["-w", "-v", "{version}"]),
    ("errors-without-symbols", &["-e", "{version}"]),
    ("symvers", &["-e", "-E", "{root}/Module.symvers", "{version}"]),
    ("symvers-quiet", &["-E", "{root}/Module.symvers", "{version}"]),
    ("symvers-missing", &["-e", "-E", "{root}/nothing", "{version}"]),
    ("system-map", &["-e", "-F", "{root}/System.map", "{version}"]),
    ("system-map-quiet", &["-F", "{root}/System.map", "{version}"]),
    ("system-map-missing", &["-e", "-F", "{root}/nothing", "{version}"]),
    ("both-maps", &["-e", "-F", "{root}/System.map", "-E", "{root}/Module.symvers", "{version}"]),
    ("prefix", &["-P", "p", "{version}"]),
    ("prefix-long", &["--symbol-prefix=m", "{version}"]),
    ("prefix-two", &["-P", "ab", "{version}"]),
    ("prefix-empty", &["-P", "", "{version}"]),
    ("prefix-twice", &["-P", "b", "-P", "m", "{version}"]),
    ("prefix-two-then-one", &["-P", "ab", "-P", "m", "{version}"]),
    ("output", &["-o", "{root}/out", "{version}"]),
    ("output-relative", &["-o", "out/deep", "{version}"]),
    ("module-directory", &["-m", "/lib/modules", "{version}"]),
    ("module-directory-relative", &["--moduledir=lib/modules", "{version}"]),
    ("module-directory-missing", &["-m", "usr/lib/modules", "{version}"]),
    ("version-missing", &["5.5.5-none"]),
    ("version-bad", &["nonsense"]),
    ("version-short", &["6"]),
    ("version-two", &["{version}", "extra"]),
    ("unknown-option", &["--nonsense", "{version}"]),
    ("unknown-letter", &["-Z", "{version}"]),
    ("ambiguous", &["--sy", "{version}"]),
    ("abbreviated", &["--verb", "--dry", "{version}"]),
    ("version-of-program", &["-V"]),
    ("quick", &["-A", "{version}"]),
    ("quick-dry", &["-A", "-n", "{version}"]),
    ("list", &["{version}", "{modules}/kernel/lib/base-lib.ko", "{modules}/kernel/drivers/net/middle.ko"]),
    ("list-dry", &["-n", "{version}", "{modules}/kernel/fs/plain.ko"]),
    ("list-all", &["-a", "{version}", "{modules}/kernel/fs/plain.ko"]),
    ("list-relative", &["{version}", "lib/modules/{version}/kernel/fs/plain.ko"]),
    ("list-missing", &["{version}", "{modules}/kernel/fs/nothing.ko"]),
    ("list-directory", &["{version}", "{modules}/kernel/fs/"]),
    ("list-root", &["{version}", "/"]),
    ("list-without-version", &["{modules}/kernel/fs/plain.ko"]),
];

fn words<'a>(rest: &[&'a str]) -> Vec<&'a str> {
    HERE.iter().chain(rest).copied().collect()
}

const SYMVERS: &str = "0x00000005\tin_the_kernel\tvmlinux\tEXPORT_SYMBOL\t
0x00000008\tmodule_layout\tvmlinux\tEXPORT_SYMBOL\t
0x00009999\tbase_two\tsomewhere/else\tEXPORT_SYMBOL_GPL\t
0x0000000a\tnobody_has_this\tvmlinux\tEXPORT_SYMBOL_GPL
short line
";

const SYSTEM_MAP: &str = "ffffffff81000000 T _text
ffffffff82000000 r __ksymtab_in_the_kernel
ffffffff82000010 r __ksymtab_module_layout
ffffffff82000020 R __kstrtab_nobody_has_this
";

fn small(name: &str) -> Tree {
    let mut tree = Tree::small(name);
    tree.write("../../../Module.symvers", SYMVERS.as_bytes());
    tree.write("../../../System.map", SYSTEM_MAP.as_bytes());
    tree.settle();
    tree
}

#[test]
fn every_option() {
    let kmod = require!(Depmod::kmod_34());
    let tree = small("options");
    let skips = Skips::load();
    for (name, rest) in OPTIONS {
        skips.judge(name, &differences(&kmod, &Depmod::kbt(), &tree, &words(rest)));
    }
    skips.finish();
}

#[test]
fn every_option_of_kmod_30() {
    let mut tree = small("options-30");
    // Of two equal lines kmod 30 takes the last, 34 the first.
    tree.write("modules.order", b"kernel/many/m3.ko\nkernel/lib/base-lib.ko\nkernel/many/m0.ko\n");
    tree.settle();
    let skips = Skips::load();
    for (name, rest) in OPTIONS.iter().filter(|(name, _)| KNOWN_TO_30.contains(name)) {
        let found = require!(differences_30(&tree, &words(rest)));
        skips.judge(&format!("30-{name}"), &found);
    }
    skips.finish();
}

/// Options whose meaning and messages are those of kmod 30 too.
const KNOWN_TO_30: &[&str] = &["plain", "all", "warn", "verbose", "prefix", "symvers-quiet", "list"];

#[test]
fn every_configuration() {
    let kmod = require!(Depmod::kmod_34());
    let mut tree = small("configurations");
    config::prepare(&mut tree);
    let skips = Skips::load();
    for (name, lines) in CONFIGURATIONS {
        let file = format!("../../../conf/{name}.conf");
        tree.write(&file, tree.fill(lines).as_bytes());
        tree.settle();
        let config = format!("{{root}}/conf/{name}.conf");
        let words = ["-b", "{root}", "-C", &config, "-vv", "{version}"];
        let mut expected = kmod.run(&tree, &words);
        // The first and the last line are about kmod's inside, with addresses.
        let lines: Vec<_> = expected.stderr.split_inclusive(|&byte| byte == b'\n').collect();
        let [first, rest @ .., last] = lines.as_slice() else { panic!("{lines:?}") };
        assert!(first.starts_with(b"depmod: INFO: custom logging function "), "{first:?}");
        assert!(last.starts_with(b"depmod: INFO: context "), "{last:?}");
        expected.stderr = rest.concat();
        let actual = Depmod::kbt().run(&tree, &words);
        skips.judge(&format!("config-{name}"), &expected.differences(&actual));
    }
    let all = ["-b", "{root}", "-C", "{root}/conf", "{version}"];
    skips.judge("config-all", &differences(&kmod, &Depmod::kbt(), &tree, &all));
    let two = ["-b", "{root}", "-C", "{root}/conf/exclude.conf", "-C", "{root}/conf", "{version}"];
    skips.judge("config-two-places", &differences(&kmod, &Depmod::kbt(), &tree, &two));
    let missing = ["-b", "{root}", "-C", "{root}/conf/nothing.conf", "{version}"];
    skips.judge("config-missing", &differences(&kmod, &Depmod::kbt(), &tree, &missing));
    let machine = ["-b", "{root}", "{version}"];
    skips.judge("config-of-the-machine", &differences(&kmod, &Depmod::kbt(), &tree, &machine));
    skips.finish();
}

/// A relative directory is below the current one as the shell calls it, where that is right.
#[test]
fn the_shells_name_of_the_current_directory() {
    let kmod = require!(Depmod::kmod_34());
    let mut tree = small("shell");
    std::os::unix::fs::symlink("../shell", tree.root.join("link")).unwrap();
    tree.settle();
    let words = ["-b", ".", "-C", "none", "-n", "-v", &tree.version].map(ToOwned::to_owned);
    let run = |depmod: &Depmod, called: &Path| {
        let output = depmod.command(&words, &tree.root).env("PWD", called).output().unwrap();
        depmod_oracle::Outcome::of(output, &tree)
    };
    let link = tree.root.join("link");
    for called in [link.as_path(), &tree.root, Path::new("/"), Path::new("relative")] {
        let (expected, actual) = (run(&kmod, called), run(&Depmod::kbt(), called));
        assert_eq!(expected.exit, 0);
        assert!(expected.differences(&actual).is_empty(), "{called:?} {:?}", expected.differences(&actual));
    }
    let named = run(&Depmod::kbt(), &link).stdout;
    assert!(String::from_utf8(named).unwrap().contains("/link/./lib/modules/"), "it counts");
}

/// A path that no system call takes is no module's.
#[test]
fn a_path_that_is_too_long() {
    let kmod = require!(Depmod::kmod_34());
    let mut tree = small("long");
    let deep: Vec<String> = (0..17).map(|level| format!("{level:0>240}")).collect();
    // Made step by step, as the whole path would be too long for one call.
    let script =
        "cd \"$1\"; shift; for name; do mkdir -p \"$name\" && cd -P \"$name\"; done; cp \"$OLD\" deep.ko";
    let made = std::process::Command::new("sh")
        .args(["-ec", script, "sh", tree.modules().to_str().unwrap()])
        .args(&deep)
        .env("OLD", tree.modules().join("kernel/fs/plain.ko"))
        .status()
        .unwrap();
    tree.settle();
    let found = differences(&kmod, &Depmod::kbt(), &tree, &words(&["{version}"]));
    let removed = std::process::Command::new("rm").arg("-rf").arg(tree.modules().join(&deep[0])).status();
    assert!(made.success() && removed.unwrap().success());
    assert!(found.is_empty(), "{found:?}");
}

/// `make modules_install` calls depmod by a script of the kernel's, DEPMOD=... and all: an empty directory first, then
/// `-ae -F System.map -b ...`.
#[test]
fn the_call_of_modules_install() {
    let kmod = require!(Depmod::kmod_34());
    for release in ["5.10", "6.1", "6.12", "7"] {
        let _ = require!(peers::tool(&format!("mksysmap-{release}")));
        let scripts = peers::directory().join(format!("sysroot/kbuild-{release}/usr/lib"));
        let mut kbuild =
            fs::read_dir(&scripts).unwrap().map(|entry| entry.unwrap().path().join("scripts/depmod.sh"));
        let script = kbuild.find(|script| script.exists()).unwrap();
        let tree = small(&format!("install-{release}"));
        // The script calls it by one word, so kbt needs a name that says which of its tools is meant.
        let links = tree.root.with_extension("bin");
        let _ = fs::remove_dir_all(&links);
        fs::create_dir(&links).unwrap();
        let link = links.join("depmod");
        std::os::unix::fs::symlink(Depmod::kbt().program(), &link).unwrap();
        let run = |program: &Path| {
            tree.clean();
            let mut command = std::process::Command::new("sh");
            command.arg(&script).current_dir(&tree.root).env("objtree", ".");
            command.env("DEPMOD", program).env("INSTALL_MOD_PATH", &tree.root);
            // Of old kernels the program is the first word.
            if fs::read_to_string(&script).unwrap().contains("DEPMOD=$1") {
                command.arg(program);
            }
            depmod_oracle::Outcome::of(command.arg(&tree.version).output().unwrap(), &tree)
        };
        let (expected, actual) = (run(kmod.program()), run(&link));
        assert_eq!(expected.exit, 0, "{release}: {}", String::from_utf8_lossy(&expected.stderr));
        assert!(!expected.output("modules.dep.bin").is_empty());
        let found = expected.differences(&actual);
        assert!(found.is_empty(), "{release}: {found:?}");
    }
}

/// Changes to the tree's other inputs; `None` removes the file.
const INPUTS: &[(&str, &str, Option<&[u8]>)] = &[
    ("no-order", "modules.order", None),
    ("order-empty", "modules.order", Some(b"")),
    ("order-cut-off", "modules.order", Some(b"kernel/many/m5.ko\nkernel/many/m4.ko")),
    ("order-one-cut-off", "modules.order", Some(b"kernel/many/m5.ko")),
    ("order-empty-lines", "modules.order", Some(b"\n\nkernel/many/m5.ko\n\nkernel/many/m4.ko\n")),
    ("order-packed-names", "modules.order", Some(b"kernel/many/m5.ko.xz\nkernel/many/m4.ko\n")),
    ("no-builtin", "modules.builtin", None),
    ("builtin-empty", "modules.builtin", Some(b"")),
    ("builtin-odd", "modules.builtin", Some(b"kernel/a-b.ko\n1x.ko\n\n /x.ko\nkernel/c.ko")),
    ("no-builtin-modinfo", "modules.builtin.modinfo", None),
    ("builtin-modinfo-empty", "modules.builtin.modinfo", Some(b"")),
    (
        "builtin-modinfo-odd",
        "modules.builtin.modinfo",
        Some(b"x.alias=a-b\0nodot\0x.alias\0.alias=q\0y.alias=c[\0z.alias=end"),
    ),
    ("module-empty", "kernel/bad/empty.ko", Some(b"")),
    ("module-text", "kernel/bad/text.ko", Some(b"this is no module at all\n")),
    ("module-magic-only", "kernel/bad/magic.ko", Some(b"\x7fELF")),
    ("suffix-only", "kernel/bad/.ko", Some(b"\x7fELF")),
    ("other-suffix", "kernel/bad/x.ko.bz2", Some(b"BZh")),
];

#[test]
fn every_other_input() {
    let kmod = require!(Depmod::kmod_34());
    let skips = Skips::load();
    let mut tree = small("inputs");
    for (name, file, bytes) in INPUTS {
        let path = tree.modules().join(file);
        let before = fs::read(&path).ok();
        match bytes {
            Some(bytes) => tree.write(file, bytes),
            None => fs::remove_file(&path).unwrap(),
        }
        tree.settle();
        skips.judge(name, &differences(&kmod, &Depmod::kbt(), &tree, &words(&["{version}"])));
        match before {
            Some(bytes) => tree.write(file, &bytes),
            None => fs::remove_file(&path).unwrap(),
        }
    }
    skips.finish();
}

#[test]
fn every_encoding() {
    let kmod = require!(Depmod::kmod_34());
    let skips = Skips::load();
    for encoding in Encoding::ALL {
        let Encoding { is_64, is_big, .. } = encoding;
        let name = format!("{}-{}", if is_64 { 64 } else { 32 }, if is_big { "big" } else { "little" });
        let mut tree = Tree::small_of(&format!("encoding-{name}"), encoding);
        let words = words(&["{version}"]);
        skips.judge(&name, &differences(&kmod, &Depmod::kbt(), &tree, &words));
        tree.write("modules.order", b"kernel/many/m3.ko\n");
        tree.settle();
        skips.judge(&format!("30-{name}"), &require!(differences_30(&tree, &words)));
    }
    skips.finish();
}

/// A set of real modules in one compression.
fn real(set: &str, suffix: &str) {
    let kmod = require!(Depmod::kmod_34());
    let source = require!(peers::modules(&format!("{set}{suffix}")));
    let plain = require!(peers::modules(set));
    let mut tree = Tree::copy(&format!("{set}{suffix}"), &source);
    let skips = Skips::load();
    let words = words(&["{version}"]);
    if suffix == ".gz" {
        // This kmod leaves out what is named .gz, but knows a module by its first bytes: it gets plain modules named .xz.
        let mut actual = Depmod::kbt().run(&tree, &words);
        for (_, bytes) in actual.files.values_mut() {
            name_xz(bytes);
        }
        fill_with_plain(&tree, &plain);
        tree.settle();
        let expected = kmod.run(&tree, &words);
        skips.judge(&format!("{set}{suffix}"), &expected.differences(&actual));
    } else {
        skips.judge(&format!("{set}{suffix}"), &differences(&kmod, &Depmod::kbt(), &tree, &words));
        skips.judge(&format!("30-{set}{suffix}"), &require!(differences_30(&tree, &words)));
    }
    skips.finish();
}

/// Turns `.ko.gz` into `.ko.xz`, which is as long, so that indexes stay whole.
fn name_xz(bytes: &mut [u8]) {
    let ends: Vec<_> = bytes.windows(6).enumerate().filter(|(_, name)| name == b".ko.gz").collect();
    let places: Vec<_> = ends.into_iter().map(|(at, _)| at + 4).collect();
    for at in places {
        bytes[at] = b'x';
    }
}

/// Puts a plain module named `.ko.xz` in the place of each `.ko.gz`.
fn fill_with_plain(tree: &Tree, plain: &Path) {
    outcome::collect(&tree.root, &tree.root, &mut |name, path| {
        if let Some(name) = name.strip_suffix(".gz") {
            fs::copy(plain.join(name), path.with_extension("xz")).unwrap();
            fs::remove_file(path).unwrap();
        }
    });
}

macro_rules! real {
    ($($(#[$attribute:meta])* $name:ident: $set:literal $suffix:literal;)*) => {
        $(#[test] $(#[$attribute])* fn $name() { real($set, $suffix); })*
    };
}

real! {
    cloud: "cloud-6.1" "";
    cloud_gz: "cloud-6.1" ".gz";
    cloud_xz: "cloud-6.1" ".xz";
    cloud_zst: "cloud-6.1" ".zst";
    #[ignore = "of the long comparison: cargo xtask differential --all"] amd64: "amd64-6.1" "";
    #[ignore = "of the long comparison: cargo xtask differential --all"] amd64_gz: "amd64-6.1" ".gz";
    #[ignore = "of the long comparison: cargo xtask differential --all"] amd64_xz: "amd64-6.1" ".xz";
    #[ignore = "of the long comparison: cargo xtask differential --all"] amd64_zst: "amd64-6.1" ".zst";
    #[ignore = "of the long comparison: cargo xtask differential --all"] armmp: "armmp-6.1" "";
    #[ignore = "of the long comparison: cargo xtask differential --all"] armmp_gz: "armmp-6.1" ".gz";
    #[ignore = "of the long comparison: cargo xtask differential --all"] armmp_xz: "armmp-6.1" ".xz";
    #[ignore = "of the long comparison: cargo xtask differential --all"] armmp_zst: "armmp-6.1" ".zst";
    #[ignore = "of the long comparison: cargo xtask differential --all"] arm64: "arm64-6.1" "";
    #[ignore = "of the long comparison: cargo xtask differential --all"] arm64_gz: "arm64-6.1" ".gz";
    #[ignore = "of the long comparison: cargo xtask differential --all"] arm64_xz: "arm64-6.1" ".xz";
    #[ignore = "of the long comparison: cargo xtask differential --all"] arm64_zst: "arm64-6.1" ".zst";
}
