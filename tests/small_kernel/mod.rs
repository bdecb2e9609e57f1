//! Small kernels, made by as and ld: symbols of all kinds, the references of one generation's kallsyms.c, a linker script
//! that assigns, merges and discards.

#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, reason = "the helpers of a test panic as its body does")]

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

/// A machine that kernels are made for.
#[derive(Debug, Clone, Copy)]
pub struct Machine {
    pub name: &'static str,
    /// In front of the names of as, ld and nm; empty for those of the host.
    pub prefix: &'static str,
    pub as_options: &'static [&'static str],
    pub ld_options: &'static [&'static str],
    /// The directive for a word.
    pub word: &'static str,
    pub text_address: &'static str,
}

pub const X86_64: Machine = Machine {
    name: "x86_64",
    prefix: "",
    as_options: &["--64"],
    ld_options: &["-m", "elf_x86_64", "--emit-relocs"],
    word: ".quad",
    text_address: "0xffffffff81000000",
};

/// As no kernel is linked today.
pub const X86_64_PIE: Machine =
    Machine { ld_options: &["-m", "elf_x86_64", "-pie", "-z", "notext"], ..X86_64 };

pub const I386: Machine = Machine {
    name: "i386",
    as_options: &["--32"],
    ld_options: &["-m", "elf_i386"],
    word: ".long",
    text_address: "0xc1000000",
    ..X86_64
};

/// Those whose binutils are peers.
pub const CROSS: [Machine; 4] = [
    Machine {
        name: "arm64",
        prefix: "aarch64-linux-gnu-",
        as_options: &[],
        ld_options: &["-pie", "-z", "notext", "--no-apply-dynamic-relocs"],
        text_address: "0xffff800080000000",
        ..X86_64
    },
    Machine { name: "arm", prefix: "arm-linux-gnueabi-", as_options: &[], ld_options: &[], ..I386 },
    Machine {
        name: "riscv64",
        prefix: "riscv64-linux-gnu-",
        as_options: &[],
        ld_options: &[],
        text_address: "0xffffffff80000000",
        ..X86_64
    },
    Machine {
        name: "s390x",
        prefix: "s390x-linux-gnu-",
        as_options: &["-m64"],
        ld_options: &[],
        text_address: "0x100000",
        ..X86_64
    },
];

/// Which arrays a generation asks for, and how.
#[derive(Debug, Clone, Copy)]
pub struct Generation {
    pub kernel: &'static str,
    weak: bool,
    addresses: &'static [&'static str],
    seqs: bool,
}

pub const GENERATIONS: [Generation; 5] = [
    Generation {
        kernel: "5.10",
        weak: true,
        addresses: &["kallsyms_offsets", "kallsyms_relative_base"],
        seqs: false,
    },
    // CONFIG_KALLSYMS_BASE_RELATIVE off.
    Generation { kernel: "5.10", weak: true, addresses: &["kallsyms_addresses"], seqs: false },
    Generation {
        kernel: "6.1",
        weak: true,
        addresses: &["kallsyms_offsets", "kallsyms_relative_base"],
        seqs: true,
    },
    Generation {
        kernel: "6.12",
        weak: false,
        addresses: &["kallsyms_offsets", "kallsyms_relative_base"],
        seqs: true,
    },
    Generation { kernel: "7.0", weak: false, addresses: &["kallsyms_offsets"], seqs: true },
];

impl Generation {
    fn arrays(&self) -> Vec<&'static str> {
        let mut arrays = vec![
            "kallsyms_num_syms",
            "kallsyms_names",
            "kallsyms_markers",
            "kallsyms_token_table",
            "kallsyms_token_index",
        ];
        arrays.extend(self.addresses);
        arrays.extend(self.seqs.then_some("kallsyms_seqs_of_names"));
        arrays
    }
}

/// A directory with a kernel in it.
pub struct Room {
    directory: tempfile::TempDir,
    pub machine: Machine,
}

/// What a position-independent kernel keeps.
const DYNAMIC: &str =
    ".dynamic : { *(.dynamic) *(.dynsym) *(.dynstr) *(.hash) *(.gnu.hash) *(.interp) *(.got) *(.got.plt) }\n";
/// Symbols of each kind in the made kernel.
const EACH: usize = 150;

