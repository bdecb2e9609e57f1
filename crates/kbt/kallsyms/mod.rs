//! What the commands on kernels' tables share.

pub mod image;
pub mod kernel_file;
pub mod plan;

use std::ffi::OsStr;

use kbt_kallsyms::{Error, ErrorKind};

use crate::input;
use crate::report::Failure;

/// Reads nm's lines or a linker script.
pub fn read_text(word: &OsStr) -> Result<Vec<u8>, Failure> {
    let bytes = input::read(word)?;
    if bytes.iter().take(40).any(|&byte| byte == 0) {
        return Err(Failure::new("not-text", "this is no text").at_file(input::name(word)));
    }
    Ok(bytes)
}

/// An error of the library as this program tells it, with the likely mend.
pub fn refusal(error: &Error) -> Failure {
    let (code, hint) = match &error.kind {
        ErrorKind::Elf(_) => ("bad-elf", None),
        ErrorKind::NoSymbolTable => ("no-symbol-table", Some("give the vmlinux before it was stripped")),
        ErrorKind::NoSymbols => (
            "no-symbols",
            Some("without --all-symbols, _stext, _etext, _sinittext and _einittext say what is text"),
        ),
        ErrorKind::NoTable => ("no-table", Some("the kernel may have been built without CONFIG_KALLSYMS")),
        ErrorKind::AddressOutOfRange { .. } => (
            "address-out-of-range",
            Some("--addresses, --absolute-percpu and --kernel say how addresses are kept"),
        ),
        ErrorKind::TooManySymbols { .. } => ("too-many-symbols", None),
        ErrorKind::OtherMachine | ErrorKind::OtherTokens | ErrorKind::OtherSize { .. } => {
            ("wrong-pad-file", Some("the pad file is of another link; objects and pad file go together"))
        }
        ErrorKind::UnknownAddresses => (
            "unknown-addresses",
            Some("give the file that `kbt kallsyms pad --pad-file` has written: --pad-file"),
        ),
        ErrorKind::Overlap { .. } => ("overlap", Some("the file is damaged; link it again")),
        ErrorKind::NotAsked => {
            ("not-asked", Some("give every object of the link (vmlinux.o), of a kernel with CONFIG_KALLSYMS"))
        }
        ErrorKind::HasTable => ("has-table", Some("leave out the object that brings the table")),
        ErrorKind::NoCode { .. } => (
            "no-code",
            Some("the link has brought a name that no object has: give `pad` every object of the link"),
        ),
        _ => ("bad-table", None),
    };
    let mut failure = Failure::new(code, error.kind.to_string());
    failure.offset = error.offset;
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
