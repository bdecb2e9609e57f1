//! `kbt kallsyms` against scripts/kallsyms and mksysmap of four kernels, and against nm and ld of six machines.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod kernel;

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use kbt_elf::Image;
use kbt_kallsyms::{Located, Origin, SymbolEntry, Table, Tables, learn};
use kbt_testkit::peers::{self, Missing};
use kbt_testkit::random::Random;
use kbt_testkit::require;
use kernel::{MACHINES, Machine, Tree, run};

/// A generator that Debian carries: what the peer is called, and what kbt calls it.
struct Generator {
    peer: &'static str,
    kernel: &'static str,
}

const GENERATORS: [Generator; 4] = [
    Generator { peer: "5.10", kernel: "5.10" },
    Generator { peer: "6.1", kernel: "6.1" },
    Generator { peer: "6.12", kernel: "6.12" },
    Generator { peer: "7", kernel: "7.0" },
];

/// What a table is made with.
#[derive(Debug, Clone, Copy)]
struct Options {
    all_symbols: bool,
    percpu: bool,
    /// As an option of kbt; `base-relative` and what follows it is the kernel's own choice.
    addresses: &'static str,
    lto_clang: bool,
}

impl Options {
    const PLAIN: Self =
        Self { all_symbols: true, percpu: false, addresses: "base-relative", lto_clang: false };

    /// Those of the generator itself; `None` where it has no such.
    fn of_stock(&self, generator: &Generator) -> Option<Vec<&'static str>> {
        let is_old = matches!(generator.kernel, "5.10" | "6.1");
        let mut words = Vec::new();
        words.extend(self.all_symbols.then_some("--all-symbols"));
        words.extend(self.percpu.then_some("--absolute-percpu"));
        words.extend(self.lto_clang.then_some("--lto-clang"));
        match self.addresses {
            "base-relative" if is_old => words.push("--base-relative"),
            "base-relative" if generator.kernel == "6.12" => {}
            "absolute" if is_old => {}
            "place-relative" if generator.kernel == "7.0" => words.push("--pc-relative"),
            "absolute32" if generator.kernel == "7.0" => {}
            _ => return None,
        }
        let fits = !(self.percpu && generator.kernel == "7.0" || self.lto_clang && generator.kernel != "6.1");
        fits.then_some(words)
    }

    fn of_kbt(&self) -> Vec<&'static str> {
        let mut words = vec!["--addresses", self.addresses];
        words.extend(self.all_symbols.then_some("--all-symbols"));
        words.extend(self.percpu.then_some("--absolute-percpu"));
        words.extend(self.lto_clang.then_some("--lto-clang"));
        words
    }
}

/// Every combination that some generator has.
fn all_options() -> Vec<Options> {
    let mut all = Vec::new();
    for addresses in ["base-relative", "absolute", "place-relative", "absolute32"] {
        for bits in 0..8 {
            let [all_symbols, percpu, lto_clang] = [0, 1, 2].map(|bit| bits >> bit & 1 == 1);
            all.push(Options { all_symbols, percpu, addresses, lto_clang });
        }
    }
    all
}

/// What scripts/kallsyms prints for a map; `None` where it refuses it.
fn stock(generator: &Generator, words: &[&str], map: &Path) -> Result<Option<Vec<u8>>, Missing> {
    let mut command = Command::new(peers::tool(&format!("kallsyms-{}", generator.peer))?);
    command.args(words);
    if generator.kernel == "5.10" {
        command.stdin(fs::File::open(map).unwrap());
    } else {
        command.arg(map);
    }
    let output = command.output().unwrap();
    Ok(output.status.success().then_some(output.stdout))
}

/// What mksysmap leaves of nm's lines.
fn mksysmap(generator: &Generator, lines: &[u8]) -> Result<Vec<u8>, Missing> {
    let script = peers::tool(&format!("mksysmap-{}", generator.peer))?;
    if !matches!(generator.kernel, "5.10" | "6.1") {
        return Ok(filter(Command::new("sed").arg("-f").arg(script), lines));
    }
    // It runs `nm -n FILE` itself: this one gives the lines instead.
    let room = tempfile::tempdir().unwrap();
    let [nm, input, output] = ["nm", "lines", "map"].map(|name| room.path().join(name));
    fs::write(&nm, "cat \"$2\"\n").unwrap();
    fs::write(&input, lines).unwrap();
    run(Command::new("sh").arg(script).arg(&input).arg(&output).env("NM", format!("sh {}", nm.display())));
    Ok(fs::read(output).unwrap())
}

