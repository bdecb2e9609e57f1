//! A kernel, configured, compiled once and linked twice.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Machine;
use super::source::read_times;
use super::variant::Variant;
use crate::files::{cannot, copy, create, names};
use crate::run::{self, Result};

/// What a build needs of this machine, with Debian's packages.
const NEEDED: [(&str, &str); 6] = [
    ("make", "make"),
    ("gcc", "gcc"),
    ("flex", "flex"),
    ("bison", "bison"),
    ("bc", "bc"),
    ("nm", "binutils"),
];

/// A configured build.
pub struct Build<'a> {
    tree: &'a Path,
    pub machine: &'a Machine,
    pub variant: Variant,
    /// Where it is built.
    pub directory: PathBuf,
    /// `make kernelversion`.
    pub release: String,
    /// The kbt that links; else that of cargo's release profile.
    kbt: Option<PathBuf>,
}

/// One link of it.
pub struct Linked {
    /// What was linked on the way, the last being the kernel.
    pub links: Vec<String>,
    /// Processor time from the first link to the checked System.map.
    pub seconds: f64,
    /// Bytes of kallsyms_names.
    pub names: u64,
    /// Bytes of the types (BTF), 0 where it has none. Their order is pahole's threads'.
    pub types: usize,
    /// The directory with what boots and `System.map`.
    pub place: PathBuf,
}

