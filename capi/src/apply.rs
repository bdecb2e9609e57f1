//! Overlays merged into a base, in the memory of one workspace.

use alloc::vec::Vec;
use core::fmt;

use kbt_dto::{Error, ErrorKind, Input, Place};

use crate::bound;
use crate::error::{Code, KbtError, Problem};
use crate::host::{Buffer, Workspace};

/// `struct kbt_options` of the header.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Options {
    /// Zero bytes to leave free at the end of the tree.
    padding: u32,
    /// `KBT_*` flags.
    flags: u32,
}

impl Options {
    const CONCAT_BOOTARGS: u32 = 1;
    const LOOSE_NAMES: u32 = 2;
    const FORBID_ROOT: u32 = 4;
    const LABELS_ONLY: u32 = 8;
    const KNOWN: u32 = 15;

    fn of_merge(self) -> Result<kbt_dto::Options, Problem> {
        if self.flags & !Self::KNOWN != 0 {
            return Err(KbtError::new(
                Code::Argument,
                format_args!("unknown flags {:#x}", self.flags & !Self::KNOWN),
            ));
        }
        let has = |flag| self.flags & flag != 0;
        Ok(kbt_dto::Options {
            padding: self.padding,
            concat_bootargs: has(Self::CONCAT_BOOTARGS),
            loose_names: has(Self::LOOSE_NAMES),
            forbid_root: has(Self::FORBID_ROOT),
            labels_only: has(Self::LABELS_ONLY),
        })
    }
}

/// Merges all overlays into `base`; `None` among them is a null pointer.
///
/// # Errors
/// An argument that cannot be, an input that is refused, or no memory.
pub fn apply<'a>(
    base: &'a [u8],
    overlays: impl ExactSizeIterator<Item = Option<&'a [u8]>> + Clone,
    options: &Options,
) -> Result<Buffer, Problem> {
    let options = options.of_merge()?;
    let size = bound::of_merge(base, overlays.clone(), options.loose_names).ok_or_else(KbtError::argument)?;
    let workspace = Workspace::enter(size)?;
    let merged = {
        let mut inputs = Vec::with_capacity(overlays.len());
        inputs.extend(overlays.map(Option::unwrap_or_default));
        kbt_dto::apply(base, &inputs, &options).map(|merged| merged.bytes)
    };
    match merged {
        Ok(bytes) => workspace.hand_over(bytes),
        Err(error) if error.kind == ErrorKind::NoMemory && workspace.was_refused() => Err(KbtError::memory()),
        Err(error) => Err(problem(&error)),
    }
}

fn problem(error: &Error) -> Problem {
    let code = match &error.kind {
        ErrorKind::Malformed(_) => Code::Tree,
        ErrorKind::TooLarge | ErrorKind::NoMemory => Code::TooLarge,
        _ => Code::Overlay,
    };
    let problem = KbtError::new(code, format_args!("{}", Sentence(error))).at(error.place.offset);
    match error.place.input {
        Input::Base => problem,
        Input::Overlay(index) => problem.in_overlay(index),
    }
}

/// The error with its place, in one sentence: `overlay 1: fragment@0: label 'x' is not in the base tree`.
struct Sentence<'e>(&'e Error);

impl fmt::Display for Sentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { input, offset, fragment, property } = &*self.0.place;
        match input {
            Input::Base => f.write_str("base: ")?,
            Input::Overlay(index) => write!(f, "overlay {index}: ")?,
        }
        if let Some(fragment) = fragment {
            write!(f, "{fragment}: ")?;
        }
        if let Some(property) = property {
            write!(f, "property '{property}': ")?;
        }
        write!(f, "{}", self.0)?;
        if let Some(offset) = offset {
            write!(f, " (at byte {offset})")?;
        }
        match &self.0.kind {
            ErrorKind::UnresolvedLabel { near, .. } if !near.is_empty() => {
                f.write_str("; did you mean ")?;
                near.iter().enumerate().try_for_each(|(number, label)| {
                    f.write_str(if number == 0 { "" } else { ", " })?;
                    f.write_str(label)
                })?;
                f.write_str("?")
            }
            ErrorKind::TargetPathMissing { loose: Some(loose), .. } => write!(f, "; there is {loose}"),
            _ => Ok(()),
        }
    }
}
