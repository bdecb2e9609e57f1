//! Small kernels: a few hundred symbols in the sections of a real one, linked for any machine by its own binutils, with
//! the table of scripts/kallsyms or of kbt.

// Each test binary uses its part.
#![allow(dead_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use kbt_testkit::peers::{self, Missing};

/// A machine, and what links for it.
pub struct Machine {
    pub name: &'static str,
    /// In front of `as`, `ld` and `nm`; empty for those of this system.
    prefix: &'static str,
    as_options: &'static [&'static str],
    ld_options: &'static [&'static str],
    pub is_64: bool,
    /// Where kernels are.
    pub base: u64,
}

pub const MACHINES: &[Machine] = &[
    Machine {
        name: "x86_64",
        prefix: "",
        as_options: &["--64"],
        ld_options: &["-m", "elf_x86_64"],
        is_64: true,
        base: 0xffff_ffff_8100_0000,
    },
    Machine {
        name: "i386",
        prefix: "",
        as_options: &["--32"],
        ld_options: &["-m", "elf_i386"],
        is_64: false,
        base: 0xc100_0000,
    },
    Machine {
        name: "arm64",
        prefix: "aarch64-linux-gnu-",
        as_options: &[],
        ld_options: &[],
        is_64: true,
        base: 0xffff_8000_0800_0000,
    },
    Machine {
        name: "arm",
        prefix: "arm-linux-gnueabi-",
        as_options: &[],
        ld_options: &[],
        is_64: false,
        base: 0xc000_8000,
    },
    Machine {
        name: "riscv64",
        prefix: "riscv64-linux-gnu-",
        as_options: &[],
        ld_options: &[],
        is_64: true,
        base: 0xffff_ffff_8000_0000,
    },
    Machine {
        name: "s390x",
        prefix: "s390x-linux-gnu-",
        as_options: &[],
        ld_options: &[],
        is_64: true,
        base: 0x10_0000,
    },
];

impl Machine {
    pub fn named(name: &str) -> &'static Self {
        MACHINES.iter().find(|machine| machine.name == name).unwrap()
    }

    /// One of its tools.
    pub fn tool(&self, name: &str) -> Result<PathBuf, Missing> {
        if self.prefix.is_empty() { Ok(name.into()) } else { peers::tool(&format!("{}{name}", self.prefix)) }
    }
}

/// Runs a program; gives its standard output.
#[track_caller]
pub fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

pub fn kbt() -> Command {
    Command::new(env!("CARGO_BIN_EXE_kbt"))
}

/// Runs `kbt kallsyms`.
pub fn kallsyms(words: &[&str], directory: &Path) -> Output {
    kbt().arg("kallsyms").args(words).current_dir(directory).output().unwrap()
}

/// The source of a kernel: functions, data, and names of every kind that a filter knows. `percpu` gives it variables at 0.
pub fn source(percpu: bool, functions: usize) -> String {
    const VERBS: [&str; 7] = ["init", "exit", "get", "put", "show", "store", "register"];
    const NOUNS: [&str; 9] =
        ["device", "page", "inode", "driver", "irq", "node", "net_device", "acpi", "x86"];
    let mut text = String::new();
    let mut define = |section: &str, name: &str, word: &str, size: usize| {
        text += &format!(".section {section}\n{word}\n\"{name}\":\n.space {size}\n");
    };
    for number in 0..functions {
        let name = format!("{}_{}_{number}", NOUNS[number % 9], VERBS[number % 7]);
        let word = if number % 3 == 0 { format!(".globl \"{name}\"") } else { String::new() };
        define(".text,\"ax\"", &name, &word, 4 * (number % 5));
        match number % 11 {
            0 => define(".init.text,\"ax\"", &format!("__init_{name}"), "", 8),
            1 => define(".rodata,\"a\"", &format!("{name}.isra.0"), "", 8),
            2 => define(".data,\"aw\"", &format!("__{name}"), ".globl \"__DATA\"", 8),
            3 => define(".bss,\"aw\",%nobits", &format!("{name}_buffer"), "", 16),
            4 => define(".data,\"aw\"", &format!("weak_{name}"), &format!(".weak \"weak_{name}\""), 8),
            5 if percpu => define(".data..percpu,\"aw\"", &format!("cpu_{name}"), "", 8),
            _ => {}
        }
    }
    let odd = [
        "__start_odd",
        "__stop_odd",
        "__odd_start",
        "__odd_end",
        "___odd",
        "_odd",
        "odd",
        "$odd",
        "odd_veneer",
        "odd_from_arm",
        "__crc_odd",
        "__kstrtab_odd",
        "__efistub_odd",
        "__pi_$odd",
        "__pi_.Lodd",
        "__kvm_nvhe_odd",
        "__kvm_nvhe_$odd",
        "__AArch64ADRPThunk_odd",
        "__kcfi_typeid_odd",
        "__mod_device_table__odd",
        "L0",
        "__UNIQUE_ID_modinfo_12",
        "_SDA_BASE_",
        "odd.long_branch.1",
        "odd.llvm.123",
        "\u{e4}\u{f6}_odd",
    ];
    for name in odd {
        define(".data,\"aw\"", name, "", 0);
    }
    text + "__DATA:\n.space 8\n"
}

