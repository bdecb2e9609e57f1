//! The C library, built, and C programs linked with it.

#![allow(clippy::unwrap_used, clippy::panic, dead_code, reason = "a failure here is a failed test")]

pub mod host;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The library's sources.
pub fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("capi")
}

/// Where these tests put what they make.
pub fn scratch() -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("capi");
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

/// `libufdt_overlay.a`, built as its users build it.
pub fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("capi-target");
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--release", "--locked", "--quiet", "--manifest-path"]);
        cargo.arg(source().join("Cargo.toml")).arg("--target-dir").arg(&target);
        // Those of the workspace that is under test are not this one's.
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR"] {
            cargo.env_remove(name);
        }
        succeed(&mut cargo);
        target.join("release/libufdt_overlay.a")
    })
}

/// Compiles and links a C program with the library; every warning is an error.
pub fn compile<S: AsRef<OsStr>>(name: &str, words: impl IntoIterator<Item = S>) -> PathBuf {
    // Tests run side by side, and two may want one program.
    static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let program = scratch().join(format!("{name}-{}-{number}", std::process::id()));
    let mut gcc = Command::new("gcc");
    gcc.args(["-std=c11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-I"]).arg(source().join("include"));
    gcc.args(words).arg("-o").arg(&program);
    succeed(&mut gcc);
    program
}

/// Runs a program that must succeed.
pub fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
    output
}

/// A program of this machine.
pub fn program(name: &str) -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        std::env::split_paths(&path).map(|directory| directory.join(name)).find(|path| path.is_file());
    found.ok_or_else(|| format!("no {name} on this machine"))
}
