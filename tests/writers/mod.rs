//! Every command that writes a file which is made of others, each with inputs of its own.

#[path = "../small_kernel/mod.rs"]
mod small_kernel;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use kbt_testkit::module::{Encoding, Module};
use small_kernel::{GENERATIONS, X86_64};

/// A command, the files that it writes, and those that its depfile names behind the first of them.
pub struct Case {
    pub words: &'static str,
    pub outputs: &'static [&'static str],
    pub inputs: &'static [&'static str],
}

pub const CASES: &[Case] = &[
    Case {
        words: "dto apply base.dtb o1.dtbo o2.dtbo --concat-bootargs -o out",
        outputs: &["out"],
        inputs: &["base.dtb", "o1.dtbo", "o2.dtbo"],
    },
    Case { words: "dto show o1.dtbo -o out", outputs: &["out"], inputs: &["o1.dtbo"] },
    Case {
        words: "dto lint base.dtb o1.dtbo o2.dtbo --source o1.dtso --sarif out",
        outputs: &["out"],
        inputs: &["base.dtb", "o1.dtbo", "o2.dtbo", "o1.dtso"],
    },
    Case {
        words: "dto matrix --bases trees --overlays trees --config matrix.conf --report out --junit out.xml",
        outputs: &["out", "out.xml"],
        inputs: &[
            "matrix.conf",
            "trees/a/base.dtb",
            "trees/b/base.dtb",
            "trees/a/o1.dtbo",
            "trees/b/o2.dtbo",
        ],
    },
    Case {
        words: "dto matrix --bases trees/a --overlays trees/a --pairs compatible --junit out",
        outputs: &["out"],
        inputs: &["trees/a/base.dtb", "trees/a/o1.dtbo"],
    },
    Case {
        words: "dtbo pack o1.dtbo,id=1 o2.dtbo --version 1 --compression gzip -o out",
        outputs: &["out"],
        inputs: &["o1.dtbo", "o2.dtbo"],
    },
    Case {
        words: "dtbo unpack image out",
        outputs: &["out/manifest.json", "out/0.dtbo", "out/1.dtbo"],
        inputs: &["image"],
    },
    Case { words: "dtbo extract image 1 -o out", outputs: &["out"], inputs: &["image"] },
    Case { words: "dtbo dump image -o out", outputs: &["out"], inputs: &["image"] },
    Case { words: "dtbo dump image -b out", outputs: &["out.0", "out.1"], inputs: &["image"] },
    Case {
        words: "depmod -b . -o out -C depmod.d --order name 6.1.0",
        outputs: &["out/lib/modules/6.1.0/modules.dep", "out/lib/modules/6.1.0/modules.alias.bin"],
        inputs: &[
            "depmod.d/a.conf",
            "depmod.d/b.conf",
            "lib/modules/6.1.0/modules.order",
            "lib/modules/6.1.0/kernel/b.ko",
            "lib/modules/6.1.0/kernel/a.ko",
        ],
    },
    Case {
        words: "depmod graph -b . -C depmod.d --order name -k 6.1.0 --format svg -o out",
        outputs: &["out"],
        inputs: &[
            "depmod.d/a.conf",
            "depmod.d/b.conf",
            "lib/modules/6.1.0/modules.order",
            "lib/modules/6.1.0/kernel/b.ko",
            "lib/modules/6.1.0/kernel/a.ko",
        ],
    },
    Case {
        words: "kallsyms pad vmlinux.o --lds vmlinux.lds --all-symbols --pad-file out.pad -o out",
        outputs: &["out", "out.pad"],
        inputs: &["vmlinux.o", "vmlinux.lds"],
    },
    Case {
        words: "kallsyms patch vmlinux --pad-file kallsyms.pad --sysmap out.map -o out",
        outputs: &["out", "out.map"],
        inputs: &["vmlinux", "kallsyms.pad"],
    },
    Case {
        words: "kallsyms patch vmlinux --pad-file kallsyms.pad",
        outputs: &["vmlinux"],
        inputs: &["kallsyms.pad"],
    },
    Case {
        words: "kallsyms patch vmlinux --pad-file kallsyms.pad --in-place",
        outputs: &["vmlinux"],
        inputs: &["kallsyms.pad"],
    },
    Case { words: "kallsyms generate --kernel 6.12 vmlinux -o out", outputs: &["out"], inputs: &["vmlinux"] },
    Case { words: "kallsyms dump patched -o out", outputs: &["out"], inputs: &["patched"] },
    Case { words: "kallsyms patchfile vmlinux 64 o1.dtbo", outputs: &["vmlinux"], inputs: &["o1.dtbo"] },
    Case {
        words: "kallsyms patchfile vmlinux 64 o1.dtbo --in-place",
        outputs: &["vmlinux"],
        inputs: &["o1.dtbo"],
    },
];

/// All inputs, by name.
pub fn inputs() -> BTreeMap<&'static str, Vec<u8>> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dto/example");
    let [base, o1, o2] =
        ["base.dtb", "overlay1.dtbo", "overlay2.dtbo"].map(|name| fs::read(fixtures.join(name)).unwrap());
    let kernel = small_kernel::Room::padded(X86_64, &GENERATIONS[3]);
    kernel.ok("kallsyms patch vmlinux --pad-file kallsyms.pad -o patched");
    let module = |alias: &str| Module::new(Encoding::X86_64).info("alias", alias);
    let mut files = BTreeMap::from([
        ("trees/a/base.dtb", base.clone()),
        ("trees/b/base.dtb", base.clone()),
        ("trees/a/o1.dtbo", o1.clone()),
        ("trees/b/o2.dtbo", o2.clone()),
        ("matrix.conf", b"apply **/base.dtb a/o1.dtbo b/o2.dtbo\n".to_vec()),
        ("o1.dtso", b"/dts-v1/;\n/plugin/;\n&soc { /delete-node/ gone; };\n".to_vec()),
        ("base.dtb", base),
        ("o1.dtbo", o1),
        ("o2.dtbo", o2),
        ("depmod.d/a.conf", b"search updates built-in\n".to_vec()),
        ("depmod.d/b.conf", b"override b * kernel\n".to_vec()),
        ("depmod.d/unused", b"".to_vec()),
        ("lib/modules/6.1.0/modules.order", b"kernel/b.ko\n".to_vec()),
        ("lib/modules/6.1.0/kernel/a.ko", module("x").import("from_b").write()),
        ("lib/modules/6.1.0/kernel/b.ko", module("y").export("from_b", 7).write()),
    ]);
    for name in ["vmlinux.o", "vmlinux.lds", "vmlinux", "kallsyms.pad", "patched"] {
        files.insert(name, kernel.bytes(name));
    }
    files
}

/// A directory with the inputs in it, made in this order.
pub fn room<'n>(files: impl Iterator<Item = (&'n &'static str, &'n Vec<u8>)>) -> tempfile::TempDir {
    let room = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = room.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let mut pack = Command::new(env!("CARGO_BIN_EXE_kbt"));
    pack.current_dir(room.path()).args(["dtbo", "pack", "o1.dtbo", "o2.dtbo", "-o", "image"]);
    assert!(pack.status().unwrap().success());
    room
}