fn filter(command: &mut Command, input: &[u8]) -> Vec<u8> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "{command:?}");
    output.stdout
}

/// Compares the text for one map with every generator and all options that it has.
fn compare_texts(map: &[u8], directory: &Path) -> Result<usize, Missing> {
    let file = directory.join("in.map");
    fs::write(&file, map).unwrap();
    let mut compared = 0;
    for generator in &GENERATORS {
        for options in all_options() {
            let Some(words) = options.of_stock(generator) else { continue };
            let expected = stock(generator, &words, &file)?;
            let own = ["generate", "--kernel", generator.kernel, "--from-nm", "in.map"];
            let own = kernel::kallsyms(&[&own[..], &options.of_kbt()].concat(), directory);
            let Some(expected) = expected else {
                assert_eq!(own.status.code(), Some(1), "{} {options:?}", generator.kernel);
                continue;
            };
            assert!(own.stdout == expected, "{} {options:?}", generator.kernel);
            let mut named = kernel::kbt();
            std::os::unix::process::CommandExt::arg0(&mut named, "scripts/kallsyms").args(&words);
            let [version, patchlevel] =
                [generator.kernel.split('.').next(), generator.kernel.split('.').nth(1)];
            named.env("VERSION", version.unwrap()).env("PATCHLEVEL", patchlevel.unwrap());
            if generator.kernel == "5.10" {
                named.stdin(fs::File::open(&file).unwrap());
            } else {
                named.arg(&file);
            }
            assert!(run(&mut named) == expected, "as kallsyms: {} {words:?}", generator.kernel);
            compared += 1;
        }
    }
    Ok(compared)
}

/// Lines of a map with names over few words, in nm's order.
fn random_map(random: &mut Random) -> Vec<u8> {
    const WORDS: [&str; 12] =
        ["_", "__", "start", "end", "_end", "a", "ab", "abab", ".llvm.7", "veneer", "stop_", "\u{e4}"];
    let mut address = 0;
    let mut lines = Vec::new();
    for number in 0..40 + random.below(400) {
        // Small steps: most addresses have several symbols.
        address += random.below(3) as u64 * 8;
        let kind = char::from(b"TtWwDdRrBbAaVvNnu"[random.below(17)]);
        let words = (0..1 + random.below(5)).map(|_| WORDS[random.below(WORDS.len())]);
        let name: String = words.collect::<String>() + &number.to_string();
        lines.push(format!("{address:016x} {kind} {name}"));
        let borders: &[&str] = match number {
            2 => &["__per_cpu_start"],
            9 => &["__per_cpu_end"],
            10 => &["_text", "_stext"],
            20 => &["_etext"],
            22 => &["_sinittext"],
            30 => &["_einittext"],
            _ => &[],
        };
        if borders.contains(&"_text") {
            address = 0xffff_ffff_8100_0000;
        }
        lines.extend(borders.iter().map(|border| format!("{address:016x} T {border}")));
        if borders == ["__per_cpu_end"] {
            address = 0xffff_ffff_8000_0000;
        }
    }
    (lines.join("\n") + "\n").into_bytes()
}

#[test]
fn random_maps_give_the_same_text() {
    let room = tempfile::tempdir().unwrap();
    let mut random = Random::new(61);
    let mut compared = 0;
    for _ in 0..6 {
        compared += require!(compare_texts(&random_map(&mut random), room.path()));
    }
    println!("{compared} texts compared");
}

