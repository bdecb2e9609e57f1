//! How a kernel is built, besides the plain way.

use std::path::PathBuf;
use std::process::Command;

use crate::fetch;
use crate::place;
use crate::run::Result;

/// How it is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variant {
    /// With the types of all that it has (CONFIG_DEBUG_INFO_BTF), which are made of a linked image.
    pub btf: bool,
    /// By clang and ld.lld.
    pub llvm: bool,
}

/// Clang and what belongs to it, with Debian's packages.
const LLVM: [(&str, &str); 3] = [("clang", "clang"), ("ld.lld", "lld"), ("llvm-nm", "llvm")];

impl Variant {
    /// As a kernel is built where nothing is said.
    pub const PLAIN: Self = Self { btf: false, llvm: false };

    /// Behind the names of builds and logs.
    pub fn suffix(self) -> String {
        let parts = [(self.btf, "-btf"), (self.llvm, "-llvm")];
        parts.iter().filter(|(is_on, _)| *is_on).map(|(_, name)| *name).collect()
    }

    /// Behind the name of the machine, in a table.
    pub fn title(self) -> String {
        let parts = [(self.btf, ", BTF"), (self.llvm, ", clang and ld.lld")];
        parts.iter().filter(|(is_on, _)| *is_on).map(|(_, name)| *name).collect()
    }

    /// What it needs of this machine, with Debian's packages.
    pub fn needed(self) -> &'static [(&'static str, &'static str)] {
        if self.llvm { &LLVM } else { &[] }
    }

    /// Fetches what it needs and Debian has.
    pub fn fetch(self) -> Result {
        if self.btf { fetch::fetch_one("pahole") } else { Ok(()) }
    }

    /// Lines of the configuration.
    pub fn config(self) -> &'static str {
        if self.btf { include_str!("guest/btf.config") } else { "" }
    }

    /// Words for make.
    pub fn tell(self, make: &mut Command) {
        if self.btf {
            let pahole: PathBuf = place::peers().join("bin/pahole");
            make.arg(format!("PAHOLE={}", pahole.display()));
        }
        if self.llvm {
            make.args(["LLVM=1", "HOSTCC=gcc", "HOSTCXX=g++"]);
        }
    }

    /// How often kbt links.
    pub fn links(self) -> usize {
        if self.btf { 2 } else { 1 }
    }
}
