//! Running kbt, under its own name or another, on the fixtures.

// Each test file uses its own part of this one.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The fixtures' images.
pub const IMAGES: [&str; 8] = [
    "create-v0.img",
    "create-v0-shared.img",
    "create-v1-mixed.img",
    "create-v1-shared.img",
    "create-acpi.img",
    "create-page.img",
    "cfg-v0.img",
    "cfg-v1.img",
];

/// How a run ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// A run that did all it was asked for and said nothing.
    pub fn quiet(stdout: &str) -> Self {
        Self { code: 0, stdout: stdout.to_owned(), stderr: String::new() }
    }
}

/// A directory that goes when the test ends.
pub struct Room(tempfile::TempDir);

impl Room {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// With the fixtures' inputs in it.
    pub fn with_inputs() -> Self {
        let room = Self::new();
        for entry in fs::read_dir(fixture("in")).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, room.path(path.file_name().unwrap())).unwrap();
        }
        room
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        let path = self.path(name);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).unwrap();
    }

    /// Runs `kbt WORDS` in the room.
    pub fn kbt<S: AsRef<OsStr>>(&self, words: &[S]) -> Ended {
        self.run("kbt", words)
    }

    /// Runs kbt under the name of another tool.
    pub fn run<S: AsRef<OsStr>>(&self, argv0: &str, words: &[S]) -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kbt"));
        let output = command.arg0(argv0).args(words).current_dir(self.0.path()).output().unwrap();
        Ended {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The names of what lies in the room or a directory of it, sorted.
    pub fn names(&self, directory: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(directory)).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// A file that AOSP's mkdtboimg.py made, or its input.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/mkdtboimg").join(name)
}

/// The words of a command line as a test writes it.
pub fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// Runs `kbt dtbo pack`.
pub fn pack(room: &Room, line: &str) -> Ended {
    room.kbt(&words(&format!("dtbo pack {line}")))
}

/// A room with the fixture's image as `a.img`.
pub fn with_image(name: &str) -> Room {
    let room = Room::with_inputs();
    room.write("a.img", fs::read(fixture(name)).unwrap());
    room
}

/// The image with what a partition has behind it: padding, vbmeta, and the footer in the last 64 bytes.
pub fn partition(image: &[u8]) -> Vec<u8> {
    let mut bytes = image.to_vec();
    bytes.resize(16384, 0);
    bytes[12288..12292].copy_from_slice(b"AVB0");
    let footer = bytes.len() - 64;
    bytes[footer..footer + 12].copy_from_slice(b"AVBf\0\0\0\x01\0\0\0\0");
    let quads = [image.len() as u64, 12288, 1984];
    for (index, quad) in quads.into_iter().enumerate() {
        bytes[footer + 12 + index * 8..][..8].copy_from_slice(&quad.to_be_bytes());
    }
    bytes
}

/// `kbt dtbo LINE` must end with this code and this on standard error, and nothing else.
pub fn refuses(room: &Room, line: &str, code: i32, expected: &str) {
    let ended = room.kbt(&words(&format!("dtbo {line}")));
    assert_eq!((ended.stderr.as_str(), ended.stdout.as_str()), (expected, ""), "{line}");
    assert_eq!(ended.code, code, "{line}");
}