/// Names around everything that a filter looks for.
fn odd_names() -> Vec<String> {
    const PARTS: [&str; 31] = [
        "$",
        "$a",
        "$d",
        "$x",
        ".L",
        ".LASANPC",
        "__efistub_",
        "__pi_$",
        "__pi_.L",
        "__kvm_nvhe_",
        "__kvm_nvhe_$",
        "__kvm_nvhe_.L",
        "__AArch64ADRPThunk_",
        "__ARMV7PILongThunk_",
        "__ThumbV7PILongThunk_",
        "__LA25Thunk_",
        "__microLA25Thunk_",
        "__fooThunk_",
        "__foo_Thunk_",
        "__kcfi_typeid_",
        "__kvm_nvhe___kcfi_typeid_",
        "__pi___kcfi_typeid_",
        "__crc_",
        "__kstrtab_",
        "__kstrtabns_",
        "__mod_device_table__",
        "_from_arm",
        "_from_thumb",
        "_veneer",
        ".long_branch.",
        ".plt_branch.",
    ];
    const WHOLE: [&str; 20] = [
        "L0",
        "L01",
        "xL0",
        "_SDA_BASE_",
        "_SDA2_BASE_",
        "__UNIQUE_ID_modinfo_",
        "__UNIQUE_ID_modinfo_12",
        "__UNIQUE_ID_modinfo_1x",
        "__UNIQUE_ID_x",
        "__pi_\\",
        "kallsyms_names",
        "kallsyms_seqs_of_names",
        "__gp",
        "__kernel_sigtramp",
        "__Thunk_",
        "_Thunk_",
        "__start_x",
        "__stop_x",
        "kallsyms_offsets",
        "_end",
    ];
    let around = PARTS.iter().flat_map(|part| {
        ["PART", "xPART", "PARTx", "xPARTx", "_PART"].map(|form| form.replace("PART", part))
    });
    around.chain(WHOLE.map(str::to_owned)).collect()
}

#[test]
fn filters_drop_the_same_names() {
    let room = tempfile::tempdir().unwrap();
    let mut lines = "0000000000001000 T _text\n0000000000001000 T _stext\n".to_owned();
    for kind in "tTAaNnUuWwVv?".chars() {
        for name in odd_names() {
            lines += &format!("0000000000001000 {kind} {name}\n");
        }
    }
    for len in [127, 128, 129, 510, 511] {
        lines += &format!("0000000000001000 t {}\n", "n".repeat(len));
    }
    lines += "0000000000009000 T _etext\n";
    require!(compare_texts(lines.as_bytes(), room.path()));
    // The same through mksysmap, whose part kbt does where it reads an ELF file.
    for generator in &GENERATORS {
        let map = require!(mksysmap(generator, lines.as_bytes()));
        let kernel =
            kbt_kallsyms::Kernel::ALL.into_iter().find(|kernel| kernel.name() == generator.kernel).unwrap();
        let kept = lines.lines().filter(|line| {
            let symbol = kbt_kallsyms::parse_line(line.as_bytes()).unwrap();
            !kernel.drops_from_map(symbol.kind, symbol.name)
        });
        let kept: Vec<&str> = kept.collect();
        assert_eq!(String::from_utf8(map).unwrap().lines().collect::<Vec<_>>(), kept, "{}", generator.kernel);
    }
}

/// A section of an ELF file.
fn section(file: &[u8], name: &str) -> Vec<u8> {
    let image = Image::parse(file).unwrap();
    let sections = image.sections().unwrap();
    let (_, section) = sections.named(name.as_bytes()).unwrap();
    image.data(&section).unwrap().to_vec()
}

