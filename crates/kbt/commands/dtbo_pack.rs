//! `kbt dtbo pack`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use kbt_compress::{Compression, compress, crc32};
use kbt_dtbo_image::{
    AvbFooter, Blob, CompressionFormat, DEFAULT_PAGE_SIZE, Gap, Image, Layout, PackEntry, TableKind, repack,
};

use crate::args::dtbo::Pack;
use crate::depfile;
use crate::dtbo::build::{Request, Source, build, time_to_compress};
use crate::dtbo::image::{TOO_LARGE, compression_of, decode, format_of, refusal};
use crate::dtbo::manifest::{self, Manifest};
use crate::dtbo::{config, entry_word};
use crate::inputs::Inputs;
use crate::output::{Output, Set};
use crate::report::{Failure, Report};
use crate::workers::{self, Jobs};

/// Makes the image and writes it as a whole.
pub fn run(args: Pack, jobs: Jobs, report: &mut Report) -> Result<(), Failure> {
    let output = Output::parse(&args.output);
    output.leave_json(report)?;
    if (args.config.is_some() || args.manifest.is_some()) && args.defaults.is_set() {
        return Err(Failure::usage("fields of entries are set beside a configuration or a manifest")
            .hint("set them in that file"));
    }
    let mut inputs = Inputs::default();
    let image = match &args.manifest {
        Some(path) => join(path, args.max_size, &mut inputs, jobs, report)?,
        None => make(&args, &mut inputs, jobs, report)?,
    };
    report.field("size", image.len());
    let mut files = Set::made_of(&inputs);
    depfile::add(&args.depfile, &output, &mut files)?;
    output.write_with(files, &image, args.sync)
}

fn make(args: &Pack, inputs: &mut Inputs, jobs: Jobs, report: &mut Report) -> Result<Vec<u8>, Failure> {
    let options = &args.image;
    let mut request = Request {
        kind: options.kind.unwrap_or(TableKind::Dtb),
        version: options.table_version,
        page_size: options.page_size.unwrap_or(DEFAULT_PAGE_SIZE),
        alignment: options.align.unwrap_or(1),
        pad_to_page: options.pad_to_page,
        compression: args.defaults.compression,
        share: args.share,
        drop_fields: false,
    };
    let sources = match &args.config {
        Some(path) => {
            let config = config::read(path.as_os_str())?;
            config::apply(&config, &mut request);
            config::sources(config, args.dtb_dir.as_deref().unwrap_or(Path::new(".")))?
        }
        None => {
            let sources: Result<Vec<Source>, Failure> =
                args.entries.iter().map(|word| entry_word::parse(word)).collect();
            let mut sources = sources?;
            let defaults = args.defaults.options();
            sources.iter_mut().for_each(|source| source.options = source.options.or(&defaults));
            sources
        }
    };
    inputs.files(&args.config);
    inputs.files(sources.iter().map(|source| &source.file));
    build(&sources, &request, jobs, report)
}

/// Joins what `unpack` took apart.
fn join(
    path: &Path,
    max_size: usize,
    inputs: &mut Inputs,
    jobs: Jobs,
    report: &mut Report,
) -> Result<Vec<u8>, Failure> {
    let at_manifest = |failure: Failure| match failure.file {
        None => failure.at_file(path.display()),
        Some(_) => failure,
    };
    let manifest = Manifest::read(path)?;
    let directory = path.parent().unwrap_or(Path::new("."));
    inputs.file(path);
    // Who deleted one of two that stand for a blob wants it built without.
    let files = manifest.files().map(|name| directory.join(name));
    inputs.files(files.filter(|file| file.exists()));
    let parts = Parts::read(&manifest, directory, max_size, jobs, report).map_err(at_manifest)?;
    let image = parts.image(&manifest).map_err(at_manifest)?;
    let repacked = repack(&image).map_err(|error| at_manifest(refusal(&error)))?;
    let changed = manifest::crc(crc32(&repacked.bytes)) != manifest.crc32;
    report.field("changed", changed);
    report.field("moved", repacked.moved);
    if changed && AvbFooter::find(&parts.trailing).is_some() {
        let what = if repacked.trailing_dropped { "was left out" } else { "no longer fits the image" };
        report.warn(
            Failure::new("avb-footer", format!("the AVB footer {what}"))
                .at_file(path.display())
                .hint("sign the image anew (avbtool add_hash_footer)"),
        );
    } else if repacked.trailing_dropped {
        report.warn(
            Failure::new(
                "trailing-dropped",
                "the bytes that followed the image were left out, for its size changed",
            )
            .at_file(path.display()),
        );
    }
    Ok(repacked.bytes)
}

/// The bytes that a manifest's files hold.
struct Parts {
    blobs: Vec<Vec<u8>>,
    gaps: Vec<Vec<u8>>,
    trailing: Vec<u8>,
}

impl Parts {
    fn read(
        manifest: &Manifest,
        directory: &Path,
        max_size: usize,
        jobs: Jobs,
        report: &mut Report,
    ) -> Result<Self, Failure> {
        let all_gaps: u64 = manifest.gaps.iter().map(|gap| u64::from(gap.size)).sum();
        if all_gaps > u64::from(manifest.total_size) {
            let message = format!("the gaps have {all_gaps} bytes, more than the image");
            return Err(Failure::new("bad-manifest", message));
        }
        let cost = |blob: &manifest::Blob| cost(blob, directory);
        let step = |blob: &manifest::Blob| stored(blob, directory, max_size);
        let blobs = workers::map(jobs, report, "entries packed", &manifest.blobs, cost, step)?;
        let gaps = manifest.gaps.iter().map(|gap| match &gap.file {
            Some(file) => manifest::read_file(directory, file),
            None => zeros(gap.size),
        });
        Ok(Self {
            blobs,
            gaps: gaps.collect::<Result<_, _>>()?,
            trailing: match &manifest.trailing {
                Some(file) => manifest::read_file(directory, file)?,
                None => Vec::new(),
            },
        })
    }

