//! `cargo xtask dist`: what a distribution takes, in `dist` of the target directory.
//!
//! | path | what |
//! |---|---|
//! | `kbt` | the binary, without its debugging sections |
//! | `kbt-static` | the same linked with glibc's archive: it runs where no C library is |
//! | `man/*.1`, `completions/*` | written by the example `manual` |
//! | `THIRD-PARTY` | the terms of all that is built in, for whoever passes the binaries on |
//! | `kbt_VERSION_ARCHITECTURE.deb` | where dpkg-deb is |

mod deb;
mod notices;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::files::{cannot, create, remove};
use crate::run::{self, Result, cargo};

/// The terms of what is built in.
const NOTICES: &str = "THIRD-PARTY";

/// The verb.
pub fn run(words: &[String]) -> Result {
    run::no_words(words)?;
    let made = make()?;
    for path in &made {
        let size = fs::metadata(path).map_err(|error| cannot("look at", path, &error))?.len();
        println!("{:>9}  {}", size, path.display());
    }
    Ok(())
}

/// Makes all of it and gives the files that are programs or packages.
fn make() -> Result<Vec<PathBuf>> {
    let (binary, package) = package()?;
    let mut made = vec![binary];
    match package {
        Some(package) => made.push(package),
        None => println!("no dpkg-deb here, so no package"),
    }
    made.push(static_binary(&run::target_directory()?)?);
    Ok(made)
}

/// The binary and, where dpkg-deb is, the package of it.
pub fn package() -> Result<(PathBuf, Option<PathBuf>)> {
    let target = run::target_directory()?;
    let dist = target.join("dist");
    create(&dist)?;
    manual(&dist)?;
    let notices = dist.join(NOTICES);
    fs::write(&notices, notices::notices(&host()?)?).map_err(|error| cannot("write", &notices, &error))?;
    let binary = build(&target.join("packaged"), "", &dist.join("kbt"))?;
    let package = run::has_program("dpkg-deb").then(|| deb::build(&dist, &binary)).transpose()?;
    Ok((binary, package))
}

/// Man pages and completions.
fn manual(dist: &Path) -> Result {
    for directory in ["man", "completions"] {
        remove(&dist.join(directory))?;
    }
    run::run(cargo(["run", "--quiet", "--example", "manual", "--"]).arg(dist))
}

/// The binary that needs no shared library. glibc's archive is a part of its development package.
fn static_binary(target: &Path) -> Result<PathBuf> {
    build(&target.join("static"), "-Ctarget-feature=+crt-static", &target.join("dist/kbt-static"))
}

/// Builds the binary with one more flag in a directory of its own, as other flags would build everything anew, back
/// and forth; then copies it without what only a debugger reads.
fn build(directory: &Path, flag: &str, to: &Path) -> Result<PathBuf> {
    let host = host()?;
    let mut flags = vec![flag.to_owned()];
    // Where the builder's files lay stands in the messages of panics.
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| env::home_dir().map(|home| home.join(".cargo")));
    let sources = home.map(|home| (home.join("registry/src"), "crates"));
    for (from, name) in sources.into_iter().chain([(run::root(), "kbt")]) {
        flags.push(format!("--remap-path-prefix={}={name}", from.display()));
    }
    flags.retain(|flag| !flag.is_empty());
    let mut build = cargo(["build", "--release", "--bin", "kbt", "--target", &host, "--target-dir"]);
    run::run(build.arg(directory).env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f")))?;
    place(&directory.join(&host).join("release/kbt"), to)?;
    Ok(to.to_owned())
}

/// The compiler's name of this machine.
fn host() -> Result<String> {
    let text = run::text(Command::new("rustc").arg("-vV"))?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(ToOwned::to_owned).ok_or_else(|| "rustc names no host".to_owned())
}

/// Copies a binary, without what only a debugger reads.
pub fn place(from: &Path, to: &Path) -> Result {
    fs::copy(from, to).map_err(|error| cannot("copy", from, &error))?;
    if run::has_program("strip") {
        run::output(Command::new("strip").arg("--strip-unneeded").arg(to))?;
    }
    Ok(())
}