/// Links a kernel with the tables of both; gives how many symbols it has.
fn build(tree: &Tree, generator: &Generator, options: Options) -> Result<usize, Missing> {
    let words = options.of_stock(generator).unwrap();
    let own =
        [&["generate", "--kernel", generator.kernel, "vmlinux", "-o"][..], &["own.o"], &options.of_kbt()]
            .concat();
    tree.link(&[], "vmlinux")?;
    // Each table moves and adds symbols until the one before was right.
    for pass in 0..4 {
        let lines = tree.nm("vmlinux")?;
        let map = if generator.kernel == "5.10" { lines } else { mksysmap(generator, &lines)? };
        fs::write(tree.path("in.map"), &map).unwrap();
        let text = stock(generator, &words, &tree.path("in.map"))?.unwrap();
        let of_elf = [&["generate", "--kernel", generator.kernel, "vmlinux"][..], &options.of_kbt()].concat();
        assert!(tree.kallsyms(&of_elf) == text, "{} {} {options:?}", tree.machine.name, generator.kernel);
        tree.kallsyms(&own);
        tree.assemble_table(&text, "stock.o")?;
        tree.link(&["stock.o"], "stock")?;
        let before = tree.read("vmlinux");
        tree.link(&["own.o"], "vmlinux")?;
        for name in [".rodata", ".data", ".text"] {
            let [stock, own] = ["stock", "vmlinux"].map(|file| section(&tree.read(file), name));
            // s390's assembler fills sections up.
            let (front, rest) = stock.split_at(own.len().min(stock.len()));
            let same = front == own && rest.len() < 8 && rest.iter().all(|&byte| byte == 0);
            assert!(same, "{} {} {options:?}: {name} differs", tree.machine.name, generator.kernel);
        }
        if pass > 1 && before == tree.read("vmlinux") {
            return Ok(map.split(|&byte| byte == b'\n').count());
        }
    }
    panic!("the links do not come to an end");
}

/// What is read of a linked kernel, with its symbols, by search, and as a raw image.
fn read_back(tree: &Tree, options: Options) {
    tree.kallsyms(&["verify", "vmlinux"]);
    rewrite_is_identity(&tree.read("vmlinux"));
    let dump = tree.kallsyms(&["dump", "vmlinux"]);
    assert!(
        tree.kallsyms(&["dump", "--search", "vmlinux"]) == dump,
        "{}: the search finds another table: {options:?}",
        tree.machine.name
    );
    let raw = raw_image(&tree.read("vmlinux"), tree.machine.base);
    fs::write(tree.path("Image"), &raw).unwrap();
    let base = format!("{:#x}", tree.machine.base);
    assert!(tree.kallsyms(&["dump", "Image", "--base", &base]) == dump, "the raw image has another table");
    run(Command::new("gzip").arg("-kf").arg(tree.path("Image")));
    assert!(tree.kallsyms(&["dump", "Image.gz", "--base", &base]) == dump);
    if !options.percpu {
        // Each line is one of nm's; the filters are compared elsewhere.
        let nm = String::from_utf8_lossy(&tree.nm("vmlinux").unwrap()).into_owned();
        let nm: std::collections::HashSet<&str> = nm.lines().collect();
        let missing =
            String::from_utf8_lossy(&dump).lines().find(|line| !nm.contains(line)).map(str::to_owned);
        assert_eq!(missing, None);
    }
}

/// The sections from `base` on, as `objcopy -O binary` lays them out.
fn raw_image(file: &[u8], base: u64) -> Vec<u8> {
    let image = Image::parse(file).unwrap();
    let mut raw = Vec::new();
    for section in
        image.sections().unwrap().iter().filter(|section| section.address >= base && section.flags & 2 != 0)
    {
        let bytes = image.data(&section).unwrap();
        let start = usize::try_from(section.address - base).unwrap();
        if !bytes.is_empty() {
            raw.resize(start.max(raw.len()), 0);
            raw.splice(start.., bytes.iter().copied());
        }
    }
    raw
}

fn machine(name: &str) -> Result<(), Missing> {
    let machine = Machine::named(name);
    for generator in &GENERATORS {
        let ways: &[&str] = match (generator.kernel, machine.is_64) {
            ("7.0", true) => &["place-relative"],
            ("7.0", false) => &["place-relative", "absolute32"],
            ("6.12", _) => &["base-relative"],
            _ => &["base-relative", "absolute"],
        };
        for &addresses in ways {
            let options = Options { addresses, ..Options::PLAIN };
            let tree = Tree::new(machine, false, 900)?;
            let count = build(&tree, generator, options)?;
            assert!(count > 900, "{count} symbols");
            read_back(&tree, options);
        }
    }
    // Per-cpu variables at 0, and text only: few symbols, so that there is one marker.
    for options in
        [Options { percpu: true, ..Options::PLAIN }, Options { all_symbols: false, ..Options::PLAIN }]
    {
        for generator in GENERATORS.iter().filter(|generator| options.of_stock(generator).is_some()) {
            let tree = Tree::new(machine, options.percpu, 100)?;
            build(&tree, generator, options)?;
            read_back(&tree, options);
        }
    }
    Ok(())
}

