//! The table of what is fetched.

use super::kbuild::Kbuild;
use super::kernel::{Kernel, Part};
use super::packed::{Packed, Packer};
use super::programs::Programs;

/// One thing to fetch.
pub struct Peer {
    pub name: &'static str,
    /// Debian's suite.
    pub suite: &'static str,
    /// Whether only the long tests need it.
    pub long: bool,
    pub what: What,
}

pub enum What {
    /// Programs for this machine.
    Programs(Programs),
    /// A set of modules, compressed.
    Packed(Packed),
    /// Programs of a kernel's build.
    Kbuild(Kbuild),
    /// Of a kernel's package.
    Kernel(Kernel),
}

pub const PEERS: &[Peer] = &[
    Peer {
        name: "tools",
        suite: "trixie",
        long: false,
        what: What::Programs(Programs {
            packages: &["device-tree-compiler", "libc6", "libfdt1", "libfdt-dev", "libyaml-0-2"],
            commands: &[
                ("dtc", "dtc"),
                ("fdtdump", "fdtdump"),
                ("fdtget", "fdtget"),
                ("fdtoverlay", "fdtoverlay"),
                ("fdtput", "fdtput"),
            ],
            environment: &[],
            library: Some("libfdt.a"),
            headers: &["fdt.h", "libfdt.h", "libfdt_env.h"],
        }),
    },
    // What compresses the entries of images elsewhere: mkdtboimg.py by Python's zlib, and the lz4 of lz4's authors.
    Peer {
        name: "codecs",
        suite: "trixie",
        long: false,
        what: What::Programs(Programs {
            packages: &[
                "libc6",
                "libexpat1",
                "liblz4-1",
                "libpython3.13-minimal",
                "lz4",
                "python3.13-minimal",
                "zlib1g",
            ],
            commands: &[("lz4", "lz4"), ("python3", "python3.13")],
            environment: &[("PYTHONHOME", "$root")],
            library: None,
            headers: &[],
        }),
    },
    // The makes of two jobserver protocols: 4.3 knows pipes only, 4.4 prefers a FIFO.
    Peer {
        name: "make-4.3",
        suite: "bookworm",
        long: false,
        what: What::Programs(make(&[("make-4.3", "make")])),
    },
    Peer {
        name: "make-4.4",
        suite: "trixie",
        long: false,
        what: What::Programs(make(&[("make-4.4", "make")])),
    },
    // 1.13 is the first that is a client of a jobserver.
    Peer {
        name: "ninja",
        suite: "forky",
        long: false,
        what: What::Programs(Programs {
            packages: &["libc6", "libgcc-s1", "libstdc++6", "ninja-build"],
            commands: &[("ninja", "ninja")],
            environment: &[],
            library: None,
            headers: &[],
        }),
    },
    // Reads man pages, and says what is wrong with them.
    Peer {
        name: "mandoc",
        suite: "bookworm",
        long: false,
        what: What::Programs(Programs {
            packages: &["libc6", "mandoc", "zlib1g"],
            commands: &[("mandoc", "mandoc")],
            environment: &[],
            library: None,
            headers: &[],
        }),
    },
    Peer {
        name: "kbuild-5.10",
        suite: "bullseye",
        long: false,
        what: What::Kbuild(Kbuild { release: "5.10" }),
    },
    Peer {
        name: "kbuild-6.1",
        suite: "bookworm",
        long: false,
        what: What::Kbuild(Kbuild { release: "6.1" }),
    },
    Peer {
        name: "kbuild-6.12",
        suite: "trixie",
        long: false,
        what: What::Kbuild(Kbuild { release: "6.12" }),
    },
    Peer { name: "kbuild-7", suite: "forky", long: false, what: What::Kbuild(Kbuild { release: "7" }) },
    // Small kernels are linked for these machines by the tests.
    Peer {
        name: "binutils",
        suite: "trixie",
        long: false,
        what: What::Programs(Programs {
            packages: &[
                "binutils-aarch64-linux-gnu",
                "binutils-arm-linux-gnueabi",
                "binutils-common",
                "binutils-riscv64-linux-gnu",
                "binutils-s390x-linux-gnu",
                "libc6",
                "libjansson4",
                "libsframe1",
                "libzstd1",
                "zlib1g",
            ],
            commands: &[
                ("aarch64-linux-gnu-as", "aarch64-linux-gnu-as"),
                ("aarch64-linux-gnu-ld", "aarch64-linux-gnu-ld.bfd"),
                ("aarch64-linux-gnu-nm", "aarch64-linux-gnu-nm"),
                ("arm-linux-gnueabi-as", "arm-linux-gnueabi-as"),
                ("arm-linux-gnueabi-ld", "arm-linux-gnueabi-ld.bfd"),
                ("arm-linux-gnueabi-nm", "arm-linux-gnueabi-nm"),
                ("riscv64-linux-gnu-as", "riscv64-linux-gnu-as"),
                ("riscv64-linux-gnu-ld", "riscv64-linux-gnu-ld.bfd"),
                ("riscv64-linux-gnu-nm", "riscv64-linux-gnu-nm"),
                ("s390x-linux-gnu-as", "s390x-linux-gnu-as"),
                ("s390x-linux-gnu-ld", "s390x-linux-gnu-ld.bfd"),
                ("s390x-linux-gnu-nm", "s390x-linux-gnu-nm"),
            ],
            environment: &[],
            library: None,
            headers: &[],
        }),
    },
    // Makes BTF of a kernel's debug information (`cargo xtask e2e kernel --btf`).
    Peer {
        name: "pahole",
        suite: "trixie",
        long: true,
        what: What::Programs(Programs {
            packages: &[
                "libbpf1",
                "libbz2-1.0",
                "libc6",
                "libdw1t64",
                "libelf1t64",
                "liblzma5",
                "libzstd1",
                "pahole",
                "zlib1g",
            ],
            commands: &[("pahole", "pahole")],
            environment: &[],
            library: None,
            headers: &[],
        }),
    },
    // 590 MB of it is debug information.
    Peer {
        name: "cloud-6.1",
        suite: "bookworm",
        long: true,
        what: What::Kernel(Kernel {
            architecture: "amd64",
            meta: "linux-image-cloud-amd64",
            release: "6.1.",
            part: Part::Image,
        }),
    },
    Peer {
        name: "arm64-6.12",
        suite: "bookworm-backports",
        long: false,
        what: What::Kernel(Kernel {
            architecture: "arm64",
            meta: "linux-image-arm64",
            release: "6.12.",
            part: Part::Trees,
        }),
    },
    Peer {
        name: "arm64-6.1",
        suite: "bookworm",
        long: false,
        what: What::Kernel(Kernel {
            architecture: "arm64",
            meta: "linux-image-arm64",
            release: "6.1.",
            part: Part::Trees,
        }),
    },
    Peer {
        name: "armmp-6.1",
        suite: "bookworm",
        long: true,
        what: What::Kernel(Kernel {
            architecture: "armhf",
            meta: "linux-image-armmp",
            release: "6.1.",
            part: Part::Trees,
        }),
    },
    // To let system calls fail, on a machine that has none.
    Peer {
        name: "strace",
        suite: "bookworm",
        long: false,
        what: What::Programs(Programs {
            packages: &[
                "libc6",
                "libdw1",
                "libelf1",
                "liblzma5",
                "libbz2-1.0",
                "libunwind8",
                "strace",
                "zlib1g",
            ],
            commands: &[("strace", "strace")],
            environment: &[],
            library: None,
            headers: &[],
        }),
    },
    // For counts of instructions on a machine that has none. Its memcheck would need the symbols of the system's own
    // C library.
    Peer {
        name: "valgrind",
        suite: "bookworm",
        long: false,
        what: What::Programs(Programs {
            packages: &["libc6", "valgrind"],
            commands: &[("valgrind", "valgrind.bin")],
            environment: &[("VALGRIND_LIB", "$root/libexec/valgrind")],
            library: None,
            headers: &[],
        }),
    },
    // What packs modules where a kernel is installed.
    Peer {
        name: "packers",
        suite: "trixie",
        long: false,
        what: What::Programs(Programs {
            packages: &[
                "gzip",
                "libc6",
                "libgcc-s1",
                "liblz4-1",
                "liblzma5",
                "libstdc++6",
                "libzstd1",
                "xz-utils",
                "zlib1g",
                "zstd",
            ],
            commands: &[("gzip", "gzip"), ("xz", "xz"), ("zstd", "zstd")],
            environment: &[],
            library: None,
            headers: &[],
        }),
    },
    // The newest depmod and the one whose indexes are in the older order, with the programs that read the indexes.
    Peer {
        name: "kmod-34",
        suite: "trixie",
        long: false,
        what: What::Programs(kmod(
            &["kmod", "libc6", "libkmod2", "liblzma5", "libssl3t64", "libzstd1", "zlib1g"],
            &[("kmod-34/depmod", "kmod"), ("kmod-34/modinfo", "kmod"), ("kmod-34/modprobe", "kmod")],
        )),
    },
    Peer {
        name: "kmod-30",
        suite: "bookworm",
        long: false,
        what: What::Programs(kmod(
            &["kmod", "libc6", "libkmod2", "liblzma5", "libssl3", "libzstd1"],
            &[("kmod-30/depmod", "kmod"), ("kmod-30/modinfo", "kmod"), ("kmod-30/modprobe", "kmod")],
        )),
    },
    Peer {
        name: "modules-cloud-6.1",
        suite: "bookworm",
        long: false,
        what: What::Kernel(Kernel {
            architecture: "amd64",
            meta: "linux-image-cloud-amd64",
            release: "6.1.",
            part: Part::Modules,
        }),
    },
    Peer {
        name: "modules-amd64-6.1",
        suite: "bookworm",
        long: true,
        what: What::Kernel(Kernel {
            architecture: "amd64",
            meta: "linux-image-amd64",
            release: "6.1.",
            part: Part::Modules,
        }),
    },
    Peer {
        name: "modules-armmp-6.1",
        suite: "bookworm",
        long: true,
        what: What::Kernel(Kernel {
            architecture: "armhf",
            meta: "linux-image-armmp",
            release: "6.1.",
            part: Part::Modules,
        }),
    },
    Peer {
        name: "modules-arm64-6.1",
        suite: "bookworm",
        long: true,
        what: What::Kernel(Kernel {
            architecture: "arm64",
            meta: "linux-image-arm64",
            release: "6.1.",
            part: Part::Modules,
        }),
    },
    packed("cloud-6.1.gz", false, "cloud-6.1", Packer::Gzip),
    packed("cloud-6.1.xz", false, "cloud-6.1", Packer::Xz),
    packed("cloud-6.1.zst", false, "cloud-6.1", Packer::Zstd),
    packed("amd64-6.1.gz", true, "amd64-6.1", Packer::Gzip),
    packed("amd64-6.1.xz", true, "amd64-6.1", Packer::Xz),
    packed("amd64-6.1.zst", true, "amd64-6.1", Packer::Zstd),
    packed("armmp-6.1.gz", true, "armmp-6.1", Packer::Gzip),
    packed("armmp-6.1.xz", true, "armmp-6.1", Packer::Xz),
    packed("armmp-6.1.zst", true, "armmp-6.1", Packer::Zstd),
    packed("arm64-6.1.gz", true, "arm64-6.1", Packer::Gzip),
    packed("arm64-6.1.xz", true, "arm64-6.1", Packer::Xz),
    packed("arm64-6.1.zst", true, "arm64-6.1", Packer::Zstd),
];

/// GNU make under a name that says its version, for which the suite must have it.
const fn make(commands: &'static [(&'static str, &'static str)]) -> Programs {
    Programs { packages: &["libc6", "make"], commands, environment: &[], library: None, headers: &[] }
}

/// One program under three names: it does what its own name says.
const fn kmod(
    packages: &'static [&'static str],
    commands: &'static [(&'static str, &'static str)],
) -> Programs {
    Programs { packages, commands, environment: &[], library: None, headers: &[] }
}

/// Made here of a set that stands above it in the table.
const fn packed(name: &'static str, long: bool, modules: &'static str, packer: Packer) -> Peer {
    Peer { name, suite: "bookworm", long, what: What::Packed(Packed { modules, packer }) }
}
