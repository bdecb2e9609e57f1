//! What a call tells about its failure: a code, a place, and one sentence in a fixed buffer of the caller's.

use core::fmt::{self, Write as _};

/// `kbt_code` of the header.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// It worked.
    Ok = 0,
    /// A null pointer, or a size that no object has.
    Argument = 1,
    /// `dto_malloc` gave null.
    Memory = 2,
    /// An input is no sound device tree.
    Tree = 3,
    /// The overlay does not apply to the base.
    Overlay = 4,
    /// It is no sound DTBO image.
    Image = 5,
    /// The image has no such entry.
    NoEntry = 6,
    /// An entry is corrupt, or compressed in a way that is not known here.
    Compression = 7,
    /// The result would be larger than it may be.
    TooLarge = 8,
}

/// Bytes of the sentence, its NUL included.
const TEXT: usize = 256;
/// What a sentence that is cut ends in.
const CUT: &[u8] = b"...";
/// `overlay` where it is not about an overlay.
const NO_OVERLAY: u32 = u32::MAX;
/// `offset` where there is none.
const NO_OFFSET: usize = usize::MAX;

/// `struct kbt_error` of the header.
#[repr(C)]
pub struct KbtError {
    code: u32,
    /// The overlay that it is about, from 0.
    overlay: u32,
    /// Byte offset in that overlay, in the base or in the image.
    offset: usize,
    /// Printable ASCII with a NUL at its end.
    text: [u8; TEXT],
}

/// Why a call gives nothing.
pub type Problem = KbtError;

impl KbtError {
    /// Of a call that worked.
    pub fn none() -> Self {
        Self { code: Code::Ok as u32, overlay: NO_OVERLAY, offset: NO_OFFSET, text: [0; TEXT] }
    }

    /// With a sentence.
    pub fn new(code: Code, text: fmt::Arguments<'_>) -> Self {
        let mut error = Self { code: code as u32, ..Self::none() };
        let mut writer = Text { text: &mut error.text, len: 0 };
        // Nothing in here fails but the buffer's end, where the sentence is cut.
        if writer.write_fmt(text).is_err() {
            writer.cut();
        }
        error
    }

    /// A null pointer, or a size that no object has.
    pub fn argument() -> Self {
        Self::new(Code::Argument, format_args!("an argument is null, misaligned or too large"))
    }

    /// The host has no memory.
    pub fn memory() -> Self {
        Self::new(Code::Memory, format_args!("dto_malloc has no memory"))
    }

    /// Names the byte in the base or the image.
    pub fn at(self, offset: Option<usize>) -> Self {
        Self { offset: offset.unwrap_or(NO_OFFSET), ..self }
    }

    /// Names the overlay, from 0.
    pub fn in_overlay(self, index: usize) -> Self {
        Self { overlay: u32::try_from(index).unwrap_or(NO_OVERLAY), ..self }
    }

    /// What a function that gives a code returns.
    pub fn code(&self) -> u32 {
        self.code
    }
}

/// Writes printable ASCII into a buffer: names come from inputs that nobody vouches for, and consoles of boot loaders
/// know no other letters.
struct Text<'t> {
    text: &'t mut [u8; TEXT],
    len: usize,
}

impl Text<'_> {
    fn cut(&mut self) {
        // The last byte stays 0.
        if let Some(tail) = self.text.get_mut(TEXT - 1 - CUT.len()..TEXT - 1) {
            tail.copy_from_slice(CUT);
        }
    }
}

impl fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for letter in text.chars() {
            let shown = u8::try_from(letter).ok().filter(|byte| (b' '..=b'~').contains(byte)).unwrap_or(b'?');
            let place = self.text.get_mut(self.len).filter(|_| self.len < TEXT - 1).ok_or(fmt::Error)?;
            *place = shown;
            self.len += 1;
        }
        Ok(())
    }
}
