//! `integrations/linux.sh`: a kernel tree is switched over to one link, and back to the byte.
//!
//! The trees are stand-ins: a script of the tests' own that has the functions of the kernel's, in its order, and links a small
//! kernel. Real ones are built and booted by `cargo xtask e2e kernel`.

#![allow(clippy::unwrap_used)]

mod small_kernel;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use small_kernel::{GENERATIONS, Generation, Room, X86_64};

/// A tree in `tree`, and its build in the room around it.
struct Tree {
    room: Room,
    generation: Generation,
    /// What the last link makes.
    image: &'static str,
}

/// The kinds of the kernel's script: its text, whose table it makes, and the image.
const KINDS: [(&str, usize, &str); 3] = [
    (include_str!("kernel_tree/to-6.10.sh"), 2, "vmlinux"),
    (include_str!("kernel_tree/from-6.11.sh"), 3, "vmlinux"),
    (include_str!("kernel_tree/from-6.11.sh"), 4, "vmlinux.unstripped"),
];

impl Tree {
    fn new((script, generation, image): (&str, usize, &'static str)) -> Self {
        let room = Room::new(X86_64);
        let generation = GENERATIONS[generation];
        fs::create_dir_all(room.path("tree/scripts")).unwrap();
        for (name, text) in
            [("link-vmlinux.sh", script), ("gen-btf.sh", include_str!("kernel_tree/gen-btf.sh"))]
        {
            let path = room.path("tree/scripts").join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o754)).unwrap();
        }
        room.objects(&generation);
        fs::create_dir_all(room.path("init")).unwrap();
        room.assemble("init/version-timestamp", "\t.globl linux_banner\nlinux_banner:\n\t.long 1\n");
        fs::create_dir_all(room.path("include/config")).unwrap();
        let tree = Self { room, generation, image };
        tree.configure(&["KALLSYMS", "KALLSYMS_ALL", "64BIT"]);
        tree
    }

    fn configure(&self, options: &[&str]) {
        let text: String = options.iter().map(|option| format!("CONFIG_{option}=y\n")).collect();
        fs::write(self.room.path("include/config/auto.conf"), text).unwrap();
    }

    fn script(&self) -> PathBuf {
        self.room.path("tree/scripts/link-vmlinux.sh")
    }

    /// Runs the integration's script.
    fn switch(&self, verb: &str, kbt: Option<&Path>) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("integrations/linux.sh");
        let mut command = Command::new(script);
        command.arg(verb).arg(self.room.path("tree")).args(kbt).output().unwrap()
    }

    #[track_caller]
    fn switched(&self, verb: &str) -> String {
        let output = self.switch(verb, (verb == "on").then(|| Path::new(env!("CARGO_BIN_EXE_kbt"))));
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{verb}");
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn refused(&self, verb: &str, kbt: Option<&Path>) -> String {
        let output = self.switch(verb, kbt);
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    }

    /// Every file of the tree, with its mode and bytes.
    fn files(&self) -> Vec<(PathBuf, u32, Vec<u8>)> {
        let entries = fs::read_dir(self.room.path("tree/scripts")).unwrap();
        let mut files: Vec<_> = entries
            .map(|entry| {
                let path = entry.unwrap().path();
                let mode = path.metadata().unwrap().permissions().mode();
                (path.clone(), mode, fs::read(path).unwrap())
            })
            .collect();
        files.sort();
        files
    }

    fn make(&self, words: &[&str]) -> Output {
        let mut command = Command::new("sh");
        let kallsyms =
            format!("{} kallsyms generate --kernel {}", env!("CARGO_BIN_EXE_kbt"), self.generation.kernel);
        command.arg("tree/scripts/link-vmlinux.sh").args(words).current_dir(self.room.path(""));
        command.env("LD", format!("ld {}", self.room.machine.ld_options.join(" ")));
        command.env("AS", format!("as {}", self.room.machine.as_options.join(" ")));
        command.env("KALLSYMS", kallsyms).env("KBUILD_LDS", "vmlinux.lds");
        command.env("srctree", "tree").env("objtree", ".").env_remove("KBT");
        command.output().unwrap()
    }

    /// Builds, and gives what was linked.
    #[track_caller]
    fn built(&self) -> Vec<String> {
        let output = self.make(&[self.image]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        // ld has its own words about a small kernel's segments.
        let other: Vec<&str> = stderr.lines().filter(|line| !line.starts_with("ld: ")).collect();
        assert_eq!(other, [""; 0]);
        assert!(output.status.success());
        let said = String::from_utf8(output.stdout).unwrap();
        said.lines()
            .filter_map(|line| line.strip_prefix("  LD "))
            .map(|name| name.trim().to_owned())
            .collect()
    }

    /// The letters and names of the table, sorted, after checking it against the image.
    fn table(&self) -> Vec<String> {
        self.room.ok(&format!("kallsyms verify {}", self.image));
        let dump = self.room.ok(&format!("kallsyms dump {}", self.image));
        let mut names: Vec<String> = dump.lines().map(|line| line[17..].to_owned()).collect();
        names.sort();
        names
    }
}

#[test]
fn one_link_of_three_is_left_and_two_with_btf() {
    for kind in KINDS {
        let tree = Tree::new(kind);
        let stock = (tree.built(), tree.table());
        assert_eq!(stock.0.len(), 3, "{:?}", stock.0);
        tree.switched("on");
        let own = (tree.built(), tree.table());
        assert_eq!(own.0, [tree.image]);
        assert_eq!(own.1, stock.1);
        assert!(own.1.iter().any(|name| name.ends_with(" linux_banner")));

        tree.configure(&["KALLSYMS", "KALLSYMS_ALL", "64BIT", "DEBUG_INFO_BTF"]);
        let own = (tree.built(), tree.table(), tree.types());
        tree.switched("off");
        let stock = (tree.built(), tree.table(), tree.types());
        assert_eq!(own.0.len(), 2, "{:?}", own.0);
        // 6.1 makes its types of a link of their own.
        assert_eq!(stock.0.len(), if kind.1 == 2 { 4 } else { 3 }, "{:?}", stock.0);
        assert_eq!(own.1, stock.1);
        assert_eq!(own.2, stock.2);
    }
}

impl Tree {
    /// The section with the types.
    fn types(&self) -> Vec<u8> {
        self.room.tool("objcopy", &["-O", "binary", "-j", ".BTF", self.image, "types"]);
        let types = self.room.bytes("types");
        assert!(!types.is_empty());
        types
    }
}

#[test]
fn a_kernel_without_a_table_is_built_as_it_was() {
    for kind in KINDS {
        let tree = Tree::new(kind);
        tree.configure(&[]);
        // So that it links without the arrays.
        tree.room.assemble("vmlinux", "\t.globl _text\n\t.globl main\nmain:\n\t.long 1\n");
        let stock = (tree.built(), tree.room.bytes(tree.image), tree.room.bytes("System.map"));
        tree.switched("on");
        let own = (tree.built(), tree.room.bytes(tree.image), tree.room.bytes("System.map"));
        assert!(own == stock, "{:?} {:?}", own.0, stock.0);
    }
}

#[test]
fn on_and_off_leave_no_trace() {
    for kind in KINDS {
        let tree = Tree::new(kind);
        let before = tree.files();
        assert_eq!(tree.switched("status"), "off\n");
        for _ in 0..2 {
            tree.switched("on");
            assert_eq!(tree.switched("status"), "on\n");
            let on = tree.files();
            assert_eq!(on.len(), before.len() + 1);
            tree.switched("on");
            assert!(tree.files() == on, "a second time changes nothing");
            tree.switched("off");
            assert_eq!(tree.switched("status"), "off\n");
            assert!(tree.files() == before);
        }
        tree.switched("off");
        assert!(tree.files() == before);
    }
}

#[test]
fn what_changed_in_the_tree_meanwhile_stays() {
    let tree = Tree::new(KINDS[0]);
    let text = fs::read_to_string(tree.script()).unwrap();
    tree.switched("on");
    let add = |text: &str| text.replace("set -e\n", "set -e\numask 022\n");
    fs::write(tree.script(), add(&fs::read_to_string(tree.script()).unwrap())).unwrap();
    tree.switched("off");
    assert_eq!(fs::read_to_string(tree.script()).unwrap(), add(&text));
    // The tree's own tools took the script back (git checkout): it can be switched over again.
    tree.switched("on");
    fs::write(tree.script(), &text).unwrap();
    assert_eq!(tree.switched("status"), "off\n");
    tree.switched("on");
    assert_eq!(tree.built(), ["vmlinux"]);
}

/// Trees that were copied with links (`cp -al`) share their files.
#[test]
fn another_tree_that_shares_the_file_stays_as_it_is() {
    let tree = Tree::new(KINDS[1]);
    let other = tree.room.path("shared.sh");
    fs::hard_link(tree.script(), &other).unwrap();
    tree.switched("on");
    assert_eq!(fs::read_to_string(&other).unwrap(), KINDS[1].0);
}

#[test]
fn an_unknown_tree_is_refused_and_stays_as_it_was() {
    let kbt = Path::new(env!("CARGO_BIN_EXE_kbt"));
    for (kind, gone, said) in [
        (0, "\nvmlinux_link()\n", "has no line '^vmlinux_link()$': this version of Linux is not known"),
        (0, "\nmksysmap()\n", "has no line '^mksysmap()$'"),
        (0, "\nis_enabled() {\n", "has no line '^is_enabled()'"),
        (1, "\ninfo()\n", "has no line '^info()'"),
        (1, "\n# Use \"make V=1\" to debug this script\n", "has no line '^# Use \"make V=1\""),
        (0, "\nkallsyms_step()\n", "makes the table in a way that is not known"),
        (1, "\nsysmap_and_kallsyms()\n", "makes the table in a way that is not known"),
    ] {
        let tree = Tree::new(KINDS[kind]);
        let text = KINDS[kind].0.replace(gone, "\nother()\n");
        assert_ne!(text, KINDS[kind].0, "{gone}");
        fs::write(tree.script(), text).unwrap();
        let before = tree.files();
        let stderr = tree.refused("on", Some(kbt));
        assert!(stderr.starts_with("linux.sh: ") && stderr.contains(said), "{stderr}");
        assert!(tree.files() == before);
    }
    let tree = Tree::new(KINDS[0]);
    // A script that would not come back to the byte.
    fs::write(tree.script(), format!("{}stock_mksysmap()\n{{\n\t:\n}}\n", KINDS[0].0)).unwrap();
    assert!(tree.refused("on", Some(kbt)).contains("could not be changed back"));
    fs::remove_file(tree.script()).unwrap();
    for verb in ["on", "off", "status"] {
        let stderr = tree.refused(verb, (verb == "on").then_some(kbt));
        assert!(stderr.contains(" is no Linux source tree: there is no "), "{stderr}");
    }
    assert_eq!(tree.files().len(), 1);
}

#[test]
fn a_tool_that_fails_costs_no_script() {
    let tree = Tree::new(KINDS[1]);
    let tools = tree.room.path("tools");
    fs::create_dir_all(&tools).unwrap();
    fs::write(tools.join("sed"), "#!/bin/sh\nhead -c 100\nexit 4\n").unwrap();
    fs::set_permissions(tools.join("sed"), fs::Permissions::from_mode(0o755)).unwrap();
    let fails = |verb: &str| {
        let before = tree.files();
        let mut path = tools.clone().into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("integrations/linux.sh");
        let mut command = Command::new(script);
        command.arg(verb).arg(tree.room.path("tree")).arg(env!("CARGO_BIN_EXE_kbt")).env("PATH", path);
        assert_eq!(command.output().unwrap().status.code(), Some(1), "{verb}");
        assert!(tree.files() == before, "{verb}");
    };
    fails("on");
    tree.switched("on");
    fails("off");
    tree.switched("off");
    assert_eq!(fs::read_to_string(tree.script()).unwrap(), KINDS[1].0);
}

#[test]
fn a_tree_that_is_half_switched_is_told() {
    let tree = Tree::new(KINDS[0]);
    tree.switched("on");
    let text = fs::read_to_string(tree.script()).unwrap();
    fs::write(tree.script(), text.replace("\nstock_mksysmap()\n", "\nmksysmap()\n")).unwrap();
    let stderr = tree.refused("on", Some(Path::new(env!("CARGO_BIN_EXE_kbt"))));
    assert!(stderr.contains("is switched on and has no stock_mksysmap()"), "{stderr}");
}

#[test]
fn kbt_may_lie_anywhere_and_must_be_there() {
    let tree = Tree::new(KINDS[1]);
    let before = tree.files();
    let stderr = tree.refused("on", Some(Path::new("/nowhere/kbt")));
    assert!(stderr.contains("/nowhere/kbt"), "{stderr}");
    assert!(tree.files() == before);
    let odd = tree.room.path("it's a \"place\" for $KBT}");
    fs::create_dir(&odd).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_kbt"), odd.join("kbt")).unwrap();
    let output = tree.switch("on", Some(&odd.join("kbt")));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(tree.built(), ["vmlinux"]);
    tree.table();
}

#[test]
fn a_table_that_does_not_fit_ends_the_build() {
    let tree = Tree::new(KINDS[0]);
    tree.switched("on");
    // A linker script that makes names behind the pad's back: it is given another one.
    let script = fs::read_to_string(tree.room.path("vmlinux.lds")).unwrap();
    let functions = tree.room.path("tree/scripts/link-vmlinux.kbt.sh");
    let text = fs::read_to_string(&functions).unwrap();
    fs::write(&functions, text.replace("--lds \"${objtree}/${KBUILD_LDS}\"", "--lds other.lds")).unwrap();
    fs::write(tree.room.path("other.lds"), &script).unwrap();
    let more: String = (0..200).map(|number| format!("made_by_the_link_{number} = .;\n")).collect();
    fs::write(tree.room.path("vmlinux.lds"), script.replace("_end = .;\n", &format!("{more}_end = .;\n")))
        .unwrap();
    let output = tree.make(&["vmlinux"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && stderr.contains("not enough padding in vmlinux"), "{stderr}");
}

#[test]
fn a_table_that_verify_refuses_ends_the_build() {
    let tree = Tree::new(KINDS[1]);
    let kbt = tree.room.path("kbt");
    let script =
        format!("#!/bin/sh\n[ $2 != verify ] || exit 1\nexec {} \"$@\"\n", env!("CARGO_BIN_EXE_kbt"));
    fs::write(&kbt, script).unwrap();
    fs::set_permissions(&kbt, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(tree.switch("on", Some(&kbt)).status.success());
    assert!(!tree.make(&["vmlinux"]).status.success());
}

#[test]
fn clean_takes_away_what_a_killed_link_left() {
    for kind in KINDS {
        let tree = Tree::new(kind);
        tree.switched("on");
        tree.built();
        let undo = tree.room.path(&format!("{}.kbt-undo", tree.image));
        fs::write(&undo, "left").unwrap();
        assert!(tree.make(&["clean"]).status.success());
        let names = fs::read_dir(tree.room.path("")).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        names.retain(|name| name.contains("kbt") || name == tree.image || name.starts_with(".tmp"));
        assert_eq!(names, [""; 0]);
    }
}
