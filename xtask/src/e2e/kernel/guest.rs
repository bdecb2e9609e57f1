//! The guest: one process that shows what the kernel knows of its symbols.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::build::{Build, Linked};
use crate::e2e::initramfs::Initramfs;
use crate::files::{cannot, create};
use crate::run::{self, Result};

/// A guest that has not ended by then never will.
const LIMIT: Duration = Duration::from_secs(300);

/// A line of /proc/kallsyms or System.map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symbol {
    pub address: u64,
    pub kind: char,
    pub name: String,
}

/// What the guest has shown.
pub struct Seen {
    /// The kernel's own symbols, those of modules not counted.
    pub symbols: Vec<Symbol>,
    /// How far the kernel was moved at boot.
    pub moved: u64,
    /// Lines of the console about the test.
    pub told: Vec<String>,
    selftest: bool,
}

impl Seen {
    /// In short.
    pub fn verdict(&self) -> String {
        let selftest = if self.selftest { ", self-test passed" } else { "" };
        format!("boots (moved by {:#x}), equals System.map, module loads{selftest}", self.moved)
    }
}

/// Boots a kernel and holds what it shows against its System.map.
pub fn boot(build: &Build, linked: &Linked) -> Result<Seen> {
    let selftest = build.has("CONFIG_KALLSYMS_SELFTEST=y");
    let archive = archive(build, selftest)?;
    let console = console(build, linked, &archive)?;
    let told = console.lines().filter(|line| line.contains("kbt") || line.contains("kallsyms_selftest"));
    let told: Vec<String> =
        told.filter(|line| !line.contains("\t[")).map(|line| line.trim().to_owned()).collect();
    let wants = |text: &str| match told.iter().any(|line| line.contains(text)) {
        true => Ok(()),
        false => Err(format!("the guest did not say '{text}'; it said:\n{}", told.join("\n"))),
    };
    wants("names and addresses agree")?;
    wants("kbt: module loaded")?;
    if selftest {
        wants("kallsyms_selftest: finish")?;
    }
    let shown = console.split_once("kbt: begin\n").and_then(|(_, rest)| rest.split_once("\nkbt: end"));
    let (shown, _) = shown.ok_or("the guest showed no /proc/kallsyms")?;
    let symbols: Vec<Symbol> =
        shown.lines().filter(|line| !line.contains("\t[")).filter_map(symbol).collect();
    let moved = compare(&symbols, &linked.place.join("System.map"))?;
    Ok(Seen { symbols, moved, told, selftest })
}

/// The initial file system: the process, and the module, made for this build.
fn archive(build: &Build, selftest: bool) -> Result<PathBuf> {
    let own = run::root().join("xtask/src/e2e/kernel/guest");
    let place = build.directory.join("guest");
    create(&place)?;
    let init = place.join("init");
    let mut compiler = Command::new(format!("{}gcc", build.machine.prefix));
    compiler.args(["-static", "-nostdlib", "-ffreestanding", "-fno-stack-protector", "-Os", "-o"]).arg(&init);
    compiler.args(selftest.then_some("-DSELFTEST")).arg(own.join("init.c"));
    run::output(&mut compiler)?;
    let module = place.join("kbt_lookup.ko");
    // With types, a module is loaded only by the kernel whose types it was made with.
    if build.variant.btf || !module.exists() {
        let write = |name: &str, text: &[u8]| {
            fs::write(place.join(name), text).map_err(|error| cannot("write", &place.join(name), &error))
        };
        write("kbt_lookup.c", include_bytes!("guest/kbt_lookup.c"))?;
        write("Kbuild", b"obj-m := kbt_lookup.o\n")?;
        // The exports of the kernel itself; no other module is built.
        let exports = build.directory.join("vmlinux.symvers");
        fs::copy(&exports, build.directory.join("Module.symvers"))
            .map_err(|error| cannot("copy", &exports, &error))?;
        run::output(build.make().arg("modules_prepare"))?;
        run::output(build.make().arg(format!("M={}", place.display())).arg("modules"))?;
    }
    let read = |path: &Path| fs::read(path).map_err(|error| cannot("read", path, &error));
    let mut archive = Initramfs::default();
    archive.directory("dev");
    archive.console("dev/console");
    archive.directory("proc");
    archive.program("init", &read(&init)?);
    archive.program("module.ko", &read(&module)?);
    let file = place.join("initrd");
    fs::write(&file, archive.finish()).map_err(|error| cannot("write", &file, &error))?;
    Ok(file)
}

