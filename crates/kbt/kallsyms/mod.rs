//! What the commands on kernels' tables share.

pub mod image;
pub mod kernel_file;
pub mod plan;

use kbt_kallsyms::{Error, ErrorKind};

use crate::report::Failure;

/// Lets what is freed be used again, instead of going back to the system and being asked for anew, page by page, which took
/// a fifth of a patch's time. glibc gives large blocks back as soon as they are freed, until it has seen one that was freed:
/// from then on it keeps blocks of up to that size. Other allocators take no notice.
pub fn keep_memory() {
    /// A little less than the largest block that glibc learns from.
    const MOST: usize = (32 << 20) - (1 << 16);
    // Not a page of it is touched.
    drop(std::hint::black_box(Vec::<u8>::with_capacity(MOST)));
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
