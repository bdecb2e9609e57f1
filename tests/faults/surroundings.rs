//! Places that are not made for it: no /proc, no environment, nowhere to write, odd and long names. Every command gives
//! there what it gives elsewhere, or one sentence.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::{Command, Output};

use crate::{Case, depmod_cases, files, is_cache, kernel_cases, tree_cases, without};

/// All cases below a directory.
fn cases(scratch: &Path) -> Vec<Case> {
    [tree_cases, depmod_cases, kernel_cases].into_iter().flat_map(|cases| cases(scratch)).collect()
}

impl Case {
    /// Runs it by a shell that prepares the surroundings and ends with `exec "$@"`.
    fn by_shell(&self, script: &str) -> Output {
        let command = self.command();
        let mut shell = Command::new("unshare");
        shell.args(["-rm", "sh", "-c", script, "sh"]).arg(command.get_program()).args(command.get_args());
        shell.current_dir(&self.room).output().unwrap()
    }

    /// Whether it does there what it does elsewhere.
    fn same_by_shell(&self, script: &str) {
        self.prepare();
        let old = files(&self.room);
        assert!(self.command().output().unwrap().status.success(), "{:?}", self.words);
        let new = without(&files(&self.room), is_cache);
        self.restore(&old);
        let output = self.by_shell(script);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{:?} in '{script}': {told}", self.words);
        let found = without(&files(&self.room), is_cache);
        assert!(found == new, "{:?} in '{script}' gives something else: {told}", self.words);
    }
}

/// Whether the system lets a user make a mount namespace.
fn namespaces() -> Result<(), String> {
    let status = Command::new("unshare").args(["-rm", "true"]).status();
    if status.is_ok_and(|status| status.success()) { Ok(()) } else { Err("no mount namespaces".to_owned()) }
}

/// Whether every case, but for `except`, does in these surroundings what it does elsewhere.
fn same_in(script: &str, except: Option<&str>) {
    let scratch = tempfile::tempdir().unwrap();
    for case in cases(scratch.path()).iter().filter(|case| Some(case.words[0].as_str()) != except) {
        case.same_by_shell(script);
    }
}

#[test]
fn without_proc() {
    kbt_testkit::require!(namespaces());
    // The links are to lead to the program's own file, which only /proc names.
    same_in("mount -t tmpfs none /proc && exec \"$@\"", Some("install-links"));
}

#[test]
fn without_an_environment_and_a_place_for_temporary_files() {
    kbt_testkit::require!(namespaces());
    same_in("mount -t tmpfs -o ro none /dev/shm && exec env -i TMPDIR=/nonexistent \"$@\"", None);
}

#[test]
fn with_a_strict_umask() {
    kbt_testkit::require!(namespaces());
    same_in("umask 077 && exec \"$@\"", None);
}

#[test]
fn where_nothing_can_be_written() {
    kbt_testkit::require!(namespaces());
    let scratch = tempfile::tempdir().unwrap();
    for case in cases(scratch.path()) {
        case.prepare();
        let old = files(&case.room);
        let output =
            case.by_shell("mount --bind . . && mount -o remount,ro,bind . && cd \"$PWD\" && exec \"$@\"");
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{:?}: {told}", case.words);
        let errors = told.lines().filter(|line| line.starts_with("kbt: error: "));
        assert_eq!(errors.count(), 1, "{:?}: {told}", case.words);
        assert!(told.contains("Read-only file system"), "{:?}: {told}", case.words);
        assert!(files(&case.room) == old, "{:?}", case.words);
    }
}

#[test]
fn where_no_file_may_grow() {
    let scratch = tempfile::tempdir().unwrap();
    for case in cases(scratch.path()).iter().filter(|case| case.words[0] != "install-links") {
        case.prepare();
        let old = files(&case.room);
        let mut limited = Command::new("prlimit");
        limited.args(["--fsize=0", env!("CARGO_BIN_EXE_kbt")]).args(&case.words);
        let output = limited.current_dir(&case.room).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{:?}: {told}", case.words);
        let errors = told.lines().filter(|line| line.starts_with("kbt: error: "));
        assert_eq!(errors.count(), 1, "{:?}: {told}", case.words);
        assert!(told.contains("File too large"), "{:?}: {told}", case.words);
        assert!(without(&files(&case.room), is_cache) == without(&old, is_cache), "{:?}", case.words);
    }
}

/// The undo file fits, and then the change in the middle of the file does not.
#[test]
fn what_may_not_be_changed_as_far_as_it_should_is_put_back() {
    let scratch = tempfile::tempdir().unwrap();
    let old = vec![0; 8 << 10];
    fs::write(scratch.path().join("file"), &old).unwrap();
    fs::write(scratch.path().join("piece"), [1; 1 << 10]).unwrap();
    let words = ["kallsyms", "patchfile", "file", "4608", "piece", "--in-place"];
    let mut limited = Command::new("prlimit");
    limited.args(["--fsize=5120", env!("CARGO_BIN_EXE_kbt")]).args(words).current_dir(scratch.path());
    let output = limited.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(told, "kbt: error: file: cannot write: File too large\n");
    assert!(fs::read(scratch.path().join("file")).unwrap() == old);
    assert_eq!(files(scratch.path()).len(), 2, "the undo file is gone");
}

/// Whether every case gives below `place` what it gives elsewhere.
fn same_below(place: &Path) {
    fs::create_dir_all(place).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    for (here, there) in cases(scratch.path()).into_iter().zip(cases(place)) {
        let results = [&here, &there].map(|case| {
            case.prepare();
            let output = case.command().output().unwrap();
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{:?} in {}: {told}", case.words, case.room.display());
            let found = without(&files(&case.room), is_cache);
            let relative = found
                .into_iter()
                .map(|(path, bytes)| (path.strip_prefix(&case.room).unwrap().to_owned(), bytes));
            relative.collect::<Vec<_>>()
        });
        assert!(results[0] == results[1], "{:?} in {}", here.words, there.room.display());
    }
}

#[test]
fn below_a_name_that_is_no_text() {
    let scratch = tempfile::tempdir().unwrap();
    same_below(&scratch.path().join(OsStr::from_bytes(b"not \xff\xfe\ntext")));
}

#[test]
fn below_a_path_almost_as_long_as_paths_may_be() {
    let scratch = tempfile::tempdir().unwrap();
    let mut place = scratch.path().to_owned();
    while place.as_os_str().len() < 3700 {
        place.push("n".repeat(100));
    }
    same_below(&place);
}
