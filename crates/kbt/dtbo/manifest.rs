//! `manifest.json`: what ties the files of an unpacked image together.

use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Component, Path, PathBuf};

use kbt_compress::Compression;
use kbt_dtbo_image::{PackEntry, TableKind, TableVersion, parse_number};
use rustix::fs::OFlags;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::input::MAX_FILE;
use crate::report::Failure;

/// The name of the file in its directory.
pub const FILE: &str = "manifest.json";
/// What `format` says.
const FORMAT: &str = "kbt-dtbo-1";

/// An unpacked image.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Name and version of this layout.
    pub format: String,
    /// `dtb` or `acpi`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Of the table.
    pub version: u32,
    /// As the header states it.
    pub page_size: u32,
    /// As the header states it.
    pub entries_offset: u32,
    /// As the header states it.
    pub total_size: u32,
    /// The alignment of the blobs, for the case that they move.
    pub alignment: u32,
    /// CRC-32 of the whole image, to tell whether it changed.
    pub crc32: String,
    /// The table.
    pub entries: Vec<Entry>,
    /// What the entries point at.
    pub blobs: Vec<Blob>,
    /// Bytes that belong to nothing.
    pub gaps: Vec<Gap>,
    /// The file that holds what follows the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trailing: Option<String>,
}

/// An entry of the table; numbers are written as on the command line.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Index of the blob.
    pub blob: usize,
    /// See `DtTableEntry`.
    pub id: String,
    /// See `DtTableEntry`.
    pub rev: String,
    /// See `DtTableEntry`; left out in version 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flags: Option<String>,
    /// As many as the version has.
    pub custom: Vec<String>,
}

/// Bytes that entries point at.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blob {
    /// Where they lay; left out for a blob that is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u32>,
    /// The file that holds them as stored.
    pub stored: String,
    /// How they are compressed.
    pub compression: String,
    /// The file that holds the device tree; left out where it is `stored` itself or cannot be had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}

/// Bytes between the parts.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gap {
    /// Where they lie.
    pub offset: u32,
    /// How many.
    pub size: u32,
    /// The file that holds them; left out where they are zeros.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

impl Manifest {
    /// A manifest of this layout version, to be filled.
    pub fn new() -> Self {
        Self {
            format: FORMAT.to_owned(),
            kind: TableKind::Dtb.name().to_owned(),
            version: 0,
            page_size: 0,
            entries_offset: 0,
            total_size: 0,
            alignment: 1,
            crc32: String::new(),
            entries: Vec::new(),
            blobs: Vec::new(),
            gaps: Vec::new(),
            trailing: None,
        }
    }

    /// Reads a manifest; no file that it names is looked at.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let bytes = read_plain(path).map_err(|error| Failure::io("read", path.display(), &error))?;
        let manifest: Self = serde_json::from_slice(&bytes)
            .map_err(|error| Failure::new("bad-manifest", error.to_string()).at_file(path.display()))?;
        if manifest.format != FORMAT {
            let message = format!("this manifest is of format '{}', not '{FORMAT}'", manifest.format);
            return Err(Failure::new("bad-manifest", message).at_file(path.display()));
        }
        Ok(manifest)
    }

    /// As text.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Failure> {
        let mut bytes = serde_json::to_vec_pretty(self)
            .map_err(|error| Failure::new("bad-manifest", error.to_string()))?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// The files that it names. Of a blob that is there twice, stored and as a device tree, one may be missing.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        let blobs = self.blobs.iter().flat_map(|blob| [Some(&blob.stored), blob.content.as_ref()]);
        let gaps = self.gaps.iter().map(|gap| gap.file.as_ref());
        blobs.chain(gaps).chain([self.trailing.as_ref()]).flatten().map(String::as_str)
    }

    /// The kind of image.
    pub fn table_kind(&self) -> Result<TableKind, Failure> {
        TableKind::from_name(&self.kind).ok_or_else(|| bad("type", &self.kind))
    }

    /// The version of the table.
    pub fn table_version(&self) -> Result<TableVersion, Failure> {
        TableVersion::from_number(self.version).ok_or_else(|| bad("version", &self.version.to_string()))
    }
}

impl Entry {
    /// The entry as the table has it.
    pub fn fields(&self) -> Result<PackEntry, Failure> {
        let mut entry = PackEntry {
            blob: self.blob,
            id: number("id", &self.id)?,
            rev: number("rev", &self.rev)?,
            flags: self.flags.as_deref().map_or(Ok(0), |flags| number("flags", flags))?,
            ..PackEntry::default()
        };
        if self.custom.len() > entry.custom.len() {
            return Err(bad("custom", &format!("{} words", self.custom.len())));
        }
        for (slot, text) in entry.custom.iter_mut().zip(&self.custom) {
            *slot = number("custom", text)?;
        }
        Ok(entry)
    }
}

impl Blob {
    /// How the blob is compressed; `None` where kbt could not tell when it was unpacked.
    pub fn compression(&self) -> Result<Option<Compression>, Failure> {
        match Compression::from_name(&self.compression) {
            Some(compression) => Ok(Some(compression)),
            None if self.compression == "unknown" => Ok(None),
            None => Err(bad("compression", &self.compression)),
        }
    }
}

/// A number as manifests spell it.
pub fn hex(value: u32) -> String {
    format!("{value:#010x}")
}

/// A checksum as manifests spell it.
pub fn crc(value: u32) -> String {
    format!("{value:08x}")
}

/// Reads a file that a manifest names, `None` where there is none. The name must be a plain one, so that a manifest
/// from elsewhere cannot pull in what lies outside its directory.
pub fn find_file(directory: &Path, name: &str) -> Result<Option<Vec<u8>>, Failure> {
    let path = place(directory, name)?;
    match read_plain(&path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::io("read", path.display(), &error)),
    }
}

/// Reads a file that a manifest names and that must be there.
pub fn read_file(directory: &Path, name: &str) -> Result<Vec<u8>, Failure> {
    let missing = || {
        let error = io::Error::from_raw_os_error(Errno::NOENT.raw_os_error());
        Failure::io("read", directory.join(name).display(), &error)
    };
    find_file(directory, name)?.ok_or_else(missing)
}

/// Reads a regular file. A symbolic link is not followed, for it may lead out of the directory, and a FIFO is not
/// waited for.
fn read_plain(path: &Path) -> io::Result<Vec<u8>> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = file.map_err(|error| match error.raw_os_error() {
        Some(code) if code == Errno::LOOP.raw_os_error() => {
            io::Error::other("this is a symbolic link, which is not followed here")
        }
        _ => error,
    })?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("this is no regular file"));
    }
    if metadata.len() > MAX_FILE {
        return Err(io::Error::other("larger than 4 GiB"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn place(directory: &Path, name: &str) -> Result<PathBuf, Failure> {
    let mut parts = Path::new(name).components();
    if !matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None) if part == name) {
        let message = format!("the manifest names '{name}', which does not lie in its own directory");
        return Err(
            Failure::new("bad-manifest", message).hint("give the plain name of a file beside the manifest")
        );
    }
    Ok(directory.join(name))
}

fn number(key: &str, text: &str) -> Result<u32, Failure> {
    parse_number(text).ok_or_else(|| bad(key, text))
}

fn bad(key: &str, value: &str) -> Failure {
    Failure::new("bad-manifest", format!("'{value}' is no value for {key} in the manifest"))
}
