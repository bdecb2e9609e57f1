//! Trees of modules, made and real.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use kbt_testkit::module::{Encoding, GLOBAL, Module, OUTPUTS, Place, WEAK};

use super::outcome::collect;

/// The kernel version of made trees.
pub const VERSION: &str = "6.1.0-kbt";

/// A root with `lib/modules/VERSION`, in a directory of its own.
#[derive(Debug)]
pub struct Tree {
    pub root: PathBuf,
    pub version: String,
    /// Names of files that are there before a run, relative to the root.
    inputs: BTreeSet<String>,
}

impl Tree {
    /// An empty one; `name` must be the caller's own.
    pub fn new(name: &str) -> Self {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("depmod").join(name);
        let _ = fs::remove_dir_all(&root);
        let tree = Self { root, version: VERSION.to_owned(), inputs: BTreeSet::new() };
        fs::create_dir_all(tree.modules()).unwrap();
        tree.write("../../../none/.keep", b"");
        tree
    }

    /// A copy of a root, without its outputs.
    pub fn copy(name: &str, root: &Path) -> Self {
        let mut tree = Self::new(name);
        let version = fs::read_dir(root.join("lib/modules")).unwrap().next().unwrap().unwrap().file_name();
        fs::remove_dir_all(tree.modules()).unwrap();
        tree.version = version.to_str().unwrap().to_owned();
        collect(root, root, &mut |name, path| {
            let target = tree.root.join(name);
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            if fs::hard_link(path, &target).is_err() {
                fs::copy(path, &target).unwrap();
            }
        });
        tree.settle();
        tree
    }

    /// The module directory.
    pub fn modules(&self) -> PathBuf {
        self.root.join("lib/modules").join(&self.version)
    }

    /// Puts a file below the module directory.
    pub fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.modules().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // A link to a file of the peers must not be written through.
        let _ = fs::remove_file(&path);
        fs::write(path, bytes).unwrap();
    }

    /// Puts a module below the module directory.
    pub fn module(&self, name: &str, module: &Module) {
        self.write(name, &module.write());
    }

    /// From now on what is there is input.
    pub fn settle(&mut self) {
        let mut inputs = BTreeSet::new();
        collect(&self.root, &self.root, &mut |name, _| {
            // What an earlier run left is no input: libkmod reads it, and has words for it.
            if !OUTPUTS.contains(&name.rsplit('/').next().unwrap()) {
                inputs.insert(name.to_owned());
            }
        });
        self.inputs = inputs;
    }

    pub fn is_input(&self, name: &str) -> bool {
        self.inputs.contains(name)
    }

    /// Removes what is no input.
    pub fn clean(&self) {
        collect(&self.root, &self.root, &mut |name, path| {
            if !self.is_input(name) {
                fs::remove_file(path).unwrap();
            }
        });
    }

    /// Puts the tree's places into a word.
    pub fn fill(&self, word: &str) -> String {
        word.replace("{root}", self.root.to_str().unwrap())
            .replace("{modules}", self.modules().to_str().unwrap())
            .replace("{version}", &self.version)
    }

    /// Some twenty modules with everything that depmod looks at.
    pub fn small(name: &str) -> Self {
        Self::small_of(name, Encoding::X86_64)
    }

    /// The same in another width and byte order.
    pub fn small_of(name: &str, encoding: Encoding) -> Self {
        let mut tree = Self::new(name);
        let new = || Module::new(encoding);
        let base = new().export("base_one", 0x1111).export("base_two", 0x2222).version(7, "module_layout");
        tree.module("kernel/lib/base-lib.ko", &base);
        let middle = new()
            .import("base_one")
            .version(7, "module_layout")
            .version(0x1111, "base_one")
            .export("middle", 0x3333)
            .info("alias", "pci:v00008086d0000100Esv*sd*bc*sc*i*")
            .info("alias", "pci:v00008086d0000100[A-F0-9-]sv*-x")
            .info("softdep", "pre: base-lib post: extra_one");
        tree.module("kernel/drivers/net/middle.ko", &middle);
        let top = new()
            .import("middle")
            .import("base_two")
            .import("in_the_kernel")
            .version(0x3333, "middle")
            .version(0x9999, "base_two")
            .version(5, "in_the_kernel")
            .info("alias", "char-major-10-200")
            .info("alias", "devname:net/tun-x");
        tree.module("kernel/drivers/net/top_most.ko", &top);
        let block = new().info("alias", "block-major-7-*").info("alias", "devname:loop-control");
        tree.module("kernel/drivers/block/no-minor.ko", &block.info("alias", "devname:other"));
        let weak = new()
            .symbol("base_two", Place::Undefined, 0, WEAK)
            .symbol("nobody_has_it", Place::Undefined, 0, WEAK)
            .import("nobody_has_this")
            .info("weakdep", "top_most other-one");
        tree.module("kernel/fs/weak-fs.ko", &weak);
        tree.module("kernel/fs/plain.ko", &new().export_unversioned("plain_one").info("alias", "fs-plain"));
        let odd = new().info("alias", "fs-plain").info("alias", "odd=a=b").info("alias", "a b  c");
        tree.module("kernel/fs/uses-plain.ko", &odd.import("plain_one"));
        let brackets = new()
            .info("alias", "x[a-z]y-z")
            .info("alias", "open[abc")
            .info("alias", "close]abc")
            .info("alias", "a[b]c[d]e-f");
        tree.module("kernel/sound/brackets.ko", &brackets);
        let dot = new().symbol(".base_one", Place::Undefined, 0, GLOBAL).import("plain_one");
        tree.module("kernel/arch/dot.sym.ko", &dot);
        let twice = new().export("twice", 1).export("base_two", 0x4444);
        tree.module("extra/extra_one.ko", &twice);
        tree.module("updates/middle.ko", &middle.clone().info("alias", "the-updated-one"));
        tree.module("weak-updates/extra-one.ko", &new().info("alias", "the-other-extra"));
        for index in 0..6 {
            let many = new().import("twice").export(&format!("many_{index}"), index);
            let many = (0..index).fold(many, |many, before| many.import(&format!("many_{before}")));
            let many =
                (0..40).fold(many, |many, alias| many.info("alias", &format!("many:{index}-{alias}*")));
            tree.module(&format!("kernel/many/m{index}.ko"), &many);
        }
        tree.write("modules.order", ORDER);
        tree.write("modules.builtin", b"kernel/fs/built-in.ko\nkernel/lib/other_one.ko\n");
        tree.write("modules.builtin.modinfo", BUILTIN_MODINFO);
        tree.settle();
        tree
    }
}

/// Partial on purpose: what is not listed follows.
const ORDER: &[u8] = b"kernel/fs/weak-fs.ko
kernel/drivers/net/top_most.ko
kernel/many/m3.ko
kernel/not/there.ko
kernel/lib/base-lib.ko
kernel/drivers/net/middle.ko
kernel/many/m0.ko
kernel/many/m3.ko
";

const BUILTIN_MODINFO: &[u8] =
    b"built_in.license=GPL\0built_in.alias=fs-built-in\0other_one.alias=pci:v*[0-9-A]d*\0other_one.file=lib/x\0\
      built_in.alias=second-[a-b]-one\0";
