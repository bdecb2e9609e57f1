//! `cargo xtask dist`: what a distribution takes, in `dist` of the target directory.
//!
//! | path | what |
//! |---|---|
//! | `kbt` | the binary, without its debugging sections |
//! | `kbt-static` | the same linked with glibc's archive: it runs where no C library is |
//! | `man/*.1`, `completions/*` | written by the example `manual` |
//! | `kbt_VERSION_ARCHITECTURE.deb` | where dpkg-deb is |

mod deb;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::files::{cannot, create, remove};
use crate::run::{self, Result, cargo};

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
    run::run(&mut cargo(["build", "--release", "--bin", "kbt"]))?;
    let binary = dist.join("kbt");
    place(&target.join("release/kbt"), &binary)?;
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
    let host = host()?;
    // A directory of its own: other flags would build everything anew, back and forth.
    let directory = target.join("static");
    let mut build = cargo(["build", "--release", "--bin", "kbt", "--target", &host, "--target-dir"]);
    run::run(build.arg(&directory).env("RUSTFLAGS", "-C target-feature=+crt-static"))?;
    let binary = target.join("dist/kbt-static");
    place(&directory.join(&host).join("release/kbt"), &binary)?;
    Ok(binary)
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
