//! `cargo xtask e2e package`: the Debian package in systems that have nothing else, beside the packages whose names it takes,
//! in every order of coming and going, and as docs/integrations/dkms.md puts it in kmod's place.
//!
//! The systems are directories with what every Debian has unpacked in them. After each step the same must hold: another
//! package's files are whole and answer, kbt answers where there are none, and what is removed leaves nothing.

use std::fs;
use std::path::{Path, PathBuf};

use super::system::{System, link};
use crate::apt::{self, Suite};
use crate::files::{cannot, create, remove};
use crate::run::{self, Result};
use crate::{dist, place};

/// kmod's file is `/sbin/depmod` in the first and `/usr/sbin/depmod` in the second.
const SUITES: [&str; 2] = ["bookworm", NEWEST];
/// Whose lintian is asked.
const NEWEST: &str = "trixie";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Where the packages lie in the systems.
const KBT: &str = "/tmp/kbt.deb";
const KMOD: &str = "/tmp/kmod.deb";
const DTC: &str = "/tmp/device-tree-compiler.deb";

/// A name of kbt's: its place, whose file it is elsewhere, and a word of that one's version.
struct Name {
    path: &'static str,
    owner: Option<(&'static str, &'static str)>,
}

const NAMES: [Name; 5] = [
    Name { path: "/usr/sbin/depmod", owner: Some(("kmod", "kmod version")) },
    Name { path: "/usr/bin/fdtoverlay", owner: Some(("device-tree-compiler", "DTC")) },
    Name { path: "/usr/bin/jobserver-exec", owner: None },
    Name { path: "/usr/bin/kallsyms", owner: None },
    Name { path: "/usr/bin/mkdtboimg", owner: None },
];

/// Calls of dpkg, from a system without any of the three packages to one without them.
const ORDERS: &[(&str, &[&str])] = &[
    ("alone", &["-i kbt", "-i kbt", "-r kbt", "-i kbt", "-P kbt"]),
    ("kbt first", &["-i kbt", "-i kmod dtc", "-i kbt", "-r kbt", "-i kbt", "-P kbt", "-P kmod dtc"]),
    (
        "kbt last",
        &["-i kmod dtc", "-i kbt", "-r kmod dtc", "-i kmod dtc", "-i kmod dtc", "-P kmod dtc", "-P kbt"],
    ),
    ("at once", &["-i kbt kmod dtc", "-r kmod dtc kbt", "-i kmod dtc kbt", "-P kbt kmod dtc"]),
    ("removed with triggers put off", &["-i kbt", "--no-triggers -i kmod dtc", "-r kbt", "-P kmod dtc"]),
    (
        "upgraded with triggers put off",
        &["-i kbt", "--no-triggers -i kmod dtc", "-i kbt", "-P kmod dtc", "-P kbt"],
    ),
];

const LINKS: &str = "cd /usr/share/doc/kbt
grep -o ']([a-zA-Z][^)#]*' README.md | cut -c 3- | grep -v : | sort -u | while read -r file; do ls \"$file\"; done";

/// What was unpacked, as one package: else dpkg would take away `/bin` with the last package that has it.
const BASE: &str = "Package: base
Status: install ok installed
Maintainer: nobody
Architecture: all
Version: 1
Description: what every Debian has
";
const OWN_ALL: &str =
    "cd /; find . -xdev -path ./tmp -prune -o -print | sed 's/^[.]//; s/^$/\\/./' >/tmp/list
mv /tmp/list /var/lib/dpkg/info/base.list";

/// The story.
pub fn run(words: &[String]) -> Result {
    run::no_words(words)?;
    apt::check_present()?;
    let (_, package) = dist::package()?;
    let package = package.ok_or("no package was made")?;
    let scratch = std::env::temp_dir().join(format!("kbt-e2e-package-{}", std::process::id()));
    for suite in SUITES {
        let system = Installed::make(&scratch.join(suite), suite, &package)?;
        for (order, calls) in ORDERS {
            for call in *calls {
                system.dpkg(call)?;
                system.check().map_err(|error| format!("{suite}, {order}, after dpkg {call}: {error}"))?;
            }
        }
        println!("{suite}: {} orders of coming and going, nobody's files harmed", ORDERS.len());
        system.diverted().map_err(|error| format!("{suite}, docs/integrations/dkms.md: {error}"))?;
        println!("{suite}: in kmod's place by the words of docs/integrations/dkms.md, and back");
        if suite == NEWEST {
            // Another of the links that base-files makes.
            link("debian", &system.system.root.join("etc/dpkg/origins/default"))?;
            system.run(&["lintian", "--fail-on", "error,warning", KBT])?;
            println!("{suite}: lintian has nothing against it");
        }
    }
    remove(&scratch)
}

