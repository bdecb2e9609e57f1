//! `cargo xtask e2e`: whole stories from the outside, too long for the default run.

mod capi;
mod device;
mod guest;
mod initramfs;
mod integrations;
mod kernel;
mod package;
mod system;

pub use self::kernel::serial_ends;

use crate::areas::{self, Area};
use crate::run::Result;

const AREAS: &[Area] = &[
    Area {
        name: "capi",
        help: "an arm64 kernel boots with a tree that the C library merged, and shows it",
        run: capi::run,
    },
    Area {
        name: "device",
        help: "a jobserver that is a character device, in a guest whose kernel can have one",
        run: device::run,
    },
    Area {
        name: "integrations",
        help: "DKMS, initramfs-tools and dracut with kbt's depmod and with kmod's: the same files",
        run: integrations::run,
    },
    Area {
        name: "kernel",
        help: "kernels that were linked once boot and know their symbols: [--version 6.1|6.12|7.x] [--arch x86_64|arm64] [--btf] [--llvm]",
        run: kernel::run,
    },
    Area {
        name: "package",
        help: "the Debian package, kmod and device-tree-compiler come and go in every order",
        run: package::run,
    },
];

/// The verb: the area, then the area's own words.
pub fn run(words: &[String]) -> Result {
    areas::run(AREAS, "which story?", words)
}