impl Room {
    pub fn new(machine: Machine) -> Self {
        Self { directory: tempfile::tempdir().unwrap(), machine }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// Runs as, ld or nm of the machine.
    pub fn tool(&self, name: &str, words: &[&str]) -> String {
        let prefix = self.machine.prefix;
        let tool = match prefix {
            "" => PathBuf::from(name),
            _ => kbt_testkit::peers::tool(&format!("{prefix}{name}")).unwrap(),
        };
        let output = Command::new(&tool).args(words).current_dir(self.directory.path()).output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn kbt(&self, words: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kbt"));
        command.current_dir(self.directory.path()).args(words.split_whitespace()).output().unwrap()
    }

    #[track_caller]
    pub fn ok(&self, words: &str) -> String {
        let output = self.kbt(words);
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{words}");
        assert!(output.status.success(), "{words}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a command that is refused says.
    #[track_caller]
    pub fn refused(&self, words: &str) -> String {
        let output = self.kbt(words);
        assert_eq!(output.status.code(), Some(1), "{words}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// Assembles `vmlinux.o` and writes `vmlinux.lds`.
    pub fn objects(&self, generation: &Generation) {
        self.assemble("vmlinux", &self.source(generation));
        fs::write(self.path("vmlinux.lds"), self.script()).unwrap();
    }

    pub fn assemble(&self, name: &str, source: &str) {
        fs::write(self.path(&format!("{name}.s")), source).unwrap();
        let (object, source) = (format!("{name}.o"), format!("{name}.s"));
        let words = [self.machine.as_options, &["-o", &object, &source]].concat();
        self.tool("as", &words);
    }

    /// Links these objects into `vmlinux`.
    pub fn link(&self, objects: &[&str]) {
        let words = [self.machine.ld_options, &["-T", "vmlinux.lds", "-o", "vmlinux"], objects].concat();
        self.tool("ld", &words);
    }

    /// A linked kernel that waits for its table, and `kallsyms.pad`.
    pub fn padded(machine: Machine, generation: &Generation) -> Self {
        let room = Self::new(machine);
        room.objects(generation);
        room.pad("");
        room.link(&["vmlinux.o", "kallsyms.o"]);
        room
    }

    pub fn pad(&self, options: &str) {
        let words =
            "kallsyms pad vmlinux.o --lds vmlinux.lds --all-symbols --pad-file kallsyms.pad -o kallsyms.o";
        assert_eq!(self.ok(&format!("{words} {options}")), "");
    }

    fn source(&self, generation: &Generation) -> String {
        let word = self.machine.word;
        let mut text = String::new();
        let mut symbols = |section: &str, flags: &str, name: &str, binding: &str| {
            let kind = if flags.contains("nobits") { "\t.space 8" } else { "\t.long 1\n\t.long 2" };
            let _ = writeln!(text, "\t.section {section}, {flags}");
            for number in 0..EACH {
                let name = format!("{name}_{number}_{}", ["probe", "init_module", "show", "x"][number % 4]);
                if !binding.is_empty() {
                    let _ = writeln!(text, "\t{binding} {name}");
                }
                let _ = writeln!(text, "{name}:\n{kind}");
            }
        };
        symbols(".text", "\"ax\"", "sys_open", ".globl");
        symbols(".text", "\"ax\"", "__do_local", "");
        symbols(".text", "\"ax\"", "weak_call", ".weak");
        symbols(".init.text", "\"ax\"", "setup", ".globl");
        symbols(".rodata", "\"a\"", "constant_table", ".globl");
        symbols(".data.ro", "\"aw\"", "late_constant", "");
        symbols(".data", "\"aw\"", "variable", "");
        symbols(".bss", "\"aw\", %nobits", "zeroed", ".globl");
        symbols(".discard.notes", "\"a\"", "thrown_away", "");
        let _ = writeln!(text, "\t.section .data, \"aw\"\n\t.balign 8\nreferences:");
        for name in generation.arrays() {
            let binding = if generation.weak { ".weak" } else { ".globl" };
            let _ = writeln!(text, "\t{binding} {name}\n\t{word} {name}");
        }
        let _ = writeln!(text, "\t{word} _text\n\t{word} __start_sorted\n\t{word} __stop_sorted");
        let _ = writeln!(text, "\t.section sorted, \"a\"\n\t.long 3, 1, 2, 0");
        text
    }

    /// Read-only and written data share a section, so that the letters of the objects turn at the link.
    fn script(&self) -> String {
        // A kernel of x86 says nothing of such sections.
        let is_plain = matches!(self.machine.name, "x86_64" | "i386");
        let is_plain = is_plain && !self.machine.ld_options.contains(&"-pie");
        let dynamic = if is_plain { "" } else { DYNAMIC };
        format!(
            "jiffies = variable_alias;\n\
             SECTIONS {{\n\
             . = {};\n\
             .text : {{ _text = .; _stext = .; *(.text) _etext = .; }}\n\
             .init.text : {{ _sinittext = .; *(.init.text) _einittext = .; }}\n\
             .rodata : {{ *(.rodata) *(.data.ro) . = ALIGN(16); }}\n\
             sorted : {{ __start_sorted = .; *(sorted) __stop_sorted = .; }}\n\
             .rela.dyn : {{ *(.rela*) }}\n\
             {dynamic}\
             .data : {{ variable_alias = .; *(.data) PROVIDE(unused_alias = .); }}\n\
             .bss : {{ *(.bss) }}\n\
             _end = .;\n\
             /DISCARD/ : {{ *(.discard.*) *(.note.*) *(.comment) *(.ARM.attributes) *(.riscv.attributes) }}\n\
             }}\n",
            self.machine.text_address
        )
    }

    /// The lines of `nm -n`, and of what System.map keeps of them.
    pub fn nm(&self) -> Vec<String> {
        let lines = self.tool("nm", &["-n", "vmlinux"]);
        let kept = |line: &&str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            words.len() == 3 && !["a", "N", "U", "w"].contains(&words[1]) && !words[2].starts_with('$')
        };
        lines.lines().filter(kept).map(str::to_owned).collect()
    }
}

/// Whether the tools for a machine are there.
pub fn has_tools(machine: &Machine) -> Result<(), kbt_testkit::peers::Missing> {
    if machine.prefix.is_empty() {
        return Ok(());
    }
    kbt_testkit::peers::tool(&format!("{}ld", machine.prefix)).map(|_: PathBuf| ())
}
