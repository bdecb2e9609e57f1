//! `kbt dtbo pack`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use kbt_compress::{compress, crc32};
use kbt_dtbo_image::{AvbFooter, Blob, DEFAULT_PAGE_SIZE, Gap, Image, Layout, TableKind, repack};

use crate::args::dtbo::Pack;
use crate::dtbo::build::{Request, Source, build, time_to_compress};
use crate::dtbo::image::{decode, format_of, refusal};
use crate::dtbo::manifest::{self, Manifest};
use crate::dtbo::{config, entry_word};
use crate::output::Output;
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
    let sync = args.sync;
    let image = match &args.manifest {
        Some(path) => join(path, args.limit.max_size, jobs, report)?,
        None => make(args, jobs, report)?,
    };
    report.field("size", image.len());
    output.write(&image, sync)
}

fn make(args: Pack, jobs: Jobs, report: &mut Report) -> Result<Vec<u8>, Failure> {
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
            let config = config::read(path)?;
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
    build(&sources, &request, jobs, report)
}

/// Joins what `unpack` took apart.
fn join(path: &Path, max_size: usize, jobs: Jobs, report: &mut Report) -> Result<Vec<u8>, Failure> {
    let at_manifest = |failure: Failure| match failure.file {
        None => failure.at_file(path.display()),
        Some(_) => failure,
    };
    let manifest = Manifest::read(path)?;
    let directory = path.parent().unwrap_or(Path::new("."));
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
            None => Ok(vec![0; gap.size as usize]),
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
        let entries: Result<Vec<_>, Failure> = manifest.entries.iter().map(manifest::Entry::fields).collect();
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
            entries: entries?,
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
    let stored = manifest::read_file(directory, &blob.stored);
    let (Some(content), Some(compression)) = (&blob.content, blob.compression()?) else { return stored };
    let content = match manifest::read_file(directory, content) {
        Ok(content) => content,
        // Who deletes the content wants the stored bytes as they are.
        Err(_) if stored.is_ok() => return stored,
        Err(failure) => return Err(failure),
    };
    if let Ok(stored) = stored
        && decode(&stored, format_of(compression), max_size).is_ok_and(|old| old.bytes == content)
    {
        return Ok(stored);
    }
    compress(compression, &content)
        .map_err(|error| Failure::new("compressor", error.to_string()).at_file(&blob.stored))
}
