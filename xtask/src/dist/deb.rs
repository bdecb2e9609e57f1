//! The Debian package.
//!
//! It brings `/usr/bin/kbt`, and the names of the replaced tools as links in `/usr/lib/kbt/bin`. What makes them
//! commands are alternatives, and only while no other package has a file of the name (`deb/alternatives.sh`): kmod's and
//! device-tree-compiler's files stay as they are. Who wants kbt's puts that directory into the path.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::NOTICES;
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

/// What both of the scripts below begin with.
const ALTERNATIVES: &str = include_str!("deb/alternatives.sh");
const SCRIPTS: [(&str, &str); 2] =
    [("postinst", include_str!("deb/postinst.sh")), ("prerm", include_str!("deb/prerm.sh"))];

/// Readable by all, whatever the builder's umask; and the sums by which `dpkg --verify` knows the files.
const LAST: &str = "chmod -R u=rwX,go=rX .
find usr -type f | LC_ALL=C sort | xargs -d '\\n' md5sum >DEBIAN/md5sums
chmod 644 DEBIAN/md5sums";

/// What lintian is told to pass over, and why.
const OVERRIDES: &str = "# update-alternatives --remove would take away the link that another package has laid over the alternative.
kbt: uses-dpkg-database-directly [postinst]
kbt: uses-dpkg-database-directly [prerm]
";

/// The places where other packages have files of the names: kmod (in `/sbin` until Debian 12) and
/// device-tree-compiler today, any tomorrow. dpkg calls postinst when one comes or goes.
fn triggers() -> String {
    let names = ALTERNATIVES.lines().find_map(|line| line.strip_prefix("NAMES=\"")?.strip_suffix('"'));
    let paths = names.into_iter().flat_map(str::split_whitespace);
    let both = paths.flat_map(|path| [Some(path), path.strip_prefix("/usr")]).flatten();
    both.map(|path| format!("interest-noawait {path}\n")).collect()
}

/// Builds it from what lies in `dist`, and gives the file.
pub fn build(dist: &Path, binary: &Path) -> Result<PathBuf> {
    let architecture = apt::native_architecture()?;
    let root = dist.join("deb");
    remove(&root)?;
    install(dist, binary, &root)?;
    let control = root.join("DEBIAN");
    create(&control)?;
    write(&control.join("control"), control_file(&architecture, binary, &root)?.as_bytes(), 0o644)?;
    write(&control.join("triggers"), triggers().as_bytes(), 0o644)?;
    for (name, script) in SCRIPTS {
        write(&control.join(name), [ALTERNATIVES, script].concat().as_bytes(), 0o755)?;
    }
    run::output(Command::new("sh").args(["-ec", LAST]).current_dir(&root))?;
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
    write(&root.join("usr/share/lintian/overrides/kbt"), OVERRIDES.as_bytes(), 0o644)?;
    documents(dist, &root.join("usr/share/doc/kbt"))
}

/// The README with all that it links to, the changelog, and the terms.
fn documents(dist: &Path, to: &Path) -> Result {
    create(to)?;
    let root = run::root();
    run::output(Command::new("cp").arg("--recursive").arg(root.join("docs")).arg(to))?;
    let text = |name: &str| {
        let path = root.join(name);
        fs::read_to_string(&path).map_err(|error| cannot("read", &path, &error))
    };
    for name in ["README.md", "SECURITY.md", "CONTRIBUTING.md"] {
        // Where Debian has them.
        let page = text(name)?.replace("](CHANGELOG.md)", "](changelog.gz)");
        let page =
            page.replace("](LICENSE-MIT)", "](copyright)").replace("](LICENSE-APACHE)", "](copyright)");
        write(&to.join(name), page.as_bytes(), 0o644)?;
    }
    let changelog = to.join("changelog");
    let time = run::text(Command::new("git").args(["log", "-1", "--format=%cD"]).current_dir(&root))?;
    let entry = format!(
        "kbt ({VERSION}) unstable; urgency=medium\n\n  * What is new is in CHANGELOG.md.\n\n -- {}  {time}",
        maintainer()?
    );
    write(&changelog, entry.as_bytes(), 0o644)?;
    run::output(Command::new("gzip").args(["-9n"]).arg(&changelog))?;
    write(&to.join("copyright"), copyright(&text("LICENSE-MIT")?, &dist.join(NOTICES))?.as_bytes(), 0o644)
}

/// kbt's terms and those of what is built in. Apache's stand in every Debian.
fn copyright(licence: &str, notices: &Path) -> Result<String> {
    let notices = fs::read_to_string(notices).map_err(|error| cannot("read", notices, &error))?;
    Ok(format!(
        "kbt is under either of two licences, as you like: Apache's of version 2.0, which is in\n\
         /usr/share/common-licenses/Apache-2.0, or this one:\n\n{licence}\n\
         The binary has these in it, of which those under Apache's licence alone are under its version 2.0:\n\n{notices}"
    ))
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
         Maintainer: {}\n\
         Installed-Size: {size}\n\
         Depends: libc6 (>= {}.{}), libgcc-s1\n\
         Section: utils\n\
         Priority: optional\n\
         Description: tools around a Linux kernel's build and boot, in one binary\n \
         Device-tree overlays, DTBO images, modules.dep, kallsyms and make's\n \
         jobserver, in place of fdtoverlay, mkdtboimg, depmod, scripts/kallsyms and\n \
         jobserver-exec.\n \
         .\n \
         Under those names it answers from /usr/lib/kbt/bin, and as an alternative\n \
         where no other package has a file of the name.\n",
        maintainer()?,
        glibc.0,
        glibc.1
    ))
}

/// Who answers for the package: whom Debian's tools are told of, else the author of the newest commit.
fn maintainer() -> Result<String> {
    if let Ok(address) = env::var("DEBEMAIL") {
        let name = env::var("DEBFULLNAME").unwrap_or_else(|_| "The kbt developers".to_owned());
        return Ok(format!("{name} <{address}>"));
    }
    let mut author = Command::new("git");
    author.args(["log", "-1", "--format=%an <%ae>"]).current_dir(run::root());
    let author = run::text(&mut author);
    author.map(|line| line.trim().to_owned()).map_err(|error| format!("no DEBEMAIL, and {error}"))
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

#[cfg(test)]
mod tests {
    use super::{glibc, triggers};

    #[test]
    fn the_newest_glibc_counts() {
        assert_eq!(glibc(b"\0GLIBC_2.4\0GLIBC_2.34\0GLIBC_2.3.4\0GLIBC_PRIVATE\0"), Some((2, 34)));
        assert_eq!(glibc(b"nothing"), None);
    }

    #[test]
    fn dpkg_tells_of_every_name_in_both_directories() {
        let triggers = triggers();
        assert_eq!(triggers.lines().count(), 10, "{triggers}");
        for path in ["/usr/sbin/depmod", "/sbin/depmod", "/usr/bin/mkdtboimg", "/bin/mkdtboimg"] {
            assert!(triggers.contains(&format!("interest-noawait {path}\n")), "{triggers}");
        }
    }
}