impl<'a> Build<'a> {
    /// Configures the tree where that was not done yet.
    pub fn configured(
        tree: &'a Path,
        (machine, variant): (&'a Machine, Variant),
        version: &str,
        cache: &Path,
    ) -> Result<Self> {
        let compiler = format!("{}gcc", machine.prefix);
        let needed = NEEDED.iter().chain(variant.needed()).copied();
        let needed = needed.chain([(&*compiler, "gcc-aarch64-linux-gnu")]);
        for (program, package) in needed.chain([(machine.qemu[0], "qemu-system-x86 or qemu-system-arm")]) {
            if !run::has_program(program) {
                return Err(format!("no {program} on this machine; Debian has it in {package}"));
            }
        }
        variant.fetch()?;
        let directory = cache.join(format!("build-{version}-{}{}", machine.name, variant.suffix()));
        create(&directory)?;
        let mut build = Self { tree, machine, variant, directory, release: String::new(), kbt: None };
        build.integration("off")?;
        if !build.directory.join(".config").exists() {
            run::output(build.make().arg("tinyconfig"))?;
            let common = include_str!("guest/common.config");
            let fragment = build.directory.join("kbt.config");
            fs::write(&fragment, format!("{common}{}{}", machine.config, variant.config()))
                .map_err(|error| cannot("write", &fragment, &error))?;
            let mut merge = Command::new(tree.join("scripts/kconfig/merge_config.sh"));
            merge
                .arg("-m")
                .arg("-O")
                .arg(&build.directory)
                .arg(build.directory.join(".config"))
                .arg(&fragment);
            run::output(merge.current_dir(tree))?;
            run::output(build.make().arg("olddefconfig"))?;
        }
        if let Some(line) = variant.config().lines().find(|line| !build.has(line)) {
            return Err(format!("{} has no {line}; see what it depends on", build.directory.display()));
        }
        build.release = run::text(build.make().args(["-s", "kernelversion"]))?.trim().to_owned();
        Ok(build)
    }

    /// The same build, linked by this kbt.
    pub fn with(self, kbt: &Path) -> Self {
        Self { kbt: Some(kbt.to_owned()), ..self }
    }

    /// Whether a line is in the configuration.
    pub fn has(&self, line: &str) -> bool {
        let text = fs::read_to_string(self.directory.join(".config")).unwrap_or_default();
        text.lines().any(|own| own == line)
    }

    /// make in the tree, for this build.
    pub fn make(&self) -> Command {
        let mut command = Command::new("make");
        command.arg("-C").arg(self.tree).arg(format!("O={}", self.directory.display()));
        command.arg(format!("ARCH={}", self.machine.name));
        if !self.machine.prefix.is_empty() {
            command.arg(format!("CROSS_COMPILE={}", self.machine.prefix));
        }
        let jobs = std::thread::available_parallelism().map_or(1, usize::from);
        command.arg(format!("-j{jobs}")).env("LC_ALL", "C");
        self.variant.tell(&mut command);
        // Of cargo, and none of the kernel's business.
        command.env_remove("MAKEFLAGS").env_remove("MFLAGS");
        command
    }

    /// As the kernel's own build does it.
    pub fn stock(&self) -> Result<Linked> {
        self.linked("stock")
    }

    /// With one link.
    pub fn one_link(&self) -> Result<Linked> {
        let before = self.scripts()?;
        self.integration("on")?;
        let linked = self.linked("kbt");
        self.integration("off")?;
        if self.scripts()? != before {
            return Err(format!("{} is not as it was", self.tree.display()));
        }
        linked
    }

    /// What the integration may touch: the names of the tree's scripts, and the one that links.
    fn scripts(&self) -> Result<(Vec<String>, Vec<u8>)> {
        let scripts = self.tree.join("scripts");
        let link = scripts.join("link-vmlinux.sh");
        let bytes = fs::read(&link).map_err(|error| cannot("read", &link, &error))?;
        Ok((names(&scripts)?, bytes))
    }

    fn integration(&self, verb: &str) -> Result {
        let mut command = Command::new(run::root().join("integrations/linux.sh"));
        command.arg(verb).arg(self.tree);
        if verb == "on" {
            let own = || run::target_directory().map(|target| target.join("release/kbt"));
            command.arg(self.kbt.clone().map_or_else(own, Ok)?);
        }
        run::output(&mut command).map(drop)
    }

    /// Links, with all that the kernel's build does behind it, and keeps what came of it.
    fn linked(&self, title: &str) -> Result<Linked> {
        eprintln!("building {} {} ({title}) ...", self.release, self.machine.name);
        for name in ["vmlinux", "vmlinux.unstripped"] {
            let _ = fs::remove_file(self.directory.join(name));
        }
        let (image, target) = self.machine.image;
        let said = run::text(self.make().args(["vmlinux", target]))?;
        let place = self.directory.join(title);
        create(&place)?;
        let log = place.join("make.log");
        fs::write(&log, &said).map_err(|error| cannot("write", &log, &error))?;
        for file in [image, "System.map"] {
            copy(&self.directory.join(file), &place)?;
        }
        let seconds = read_times(&self.directory.join(".kbt-times"))?;
        let links = said.lines().filter_map(|line| line.trim().strip_prefix("LD ")).map(str::trim);
        let links =
            links.filter(|name| name.contains("vmlinux") && !name.contains('/') && !name.ends_with(".o"));
        let links = links.map(str::to_owned).collect();
        let kernel = names(&self.directory)?.iter().any(|name| name == "vmlinux.unstripped");
        let kernel = self.directory.join(if kernel { "vmlinux.unstripped" } else { "vmlinux" });
        self.check_map(&kernel, &place.join("System.map"))?;
        let names = names_size(&kernel, self.machine.prefix)?;
        Ok(Linked { links, seconds, names, types: self.types_size(&kernel)?, place })
    }

    fn types_size(&self, kernel: &Path) -> Result<usize> {
        if !self.variant.btf {
            return Ok(0);
        }
        let section = self.directory.join("checked.btf");
        let mut objcopy = Command::new(format!("{}objcopy", self.machine.prefix));
        objcopy.arg(format!("--dump-section=.BTF={}", section.display())).arg(kernel).arg("/dev/null");
        run::output(&mut objcopy)?;
        let types = fs::read(&section).map_err(|error| cannot("read", &section, &error))?;
        if types.is_empty() { Err(format!("{} has no types", kernel.display())) } else { Ok(types.len()) }
    }

    /// System.map must be what nm and the tree's own filter make of the kernel, when all is done.
    fn check_map(&self, kernel: &Path, map: &Path) -> Result {
        let nm = format!("{}nm", self.machine.prefix);
        let filter = self.tree.join("scripts/mksysmap");
        let is_shell = fs::read(&filter)
            .is_ok_and(|text| text.starts_with(b"#!/bin/sh -x") || text.starts_with(b"#!/bin/sh"));
        let made = self.directory.join("checked.map");
        let script = match is_shell {
            true => format!("NM={nm} sh {} {} {}", filter.display(), kernel.display(), made.display()),
            false => {
                format!("{nm} -n {} | sed -f {} > {}", kernel.display(), filter.display(), made.display())
            }
        };
        run::output(Command::new("sh").args(["-c", &script]).env("LC_ALL", "C"))?;
        let read = |path: &Path| fs::read(path).map_err(|error| cannot("read", path, &error));
        if read(&made)? != read(map)? {
            return Err(format!(
                "{} is not what nm and mksysmap make of {}",
                map.display(),
                kernel.display()
            ));
        }
        Ok(())
    }
}

/// Bytes that the names of the table have: to the array that follows them in every layout.
fn names_size(kernel: &Path, prefix: &str) -> Result<u64> {
    let listing = run::text(Command::new(format!("{prefix}nm")).arg(kernel))?;
    let address = |name: &str| {
        let line = listing.lines().find(|line| line.split_whitespace().nth(2) == Some(name));
        let digits = line.and_then(|line| line.split_whitespace().next());
        digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()).ok_or(format!("nm shows no {name}"))
    };
    Ok(address("kallsyms_markers")?.wrapping_sub(address("kallsyms_names")?))
}
