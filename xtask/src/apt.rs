//! Debian packages of any suite and architecture, downloaded beside the system.
//!
//! apt-get runs with its own lists, cache and state, so that it needs no root and never sees, let alone
//! changes, what is installed. Of the system it takes the mirror, the archive's keys, and settings such as a
//! proxy.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::files::{cannot, create, remove};
use crate::run::{self, Result};

/// The archive's keys, as the package debian-archive-keyring installs them.
const KEYRINGS: [&str; 2] =
    ["/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp"];

/// One suite for one architecture.
pub struct Suite {
    name: String,
    configuration: PathBuf,
    lists: PathBuf,
}

impl Suite {
    /// Prepares `name` (`trixie`) for `architecture` (`arm64`) in a directory of its own under `state`.
    pub fn open(state: &Path, name: &str, architecture: &str) -> Result<Self> {
        let root = state.join(format!("{name}-{architecture}"));
        let lists = root.join("lists");
        for directory in ["lists/partial", "cache/archives/partial", "state", "empty"] {
            create(&root.join(directory))?;
        }
        let key = KEYRINGS.iter().find(|path| Path::new(path).exists());
        let key = key.map(|path| format!("[signed-by={path}] ")).unwrap_or_default();
        write(&root.join("state/status"), "")?;
        write(&root.join("sources.list"), &format!("deb {key}{} {name} main\n", mirror()?))?;
        let configuration = root.join("apt.conf");
        write(&configuration, &settings(&root, architecture))?;
        Ok(Self { name: name.to_owned(), configuration, lists })
    }

    /// The packages that `package` directly depends on.
    pub fn dependencies(&self, package: &str) -> Result<Vec<String>> {
        self.with_lists(|| {
            let mut command = self.tool("apt-cache", "depends");
            command.args(["--no-recommends", "--no-suggests", "--no-conflicts", package]);
            let listing = run::text(&mut command)?;
            Ok(dependencies_in(&listing))
        })
    }

    /// Downloads `packages` into `directory` and gives the files, in the order of their names.
    pub fn download(&self, packages: &[&str], directory: &Path) -> Result<Vec<PathBuf>> {
        self.with_lists(|| {
            run::output(self.tool("apt-get", "download").args(packages).current_dir(directory))
        })?;
        debs(directory)
    }

    /// As [`Suite::download`], with what a system needs that has `packages` and is nothing else: all that they depend on,
    /// and what every Debian has.
    pub fn download_system(&self, packages: &[&str], directory: &Path) -> Result<Vec<PathBuf>> {
        create(&directory.join("partial"))?;
        self.with_lists(|| {
            let mut command = self.tool("apt-get", "install");
            command.args(["--yes", "--download-only", "--no-install-recommends"]);
            command.arg("-o").arg(format!("Dir::Cache::Archives={}/", directory.display()));
            run::output(command.arg("?essential").args(packages))
        })?;
        debs(directory)
    }

    /// Runs a step that reads the lists, which are fetched first where there are none.
    fn with_lists<T>(&self, step: impl Fn() -> Result<T>) -> Result<T> {
        retried(self.has_lists(), step, || {
            // Without the old ones, which apt would keep where it thinks that they are current.
            remove(&self.lists)?;
            create(&self.lists.join("partial"))?;
            run::output(&mut self.tool("apt-get", "update"))
                .map(drop)
                .map_err(|error| format!("cannot read the lists of Debian {}: {error}", self.name))
        })
    }

    fn has_lists(&self) -> bool {
        let Ok(mut entries) = fs::read_dir(&self.lists) else { return false };
        entries
            .any(|entry| entry.is_ok_and(|entry| entry.file_name().to_string_lossy().contains("_Packages")))
    }

    fn tool(&self, name: &str, verb: &str) -> Command {
        let mut command = Command::new(name);
        command.arg(verb).arg("-c").arg(&self.configuration).arg("-qq").env("LC_ALL", "C.UTF-8");
        command
    }
}

