//! The Debian package.
//!
//! It brings `/usr/bin/kbt`, and the names of the replaced tools as links in `/usr/lib/kbt/bin`. What makes them
//! commands are alternatives, and only for names that no other package has a file of: kmod's and
//! device-tree-compiler's files stay as they are. Who wants kbt's puts that directory into the path.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::apt;
use crate::files::{cannot, create, names, remove};
use crate::run::{self, Result};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Where shells look for completions.
const COMPLETIONS: [(&str, &str); 3] = [
    ("kbt.bash", "usr/share/bash-completion/completions/kbt"),
    ("_kbt", "usr/share/zsh/vendor-completions/_kbt"),
    ("kbt.fish", "usr/share/fish/vendor_completions.d/kbt.fish"),
];

/// The names that become alternatives, each with its place.
const ALTERNATIVES: &str =
    "/usr/sbin/depmod /usr/bin/fdtoverlay /usr/bin/jobserver-exec /usr/bin/kallsyms /usr/bin/mkdtboimg";

/// Builds it from what lies in `dist`, and gives the file.
pub fn build(dist: &Path, binary: &Path) -> Result<PathBuf> {
    let architecture = apt::native_architecture()?;
    let root = dist.join("deb");
    remove(&root)?;
    install(dist, binary, &root)?;
    let control = root.join("DEBIAN");
    create(&control)?;
    write(&control.join("control"), control_file(&architecture, binary, &root)?.as_bytes(), 0o644)?;
    write(&control.join("postinst"), postinst().as_bytes(), 0o755)?;
    write(&control.join("prerm"), prerm().as_bytes(), 0o755)?;
    let package = dist.join(format!("kbt_{VERSION}_{architecture}.deb"));
    let mut build = Command::new("dpkg-deb");
    // The same bytes each time: the files' times are the last commit's.
    build.args(["--root-owner-group", "-Zxz", "--build"]).arg(&root).arg(&package);
    if let Ok(time) =
        run::text(Command::new("git").args(["log", "-1", "--format=%ct"]).current_dir(run::root()))
    {
        build.env("SOURCE_DATE_EPOCH", time.trim());
    }
    run::output(&mut build)?;
    remove(&root)?;
    Ok(package)
}

fn install(dist: &Path, binary: &Path, root: &Path) -> Result {
    let bytes = |path: &Path| fs::read(path).map_err(|error| cannot("read", path, &error));
    write(&root.join("usr/bin/kbt"), &bytes(binary)?, 0o755)?;
    let links = root.join("usr/lib/kbt/bin");
    create(&links)?;
    run::output(
        Command::new(binary).arg("install-links").arg(&links).args(["--target", "../../../bin/kbt"]),
    )?;
    for page in names(&dist.join("man"))? {
        let path = root.join("usr/share/man/man1").join(&page);
        write(&path, &bytes(&dist.join("man").join(&page))?, 0o644)?;
        run::output(Command::new("gzip").args(["-9n"]).arg(&path))?;
    }
    for (name, place) in COMPLETIONS {
        write(&root.join(place), &bytes(&dist.join("completions").join(name))?, 0o644)?;
    }
    let documents = root.join("usr/share/doc/kbt");
    for name in ["README.md", "CHANGELOG.md"] {
        write(&documents.join(name), &bytes(&run::root().join(name))?, 0o644)?;
    }
    let licences: Vec<Vec<u8>> = ["LICENSE-MIT", "LICENSE-APACHE"]
        .into_iter()
        .map(|name| bytes(&run::root().join(name)))
        .collect::<Result<_>>()?;
    let head = b"kbt is under either of these two licences, as you like.\n\n".to_vec();
    write(&documents.join("copyright"), &[&[head], &licences[..]].concat().join(&b'\n'), 0o644)
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> Result {
    if let Some(parent) = path.parent() {
        create(parent)?;
    }
    fs::write(path, bytes).map_err(|error| cannot("write", path, &error))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .map_err(|error| cannot("set the mode of", path, &error))
}

fn control_file(architecture: &str, binary: &Path, root: &Path) -> Result<String> {
    let size = run::text(Command::new("du").args(["-sk", "--apparent-size"]).arg(root))?;
    let size = size.split_whitespace().next().unwrap_or("0").to_owned();
    let glibc = glibc(&fs::read(binary).map_err(|error| cannot("read", binary, &error))?);
    let glibc = glibc.ok_or("the binary names no version of glibc")?;
    Ok(format!(
        "Package: kbt\n\
         Version: {VERSION}\n\
         Architecture: {architecture}\n\
         Maintainer: The kbt developers <kbt@localhost>\n\
         Installed-Size: {size}\n\
         Depends: libc6 (>= {}.{}), libgcc-s1\n\
         Section: utils\n\
         Priority: optional\n\
         Description: tools around a Linux kernel's build and boot, in one binary\n \
         Device-tree overlays, DTBO images, modules.dep, kallsyms and make's jobserver, in place of fdtoverlay,\n \
         mkdtboimg, depmod, scripts/kallsyms and jobserver-exec.\n \
         .\n \
         Under those names it answers from /usr/lib/kbt/bin, and as an alternative where no other package has a file\n \
         of the name.\n",
        glibc.0, glibc.1
    ))
}

/// The newest version of glibc's symbols that the binary asks for: `GLIBC_2.34`.
fn glibc(binary: &[u8]) -> Option<(u32, u32)> {
    const MARK: &[u8] = b"GLIBC_";
    let places = binary.windows(MARK.len()).enumerate().filter(|(_, window)| *window == MARK);
    let versions = places.filter_map(|(at, _)| {
        let text = binary.get(at + MARK.len()..)?.split(|&byte| byte == 0).next()?;
        let (major, minor) = std::str::from_utf8(text.get(..text.len().min(8))?).ok()?.split_once('.')?;
        Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
    });
    versions.max()
}

/// A name is taken where neither a file nor another link has it, in either of the directories that were once two.
fn postinst() -> String {
    format!(
        r#"#!/bin/sh
set -e
if [ "$1" = configure ]; then
	for link in {ALTERNATIVES}; do
		name=${{link##*/}}
		old=${{link#/usr}}
		if [ "$(readlink "$link")" = "/etc/alternatives/$name" ] ||
			{{ [ ! -e "$link" ] && [ ! -L "$link" ] && [ ! -e "$old" ] && [ ! -L "$old" ]; }}; then
			update-alternatives --install "$link" "$name" "/usr/lib/kbt/bin/$name" 10
		fi
	done
fi
"#
    )
}

fn prerm() -> String {
    format!(
        r#"#!/bin/sh
set -e
if [ "$1" = remove ] || [ "$1" = deconfigure ]; then
	for link in {ALTERNATIVES}; do
		name=${{link##*/}}
		update-alternatives --remove "$name" "/usr/lib/kbt/bin/$name"
	done
fi
"#
    )
}

#[cfg(test)]
mod tests {
    use super::glibc;

    #[test]
    fn the_newest_glibc_counts() {
        assert_eq!(glibc(b"\0GLIBC_2.4\0GLIBC_2.34\0GLIBC_2.3.4\0GLIBC_PRIVATE\0"), Some((2, 34)));
        assert_eq!(glibc(b"nothing"), None);
    }
}
