//! Configurations of depmod, each in a file of its own.

use super::Tree;

/// Name, and the lines of one file.
pub const CONFIGURATIONS: &[(&str, &str)] = &[
    ("search-default", "search updates built-in\n"),
    ("search-builtin-first", "search built-in updates extra\n"),
    ("search-extra", "search extra weak-updates updates built-in\n"),
    ("search-deep", "search kernel/drivers updates\n"),
    ("search-twice", "search updates\nsearch weak-updates built-in\n"),
    ("override", "override middle * kernel/drivers/net\n"),
    ("override-version", "override middle ^6\\.1 kernel/drivers/net\n"),
    ("override-other-version", "override middle ^5\\. kernel/drivers/net\n"),
    ("override-two", "override middle * updates\noverride middle * kernel/drivers/net\n"),
    ("override-dash", "override extra-one * weak-updates\noverride extra_one * weak-updates\n"),
    ("override-ere", "override middle 6.1.0-(kbt|x)+$ kernel/drivers/net\n"),
    ("override-bad-ere", "override middle ( kernel/drivers/net\n"),
    // What glibc's regcomp(3) refuses matches no kernel; -vv tells.
    (
        "override-refused-ere",
        "override middle ^* kernel/drivers/net\noverride middle k$+ kernel/drivers/net\n\
         override middle 6|^{1} kernel/drivers/net\noverride middle [0-6-9] kernel/drivers/net\n\
         override middle [[:digit:]-z] kernel/drivers/net\noverride middle [[=6=]-9] kernel/drivers/net\n\
         override middle [0-[=6=]] kernel/drivers/net\noverride middle [[:digit:]-] kernel/drivers/net\n\
         override extra-one [-6] weak-updates\noverride extra-one (^)*6 weak-updates\n",
    ),
    ("override-short", "override middle\n"),
    ("exclude", "exclude many\n"),
    ("exclude-file", "exclude plain.ko extra\n"),
    ("external", "external * {root}/external\n"),
    ("external-search", "external * {root}/external\nsearch external updates built-in\n"),
    ("external-other-version", "external ^5 {root}/external\n"),
    ("external-relative", "external * external\n"),
    ("external-relative-search", "external * external\nsearch external updates built-in\n"),
    ("external-relative-twice", "external * external/deep\nexternal * external\nsearch built-in external\n"),
    ("external-missing", "external * {root}/nowhere\n"),
    ("include", "include {root}/other.conf\nmake_map_files no\n"),
    ("bad-line", "nonsense here\nsearch updates\n"),
    ("joined", "search \\\nupdates \\\n built-in\n# a comment\n   # and one that is none\n"),
    ("empty", ""),
    ("no-newline", "search built-in updates"),
    ("tabs", "search\tupdates\t built-in\r\n"),
];

/// Adds what the configurations name.
pub fn prepare(tree: &mut Tree) {
    use kbt_testkit::module::{Encoding, Module};
    let external = Module::new(Encoding::X86_64).export("external_one", 1).info("alias", "from-outside");
    tree.write("../../../external/outside.ko", &external.write());
    tree.write("../../../external/deep/middle.ko", &external.info("alias", "middle-from-outside").write());
    tree.settle();
}