/// The linker script.
fn script(base: u64, percpu: bool) -> String {
    let percpu = if percpu {
        ".data..percpu 0 : { __per_cpu_start = .; *(.data..percpu) __per_cpu_end = .; }"
    } else {
        ""
    };
    format!(
        "SECTIONS {{ . = {base:#x}; \
         .text : {{ _text = .; _stext = .; *(.text) _etext = .; }} \
         .init.text : {{ _sinittext = .; *(.init.text) _einittext = .; }} \
         .rodata : ALIGN(64) {{ __start_rodata = .; *(.rodata) __end_rodata = .; }} \
         .data : ALIGN(64) {{ *(.data) }} .bss : {{ *(.bss) }} _end = .; {percpu} \
         /DISCARD/ : {{ *(.note.*) *(.comment) *(*.attributes) }} }}"
    )
}

/// A directory in which a kernel is built.
pub struct Tree {
    room: tempfile::TempDir,
    pub machine: &'static Machine,
}

impl Tree {
    /// Assembles the kernel's own object.
    pub fn new(machine: &'static Machine, percpu: bool, functions: usize) -> Result<Self, Missing> {
        let tree = Self { room: tempfile::tempdir().unwrap(), machine };
        fs::write(tree.path("program.S"), source(percpu, functions)).unwrap();
        fs::write(tree.path("kernel.lds"), script(machine.base, percpu)).unwrap();
        tree.assemble("program.S", "program.o")?;
        Ok(tree)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.room.path().join(name)
    }

    pub fn directory(&self) -> &Path {
        self.room.path()
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    fn command(&self, tool: &str) -> Result<Command, Missing> {
        let mut command = Command::new(self.machine.tool(tool)?);
        command.current_dir(self.room.path());
        Ok(command)
    }

    pub fn assemble(&self, source: &str, object: &str) -> Result<(), Missing> {
        run(self.command("as")?.args(self.machine.as_options).args([source, "-o", object]));
        Ok(())
    }

    /// Links the kernel's object and others.
    pub fn link(&self, objects: &[&str], output: &str) -> Result<(), Missing> {
        let options = ["-T", "kernel.lds", "-e", "0", "program.o"];
        let mut command = self.command("ld")?;
        run(command.args(self.machine.ld_options).args(options).args(objects).args(["-o", output]));
        Ok(())
    }

    /// nm's lines of a file.
    pub fn nm(&self, file: &str) -> Result<Vec<u8>, Missing> {
        Ok(run(self.command("nm")?.env("LC_ALL", "C").args(["-n", file])))
    }

    /// Runs `kbt kallsyms`, which must succeed.
    #[track_caller]
    pub fn kallsyms(&self, words: &[&str]) -> Vec<u8> {
        let output = kallsyms(words, self.directory());
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// Text of scripts/kallsyms, assembled without the C preprocessor.
    pub fn assemble_table(&self, text: &[u8], object: &str) -> Result<(), Missing> {
        let (pointer, align) = if self.machine.is_64 { (".quad", 8) } else { (".long", 4) };
        let mut plain = Vec::new();
        // As bytes: a token may be half a character.
        for line in text.split(|&byte| byte == b'\n').filter(|line| !line.starts_with(b"#")) {
            match (line.strip_prefix(b"\tPTR\t"), line) {
                (Some(value), _) => plain.extend([b"\t", pointer.as_bytes(), b"\t", value].concat()),
                (None, b"\tALGN") => plain.extend(format!("\t.balign {align}").into_bytes()),
                (None, line) => plain.extend(line),
            }
            plain.push(b'\n');
        }
        let source = format!("{object}.S");
        fs::write(self.path(&source), plain).unwrap();
        self.assemble(&source, object)
    }
}