#[test]
fn kernels_of_x86_64() {
    require!(machine("x86_64"));
}

#[test]
fn kernels_of_i386() {
    require!(machine("i386"));
}

#[test]
fn kernels_of_arm64() {
    require!(machine("arm64"));
}

#[test]
fn kernels_of_arm() {
    require!(machine("arm"));
}

#[test]
fn kernels_of_riscv64() {
    require!(machine("riscv64"));
}

#[test]
fn kernels_of_s390x() {
    require!(machine("s390x"));
}

#[test]
fn every_machine_has_a_test() {
    assert_eq!(MACHINES.len(), 6);
}

/// The real kernel: what its own table is, each generator's text, and the compressed image.
#[test]
#[ignore = "of the long comparison: cargo xtask differential --all"]
fn the_table_of_a_real_kernel() {
    let kernel = require!(peers::kernel("cloud-6.1"));
    let room = tempfile::tempdir().unwrap();
    let vmlinux = kernel.join("vmlinux");
    let vmlinux = vmlinux.to_str().unwrap();
    let lines = run(Command::new("nm").env("LC_ALL", "C").args(["-n", vmlinux]));
    for generator in &GENERATORS {
        let percpu = generator.kernel != "7.0";
        let addresses = if percpu { "base-relative" } else { "place-relative" };
        let options = Options { percpu, addresses, ..Options::PLAIN };
        let words = options.of_stock(generator).unwrap();
        let map =
            if generator.kernel == "5.10" { lines.clone() } else { require!(mksysmap(generator, &lines)) };
        let file = room.path().join("in.map");
        fs::write(&file, map).unwrap();
        let expected = require!(stock(generator, &words, &file)).unwrap();
        let own = ["generate", "--kernel", generator.kernel, vmlinux];
        let own = kernel::kallsyms(&[&own[..], &options.of_kbt()].concat(), room.path());
        assert!(own.stdout == expected, "{}", generator.kernel);
    }
    rewrite_is_identity(&fs::read(vmlinux).unwrap());
    let ok = |words: &[&str]| {
        let output = kernel::kallsyms(words, room.path());
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    ok(&["verify", vmlinux]);
    let dump = ok(&["dump", vmlinux]);
    assert!(ok(&["dump", "--search", vmlinux]) == dump);
    assert!(ok(&["dump", kernel.join("vmlinuz").to_str().unwrap()]) == dump);
}

/// Reads the table of a linked kernel, and makes it again of what was read: every array is the same.
fn rewrite_is_identity(file: &[u8]) {
    let located = Located::by_symbols(&Image::parse(file).unwrap()).unwrap();
    let table = Table::read(&located, file).unwrap();
    let (mut names, mut room) = (Vec::new(), Vec::new());
    for index in 0..table.len() {
        let entry = table.entry(index, &mut room).unwrap().unwrap();
        names.push((entry.kind, entry.name.to_vec()));
    }
    let entries = names.iter().zip(&table.addresses).map(|((kind, name), &(address, absolute))| {
        let mut entry = SymbolEntry::new(address, *kind, name);
        entry.absolute = absolute;
        entry
    });
    let entries: Vec<SymbolEntry<'_>> = entries.collect();
    let learned = learn(&entries, &[]).unwrap();
    let text = located.text.unwrap();
    let origin = Origin { text, base: table.base, cut_names: false };
    let again = Tables::encode(&entries, &learned.tokens, &learned.names, table.layout, origin).unwrap();
    for (slot, array) in located.slots.iter().zip(&again.arrays) {
        assert_eq!(slot.array, array.array, "the order of the arrays");
        let bytes = array.content.clone().link(text, slot.address, &table.layout).unwrap();
        let start = usize::try_from(slot.offset).unwrap();
        assert!(file[start..].starts_with(&bytes), "{} differs", slot.array);
    }
}
