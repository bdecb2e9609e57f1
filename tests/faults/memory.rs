//! A system without memory for the run: one line and an exit code, whatever was being done, and nothing is half written.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Output};

use crate::{Case, depmod_cases, files, is_cache, is_stray, kernel_cases, tree_cases, without};

/// Between two limits, in KiB.
const STEP: usize = 96;

/// So often in a row a run must succeed before it is taken to need no more.
const ENOUGH: usize = 4;

/// Runs a command in an address space of so many KiB.
fn within(kib: usize, command: &Command) -> Output {
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -v \"$0\" && exec \"$@\"", &kib.to_string()]);
    shell.arg(command.get_program()).args(command.get_args());
    if let Some(directory) = command.get_current_dir() {
        shell.current_dir(directory);
    }
    shell.output().unwrap()
}

/// The least that lets the program begin: below it the kernel and the loader have the word.
fn least() -> usize {
    let mut version = Command::new(env!("CARGO_BIN_EXE_kbt"));
    version.arg("--version");
    let begins = |kib: &usize| within(*kib, &version).status.success();
    (4096..1 << 20).step_by(STEP).find(begins).unwrap()
}

impl Case {
    /// Tries one limit after the other. How many of them were too low.
    fn try_limits(&self, least: usize) -> usize {
        self.prepare();
        let old = files(&self.room);
        assert!(self.command().output().unwrap().status.success(), "{:?}", self.words);
        let new = without(&files(&self.room), is_cache);
        let (mut refused, mut succeeded) = (0, 0);
        for kib in (least..).step_by(STEP) {
            self.restore(&old);
            let output = within(kib, &self.command());
            let told = String::from_utf8_lossy(&output.stderr);
            let what = format!("{} within {kib} KiB: {}: {told}", self.words.join(" "), output.status);
            let found = without(&files(&self.room), |path| is_cache(path) || is_stray(path));
            assert_eq!(output.status.signal(), None, "{what}");
            if output.status.success() {
                assert!(found == new, "{what}");
                succeeded += 1;
            } else {
                assert_eq!(output.status.code(), Some(1), "{what}");
                assert!(found == without(&old, is_cache), "{what}: something has changed");
                let errors = told.lines().filter(|line| line.starts_with("kbt: error: "));
                let aborted = told.lines().filter(|line| line.starts_with("memory allocation of "));
                assert_eq!(errors.count() + aborted.count(), 1, "{what}");
                (refused, succeeded) = (refused + 1, 0);
            }
            if succeeded == ENOUGH {
                break;
            }
        }
        refused
    }
}

#[test]
fn no_memory_is_one_line_and_an_exit_code() {
    let scratch = tempfile::tempdir().unwrap();
    let least = least();
    let mut refused = 0;
    for cases in [tree_cases, depmod_cases, kernel_cases] {
        for case in cases(scratch.path()) {
            refused += case.try_limits(least);
        }
    }
    assert!(refused > 20, "only {refused} runs had too little");
}

#[test]
fn overlays_that_do_not_fit_together_are_told_of() {
    const SIZE: u32 = 24 << 20;
    let scratch = tempfile::tempdir().unwrap();
    // As much is read as the header states.
    let tree = scratch.path().join("large.dtbo");
    let header = [0xd00d_feed_u32, SIZE, 56, 56, 40, 17, 16, 0, 0, 0].map(u32::to_be_bytes);
    fs::write(&tree, header.as_flattened()).unwrap();
    fs::OpenOptions::new().write(true).open(&tree).unwrap().set_len(SIZE.into()).unwrap();
    let out = scratch.path().join("out.dtb");
    let mut command = Command::new(env!("CARGO_BIN_EXE_kbt"));
    command.args(["dto", "apply", "-o"]).arg(&out).args([&tree; 4]);
    let least = least();
    let told = |kib: usize| {
        let output = within(kib, &command);
        assert_eq!(output.status.code(), Some(1), "{kib} KiB: {}", output.status);
        assert!(!out.exists());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let all: Vec<String> = (least..least + (208 << 10)).step_by(16 << 10).map(told).collect();
    let wanted = "kbt: error: there is no memory for all of the overlays\n";
    assert!(all.iter().any(|text| text == wanted), "{all:?}");
    assert!(all.last().is_some_and(|text| text.contains("large.dtbo")), "{all:?}");
}