    fn image(&self, manifest: &Manifest) -> Result<Image<'_>, Failure> {
        let entries = manifest.entries.iter().enumerate().map(|(index, entry)| {
            let entry = entry.fields()?;
            agree(index, &entry, &manifest.blobs)?;
            Ok(entry)
        });
        let blobs = manifest.blobs.iter().zip(&self.blobs);
        let gaps = manifest.gaps.iter().zip(&self.gaps);
        Ok(Image {
            layout: Layout {
                kind: manifest.table_kind()?,
                version: manifest.table_version()?,
                page_size: manifest.page_size,
                alignment: manifest.alignment,
            },
            entries_offset: manifest.entries_offset,
            total_size: manifest.total_size,
            entries: entries.collect::<Result<_, Failure>>()?,
            blobs: blobs.map(|(blob, bytes)| Blob { offset: blob.offset, bytes }).collect(),
            gaps: gaps.map(|(gap, bytes)| Gap { offset: gap.offset as usize, bytes }).collect(),
            trailing: &self.trailing,
        })
    }
}

/// About how long [`stored`] takes: where there is no content beside the stored bytes, they are only read.
fn cost(blob: &manifest::Blob, directory: &Path) -> Duration {
    let (Some(content), Ok(Some(compression))) = (&blob.content, blob.compression()) else {
        return Duration::ZERO;
    };
    let size = fs::metadata(directory.join(content)).map_or(0, |metadata| metadata.len());
    time_to_compress(compression, size)
}

/// The bytes of a blob: those stored, unless the content beside them says something else by now.
fn stored(blob: &manifest::Blob, directory: &Path, max_size: usize) -> Result<Vec<u8>, Failure> {
    let Some(compression) = blob.compression()? else {
        return manifest::read_file(directory, &blob.stored);
    };
    let content = match &blob.content {
        Some(content) => manifest::find_file(directory, content)?,
        None => None,
    };
    let Some(content) = content else {
        // Who deletes the content wants the stored bytes as they are.
        let stored = manifest::read_file(directory, &blob.stored)?;
        is_stream(blob, &stored, compression, max_size)?;
        return Ok(stored);
    };
    // And who deletes the stored bytes wants the content compressed anew.
    if let Some(stored) = manifest::find_file(directory, &blob.stored)?
        // What grows past the content is not the content.
        && decode(&stored, format_of(compression), content.len())
            .is_ok_and(|old| old.compression == compression && old.bytes == content)
    {
        return Ok(stored);
    }
    compress(compression, &content)
        .map_err(|error| Failure::new("compressor", error.to_string()).at_file(&blob.stored))
}

/// Refuses stored bytes that are not what the manifest says of them.
fn is_stream(
    blob: &manifest::Blob,
    stored: &[u8],
    compression: Compression,
    max_size: usize,
) -> Result<(), Failure> {
    if compression == Compression::None {
        return Ok(());
    }
    let failure = match decode(stored, format_of(compression), max_size) {
        Ok(found) if found.compression == compression => return Ok(()),
        Ok(found) => {
            let message = format!("the manifest says {compression}, but this is {}", found.compression);
            Failure::new("bad-manifest", message)
        }
        Err(failure) if failure.code == TOO_LARGE => return Err(failure.at_file(&blob.stored)),
        Err(failure) => {
            let message = format!("the manifest says {compression}, but {}", failure.message);
            Failure::new("bad-manifest", message)
        }
    };
    Err(failure.at_file(&blob.stored).hint("to have it compressed, name its device tree as content"))
}

/// Refuses an entry whose flags say another compression than its blob has. zlib and gzip are one here, as for those
/// who read images: they take either stream under either flag.
fn agree(index: usize, entry: &PackEntry, blobs: &[manifest::Blob]) -> Result<(), Failure> {
    let Some(blob) = blobs.get(entry.blob) else { return Ok(()) };
    let Some(compression) = blob.compression()? else { return Ok(()) };
    let kind = |compression| match compression {
        Compression::Gzip => Compression::Zlib,
        other => other,
    };
    let stated = CompressionFormat::of_flags(entry.flags);
    if compression_of(stated).map(kind) == Some(kind(compression)) {
        return Ok(());
    }
    let message = match compression_of(stated) {
        Some(stated) => format!(
            "the flags of entry {index} ({:#x}) say {stated}, and its blob {} says {compression}",
            entry.flags, entry.blob
        ),
        None => format!(
            "the flags of entry {index} ({:#x}) say compression {}, which is not known, and its blob {} says {compression}",
            entry.flags,
            entry.flags & 0xf,
            entry.blob
        ),
    };
    Err(Failure::new("bad-manifest", message)
        .hint("change both: the low four bits of the flags are 0 none, 1 zlib, 2 gzip or 3 lz4"))
}

/// So many zero bytes; a manifest may state any number.
fn zeros(count: u32) -> Result<Vec<u8>, Failure> {
    let mut zeros = Vec::new();
    zeros
        .try_reserve_exact(count as usize)
        .map_err(|_| Failure::new("no-memory", format!("there is no memory for a gap of {count} bytes")))?;
    zeros.resize(count as usize, 0);
    Ok(zeros)
}