/// A system in which dpkg can work.
struct Installed {
    system: System,
}

impl Installed {
    fn make(scratch: &Path, suite: &str, package: &Path) -> Result<Self> {
        let debs = scratch.join("debs");
        create(&debs)?;
        eprintln!("fetching what every Debian {suite} has ...");
        let mut packages = vec!["kmod", "device-tree-compiler", "libgcc-s1"];
        packages.extend((suite == NEWEST).then_some("lintian"));
        let suite = Suite::open(&place::peers().join(".apt"), suite, &apt::native_architecture()?)?;
        let files = suite.download_system(&packages, &debs)?;
        let root = scratch.join("root");
        let is = |file: &Path, name: &str| {
            let file = file.file_name().unwrap_or_default().to_string_lossy();
            file.split_once('_').is_some_and(|(package, _)| package == name)
        };
        let installed_later =
            |file: &&PathBuf| ["kmod", "device-tree-compiler"].iter().any(|name| is(file, name));
        let system = System::unpack(&root, files.iter().filter(|file| !installed_later(file)))?;
        for file in files.iter().filter(installed_later) {
            let name = if is(file, "kmod") { KMOD } else { DTC };
            place_at(file, &root, name)?;
        }
        place_at(package, &root, KBT)?;
        // The last is made by a script of base-files.
        for directory in
            ["var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "usr/local/sbin"]
        {
            create(&root.join(directory))?;
        }
        let status = root.join("var/lib/dpkg/status");
        fs::write(&status, BASE).map_err(|error| cannot("write", &status, &error))?;
        system.run(&["sh", "-ec", OWN_ALL])?;
        remove(&debs)?;
        Ok(Self { system })
    }

    /// Calls dpkg; what the packages depend on is there, but not in the database.
    fn dpkg(&self, call: &str) -> Result {
        let installs = call.contains("-i ");
        let words = call.split(' ').map(|word| match word {
            "kbt" if installs => KBT,
            "kmod" if installs => KMOD,
            "dtc" if installs => DTC,
            "dtc" => "device-tree-compiler",
            other => other,
        });
        let words: Vec<&str> = ["dpkg", "--force-depends"].into_iter().chain(words).collect();
        self.run(&words).map(drop)
    }

    /// What must hold after every step.
    fn check(&self) -> Result {
        // Between the step that awaits its triggers and the next, kbt has not looked.
        let kbt = self.status("kbt")?;
        for name in &NAMES {
            match name.owner {
                Some((owner, answer)) if self.status(owner)? == "installed" => {
                    let damage = self.run(&["dpkg", "--verify", owner])?;
                    let said = self.run(&[name.path, "--version"])?;
                    if !damage.is_empty() || !said.contains(answer) {
                        return Err(format!("{}: '{}' {damage}", name.path, said.trim_end()));
                    }
                    if kbt != "triggers-pending" {
                        self.has_no_alternative(name)?;
                    }
                }
                _ if kbt == "installed" => self.is_kbts(name)?,
                _ if kbt == "triggers-pending" => {}
                _ => {
                    self.has_no_alternative(name)?;
                    self.has_not(name.path)?;
                }
            }
        }
        match kbt.as_str() {
            "installed" => self.is_whole(),
            "triggers-pending" => Ok(()),
            _ => self.has_not("/usr/bin/kbt"),
        }
    }

    /// The package's own files.
    fn is_whole(&self) -> Result {
        self.answers("kbt")?;
        self.answers("/usr/lib/kbt/bin/depmod")?;
        // No link of the README leads nowhere.
        self.run(&["sh", "-ec", LINKS])?;
        let damage = self.run(&["dpkg", "--verify", "kbt"])?;
        if damage.is_empty() { Ok(()) } else { Err(damage) }
    }

    /// dpkg's word for the state of a package, empty for one that it does not know.
    fn status(&self, package: &str) -> Result<String> {
        self.run(&["sh", "-c", &format!("dpkg-query -Wf '${{db:Status-Status}}' {package} 2>/dev/null || :")])
    }

    /// Whether the command is kbt, by way of an alternative.
    fn is_kbts(&self, name: &Name) -> Result {
        let program = name.path.rsplit('/').next().unwrap_or_default();
        let leads = self.run(&["readlink", name.path])?;
        if leads.trim() != format!("/etc/alternatives/{program}") {
            return Err(format!("{} leads to {leads}", name.path));
        }
        let ends = self.run(&["readlink", "-f", name.path])?;
        if ends.trim() != "/usr/bin/kbt" {
            return Err(format!("{} ends at {ends}", name.path));
        }
        // As the tool, it has no word for its version.
        if program == "mkdtboimg" { self.run(&[program, "--help"]).map(drop) } else { self.answers(program) }
    }

    /// Whether this name's version is kbt's.
    fn answers(&self, program: &str) -> Result {
        let said = self.run(&[program, "--version"])?;
        let name = program.rsplit('/').next().unwrap_or_default();
        let expected = [format!("{name} {VERSION}\n"), format!("{name} (kbt) {VERSION}\n")];
        if expected.contains(&said) {
            Ok(())
        } else {
            Err(format!("{program} --version says '{}'", said.trim_end()))
        }
    }

    fn has_no_alternative(&self, name: &Name) -> Result {
        let program = name.path.rsplit('/').next().unwrap_or_default();
        self.has_not(&format!("/etc/alternatives/{program}"))?;
        self.has_not(&format!("/var/lib/dpkg/alternatives/{program}"))
    }

    fn has_not(&self, path: &str) -> Result {
        match fs::symlink_metadata(self.system.root.join(path.trim_start_matches('/'))) {
            Err(_) => Ok(()),
            Ok(_) => Err(format!("{path} is still there")),
        }
    }

    /// The commands of the page, in its order.
    fn diverted(&self) -> Result {
        let page = run::root().join("docs/integrations/dkms.md");
        let page = fs::read_to_string(&page).map_err(|error| cannot("read", &page, &error))?;
        let blocks = blocks(&page);
        let [link, divert, back, script, ..] = &blocks[..] else {
            return Err(format!("{} blocks, not four", blocks.len()));
        };
        self.dpkg("-i kbt kmod dtc")?;
        self.run(&["sh", "-ec", link])?;
        self.answers("/usr/local/sbin/depmod")?;
        self.run(&["sh", "-ec", script])?;
        self.is_whole()?;
        self.run(&["sh", "-ec", "mkdir -p /tmp/m/lib/modules/6.1 && /usr/local/sbin/depmod -b /tmp/m 6.1 && rm /tmp/m/lib/modules/6.1/modules.dep.bin"])?;
        self.run(&["sh", "-ec", divert])?;
        self.answers("/usr/sbin/depmod")?;
        self.dpkg("-i kmod")?;
        self.answers("/usr/sbin/depmod")?;
        self.dpkg("-i kbt")?;
        self.answers("/usr/sbin/depmod")?;
        self.run(&["sh", "-ec", back])?;
        self.run(&["rm", "/usr/local/sbin/depmod"])?;
        self.check()?;
        self.dpkg("-P kbt kmod dtc")?;
        self.check()
    }

    fn run(&self, words: &[&str]) -> Result<String> {
        self.system.run(words)
    }
}

fn place_at(file: &Path, root: &Path, name: &str) -> Result {
    let to = root.join(name.trim_start_matches('/'));
    fs::copy(file, &to).map(drop).map_err(|error| cannot("copy", file, &error))
}

/// The indented blocks of a page.
fn blocks(page: &str) -> Vec<String> {
    let mut blocks: Vec<Vec<&str>> = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        let code = line.strip_prefix("    ");
        match (code, blocks.last_mut().filter(|_| inside)) {
            (Some(code), Some(block)) => block.push(code),
            (Some(code), None) => blocks.push(vec![code]),
            (None, _) => {}
        }
        inside = code.is_some();
    }
    blocks.into_iter().map(|block| block.join("\n")).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_block_is_what_is_indented_at_a_stretch() {
        assert_eq!(super::blocks("a\n\n    b\n    c\n\nd\n\n    e\n"), ["b\nc", "e"]);
    }
}