/// Boots and gives all that the console showed, with plain line ends.
fn console(build: &Build, linked: &Linked, archive: &Path) -> Result<String> {
    let (image, _) = build.machine.image;
    let image = linked.place.join(Path::new(image).file_name().unwrap_or_default());
    let log = linked.place.join("console.log");
    let output = File::create(&log).map_err(|error| cannot("create", &log, &error))?;
    let mut qemu = Command::new(build.machine.qemu[0]);
    qemu.args(&build.machine.qemu[1..]).args(["-nographic", "-no-reboot", "-m", "256", "-smp", "2"]);
    qemu.arg("-kernel").arg(image).arg("-initrd").arg(archive);
    qemu.args(["-append", &format!("console={} panic=-1", build.machine.console)]);
    let child = qemu.stdin(Stdio::null()).stdout(output).stderr(Stdio::null()).spawn();
    let mut child = child.map_err(|error| format!("cannot start {}: {error}", build.machine.qemu[0]))?;
    let start = Instant::now();
    while child.try_wait().map_err(|error| format!("cannot wait for qemu: {error}"))?.is_none() {
        if start.elapsed() > LIMIT {
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("the guest did not end; its console is in {}", log.display()));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let bytes = fs::read(&log).map_err(|error| cannot("read", &log, &error))?;
    Ok(String::from_utf8_lossy(&bytes).replace('\r', ""))
}

fn symbol(line: &str) -> Option<Symbol> {
    let mut words = line.split_whitespace();
    let address = u64::from_str_radix(words.next()?, 16).ok()?;
    let kind = words.next()?.chars().next()?;
    Some(Symbol { address, kind, name: words.next()?.to_owned() })
}

/// Every symbol of System.map must be shown, where the guest was moved by one distance, and no other. The table omits
/// absolute symbols and, before 6.4, the symbols of its own arrays; per-cpu symbols of 6.1 to 6.14 on x86 are absolute
/// in it, and not moved.
fn compare(shown: &[Symbol], map: &Path) -> Result<u64> {
    let text = fs::read_to_string(map).map_err(|error| cannot("read", map, &error))?;
    let map: Vec<Symbol> = text.lines().filter_map(symbol).collect();
    let address = |symbols: &[Symbol], name: &str| {
        symbols.iter().find(|symbol| symbol.name == name).map(|symbol| symbol.address)
    };
    let at = |symbols| address(symbols, "_text").ok_or("there is no _text");
    let moved = at(shown)?.wrapping_sub(at(&map)?);
    let percpu = (address(&map, "__per_cpu_start"), address(&map, "__per_cpu_end"));
    let is_absolute = |symbol: &Symbol| match percpu {
        (Some(0), Some(end)) => symbol.address <= end,
        _ => false,
    };
    let own_arrays = !shown.iter().any(|symbol| symbol.name == "kallsyms_names");
    let mut expected: HashMap<(u64, char, &str), i64> = HashMap::new();
    for symbol in &map {
        let is_array = symbol.name.starts_with("kallsyms_")
            && own_arrays
            && symbol.kind.is_ascii_uppercase()
            && symbol.kind != 'T';
        if symbol.kind.eq_ignore_ascii_case(&'a') || is_array {
            continue;
        }
        let key = match is_absolute(symbol) {
            true => (symbol.address, 'A', &*symbol.name),
            false => (symbol.address.wrapping_add(moved), symbol.kind, &*symbol.name),
        };
        *expected.entry(key).or_default() += 1;
    }
    for symbol in shown {
        *expected.entry((symbol.address, symbol.kind, &symbol.name)).or_default() -= 1;
    }
    match expected.iter().find(|(_, count)| **count != 0) {
        None => Ok(moved),
        Some(((address, kind, name), count)) => {
            let where_ = if *count > 0 { "System.map" } else { "/proc/kallsyms" };
            Err(format!("'{address:016x} {kind} {name}' is only in {where_} (moved by {moved:#x})"))
        }
    }
}