/// The packages in a directory, in the order of their names.
fn debs(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries = fs::read_dir(directory).map_err(|error| cannot("read", directory, &error))?;
    for entry in entries {
        let path = entry.map_err(|error| cannot("read", directory, &error))?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// A mirror drops old files, so lists that are there may name what is gone: where the step fails with them,
/// they are refreshed and it runs once more.
fn retried<T>(has_lists: bool, step: impl Fn() -> Result<T>, refresh: impl Fn() -> Result) -> Result<T> {
    if has_lists && let Ok(done) = step() {
        return Ok(done);
    }
    refresh()?;
    step()
}

/// Settings read after the system's own: everything that apt writes goes under `root`, and the hooks that the
/// system runs after an update are dropped, since they touch the system.
fn settings(root: &Path, architecture: &str) -> String {
    let root = root.display();
    format!(
        r#"#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear APT::Architectures;
#clear Acquire::IndexTargets::deb::DEP-11;
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
APT::Sandbox::User "root";
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Acquire::http::Timeout "30";
Dir::State "{root}/state";
Dir::State::status "{root}/state/status";
Dir::State::lists "{root}/lists";
Dir::Cache "{root}/cache";
Dir::Etc::sourcelist "{root}/sources.list";
Dir::Etc::sourceparts "{root}/empty";
Dir::Etc::preferences "{root}/empty/preferences";
Dir::Etc::preferencesparts "{root}/empty";
"#
    )
}

/// Says what is missing where this system has no apt.
pub fn check_present() -> Result {
    for program in ["apt-get", "apt-cache", "dpkg-deb", "tar"] {
        if !run::has_program(program) {
            return Err(format!(
                "no {program} here; reference tools and real trees come from Debian's packages, so this \
                 works on Debian and what derives from it"
            ));
        }
    }
    Ok(())
}

/// The architecture of this system, in Debian's word for it.
pub fn native_architecture() -> Result<String> {
    Ok(run::text(Command::new("dpkg").arg("--print-architecture"))?.trim().to_owned())
}

/// The Debian mirror that the system itself uses, as apt reads it from its sources. The system's lists may be
/// absent (a fresh container), so apt is asked what it would download.
fn mirror() -> Result<String> {
    let listing = run::text(Command::new("apt-get").args(["update", "--print-uris"]))?;
    mirror_in(&listing).ok_or_else(|| {
        "no Debian mirror in this system's apt sources; one whose address ends in /debian is needed"
            .to_owned()
    })
}

/// The first address that is Debian's main archive; a `mirror+file:` list of mirrors counts. A line is
/// `'ADDRESS/dists/SUITE/InRelease' NAME SIZE`.
fn mirror_in(listing: &str) -> Option<String> {
    let uris = listing.lines().filter_map(|line| Some(line.strip_prefix('\'')?.split_once("/dists/")?.0));
    let mut main = uris.filter(|uri| uri.ends_with("/debian") || uri.ends_with("/debian.list"));
    main.next().map(ToOwned::to_owned)
}

/// Reads `apt-cache depends`: the names behind `Depends:`, without alternatives (`|Depends:`).
fn dependencies_in(listing: &str) -> Vec<String> {
    let names = listing.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    names.map(|name| name.trim().to_owned()).collect()
}

/// Unpacks the files of a package that match one of `patterns` (tar's wildcards), or all, into `directory`.
pub fn unpack(package: &Path, patterns: &[&str], directory: &Path) -> Result {
    let mut reader = Command::new("dpkg-deb");
    reader.arg("--fsys-tarfile").arg(package).stdout(Stdio::piped());
    let mut reader = reader.spawn().map_err(|error| format!("cannot start dpkg-deb: {error}"))?;
    let stdout = reader.stdout.take().ok_or("dpkg-deb has no standard output")?;
    let mut writer = Command::new("tar");
    writer.args(["--extract", "--no-same-owner", "--keep-directory-symlink", "--wildcards", "--directory"]);
    writer.arg(directory);
    let written = writer.args(patterns).stdin(stdout).output();
    let read = reader.wait().map_err(|error| format!("cannot wait for dpkg-deb: {error}"))?;
    let written = written.map_err(|error| format!("cannot start tar: {error}"))?;
    run::checked(&writer, written)?;
    if read.success() { Ok(()) } else { Err(format!("dpkg-deb cannot read {}: {read}", package.display())) }
}

fn write(path: &Path, text: &str) -> Result {
    fs::write(path, text).map_err(|error| cannot("write", path, &error))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn the_mirror_is_the_main_archive() {
        let listing = "'https://m.example.org/node/dists/x/InRelease' x 0 \n\
                       'http://m.example.org/debian-security/dists/y/InRelease' y 0 \n\
                       'http://m.example.org/debian/dists/z/InRelease' z 0 \n";
        assert_eq!(mirror_in(listing).as_deref(), Some("http://m.example.org/debian"));
        assert_eq!(mirror_in("'http://m.example.org/ubuntu/dists/x/InRelease' x 0\n"), None);
    }

    #[test]
    fn a_list_of_mirrors_counts() {
        let listing = "'mirror+file:/etc/apt/mirrors/debian.list/dists/x/InRelease' x 0 \n";
        assert_eq!(mirror_in(listing).as_deref(), Some("mirror+file:/etc/apt/mirrors/debian.list"));
    }

    /// Runs a step that fails `failures` times; gives its result and the calls: s a step, r a refresh.
    fn calls(has_lists: bool, failures: usize) -> (Result, String) {
        let log = RefCell::new(String::new());
        let step = || {
            log.borrow_mut().push('s');
            let tries = log.borrow().matches('s').count();
            if tries > failures { Ok(()) } else { Err("gone".to_owned()) }
        };
        let refresh = || {
            log.borrow_mut().push('r');
            Ok(())
        };
        let result = retried(has_lists, step, refresh);
        (result, log.into_inner())
    }

    #[test]
    fn a_file_that_is_gone_costs_one_refresh_and_one_retry() {
        assert_eq!(calls(true, 0), (Ok(()), "s".to_owned()));
        assert_eq!(calls(false, 0), (Ok(()), "rs".to_owned()));
        assert_eq!(calls(true, 1), (Ok(()), "srs".to_owned()));
        assert_eq!(calls(true, 2), (Err("gone".to_owned()), "srs".to_owned()));
    }

    #[test]
    fn direct_dependencies_only() {
        let listing =
            "linux-image-arm64\n  Depends: linux-image-6.12.1-arm64\n  |Depends: a\n  Recommends: b\n";
        assert_eq!(dependencies_in(listing), ["linux-image-6.12.1-arm64"]);
    }
}
