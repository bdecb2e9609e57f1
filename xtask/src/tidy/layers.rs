//! Who may depend on whom: the workspace's layers, and the outside crates that belong to one of them.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::run::Result;

/// The page that shows the layers to people.
pub const PAGE: &str = "docs/ARCHITECTURE.md";

/// Each crate of the workspaces with the crates of the project that it may depend on. Nothing points up or
/// sideways; a crate that is not in this table is not in the architecture.
const LAYERS: &[(&str, &[&str])] = &[
    // L0: bytes in, bytes out.
    ("kbt-fdt", &[]),
    ("kbt-elf", &[]),
    ("kbt-compress", &[]),
    // L0 too, of the system instead of a format.
    ("kbt-fork", &[]),
    ("kbt-jobserver", &[]),
    ("kbt-memory", &[]),
    ("kbt-parallel", &[]),
    ("kbt-streams", &[]),
    // L1: one format each, and no other.
    ("kbt-dto", &["kbt-fdt"]),
    ("kbt-dtbo-image", &["kbt-fdt"]),
    ("kbt-dts", &["kbt-fdt"]),
    ("kbt-depmod", &["kbt-elf"]),
    ("kbt-kallsyms", &["kbt-elf"]),
    // Between them and the binary: what judges a merge by the means of two of them.
    ("kbt-dto-check", &["kbt-dto", "kbt-dts", "kbt-fdt"]),
    // L2: the binary.
    (
        "kbt",
        &[
            "kbt-compress",
            "kbt-depmod",
            "kbt-dtbo-image",
            "kbt-dto",
            "kbt-dto-check",
            "kbt-dts",
            "kbt-elf",
            "kbt-fdt",
            "kbt-fork",
            "kbt-jobserver",
            "kbt-kallsyms",
            "kbt-memory",
            "kbt-parallel",
            "kbt-streams",
        ],
    ),
    // A leaf, in a workspace of its own.
    ("kbt-capi", &["kbt-dtbo-image", "kbt-dto", "kbt-fdt"]),
    // For development only.
    ("kbt-testkit", &[]),
    ("xtask", &[]),
    (
        "kbt-fuzz",
        &[
            "kbt-compress",
            "kbt-depmod",
            "kbt-dtbo-image",
            "kbt-dto",
            "kbt-dto-check",
            "kbt-dts",
            "kbt-elf",
            "kbt-fdt",
            "kbt-jobserver",
            "kbt-kallsyms",
        ],
    ),
];

/// What tests and benchmarks of any crate may use beyond that.
const FOR_TESTS: &[&str] = &["kbt-testkit"];

/// Outside crates that belong to few: the only crates of the workspace that may depend on them, tests
/// included. So a codec is exchanged in one place, and no library learns of threads or terminals.
const OWNED: &[(&str, &[&str])] = &[
    ("object", &["kbt-elf", "kbt-testkit"]),
    ("flate2", &["kbt-compress"]),
    ("libdeflater", &["kbt-compress"]),
    ("liblzma", &["kbt-compress"]),
    ("libz-sys", &["kbt-compress"]),
    ("lz4_flex", &["kbt-compress"]),
    ("zstd-safe", &["kbt-compress"]),
    // Its calls are unsafe.
    ("libc", &["kbt-fork", "kbt-memory", "kbt-streams"]),
    ("anstream", &["kbt"]),
    ("clap", &["kbt"]),
    ("indicatif", &["kbt"]),
];

/// Outside crates that no release carries: peers and tools of the tests.
const TESTS_ONLY: &[&str] =
    &["allocation-counter", "clap_complete", "clap_mangen", "dtoolkit", "fdt-rs", "roxmltree"];

/// A crate of the workspace.
pub struct Package {
    pub name: String,
    pub dependencies: Vec<Dependency>,
}

/// One edge.
pub struct Dependency {
    pub name: String,
    /// Whether only tests and benchmarks use it.
    pub dev: bool,
    /// Whether it lies in the workspace.
    pub own: bool,
    /// The versions that will do, as Cargo writes it: `^1.2.3`.
    pub requirement: String,
}

/// Reads what `cargo metadata --no-deps` prints.
pub fn packages(metadata: &[u8]) -> Result<Vec<Package>> {
    let metadata: Value =
        serde_json::from_slice(metadata).map_err(|error| format!("cargo metadata: {error}"))?;
    let packages = metadata["packages"].as_array().ok_or("cargo metadata lists no packages")?;
    Ok(packages.iter().map(package).collect())
}

fn package(value: &Value) -> Package {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let dependencies = value["dependencies"].as_array().into_iter().flatten().map(|dependency| Dependency {
        name: text(&dependency["name"]),
        dev: dependency["kind"] == "dev",
        own: dependency["path"].is_string(),
        requirement: text(&dependency["req"]),
    });
    Package { name: text(&value["name"]), dependencies: dependencies.collect() }
}

/// Holds the packages against the tables.
pub fn check(packages: &[Package]) -> Vec<String> {
    let mut problems = Vec::new();
    for package in packages {
        match LAYERS.iter().find(|(name, _)| *name == package.name) {
            None => {
                problems.push(format!("{}: no row in the layers of xtask/src/tidy/layers.rs", package.name));
            }
            Some((_, allowed)) => problems.extend(edges(package, allowed)),
        }
    }
    for (name, _) in LAYERS {
        if !packages.iter().any(|package| package.name == *name) {
            problems.push(format!("{name}: a row in the layers, but no such crate"));
        }
    }
    problems
}

/// Rows of the tables of outside crates that no package has a use for: they would allow what nobody decided.
pub fn unused(packages: &[Package]) -> Vec<String> {
    let is_used = |name: &str| {
        packages.iter().flat_map(|package| &package.dependencies).any(|dependency| dependency.name == name)
    };
    let rows = OWNED.iter().map(|(name, _)| *name).chain(TESTS_ONLY.iter().copied());
    let idle = rows.filter(|name| !is_used(name));
    idle.map(|name| format!("{name}: a row in xtask/src/tidy/layers.rs, but no manifest has it")).collect()
}

/// Holds the table of the page that people read against the one above.
pub fn check_page(page: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let mut told: Vec<(String, BTreeSet<String>)> = Vec::new();
    for line in page.lines().filter(|line| line.starts_with("| ") && line.matches('|').count() == 4) {
        let mut cells = line.split('|').skip(2).map(str::trim);
        let (Some(crates), Some(allowed)) = (cells.next(), cells.next()) else { continue };
        let allowed: BTreeSet<String> = match allowed {
            "all of the above" => told.iter().map(|(name, _)| name.clone()).collect(),
            allowed => quoted(allowed).collect(),
        };
        told.extend(quoted(crates).map(|name| (name, allowed.clone())));
    }
    for (name, allowed) in LAYERS {
        let allowed: BTreeSet<String> = allowed.iter().map(|name| short(name)).collect();
        match told.iter().find(|(told, _)| *told == short(name)) {
            None => problems.push(format!("{PAGE}: {name} has no place in the layers")),
            Some((_, told)) if *told != allowed => {
                problems.push(format!("{PAGE}: {name} may depend on {allowed:?}, not on {told:?}"));
            }
            Some(_) => {}
        }
    }
    let surplus = told.iter().filter(|(told, _)| !LAYERS.iter().any(|(name, _)| short(name) == *told));
    problems.extend(surplus.map(|(name, _)| format!("{PAGE}: {name} is no crate")));
    problems
}

/// A package's name as the page has it.
fn short(name: &str) -> String {
    name.strip_prefix("kbt-").unwrap_or(name).to_owned()
}

/// What stands in backquotes.
fn quoted(text: &str) -> impl Iterator<Item = String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned)
}

fn edges(package: &Package, allowed: &[&str]) -> Vec<String> {
    let refused = package.dependencies.iter().filter_map(|dependency| {
        let name = dependency.name.as_str();
        let reason = if dependency.own {
            let free = allowed.contains(&name) || (dependency.dev && FOR_TESTS.contains(&name));
            (!free).then(|| "the layers do not allow it".to_owned())
        } else {
            outside(&package.name, dependency)
        };
        reason.map(|reason| format!("{} depends on {name}: {reason}", package.name))
    });
    refused.collect()
}

/// Why `package` may not depend on this crate of the registry.
fn outside(package: &str, dependency: &Dependency) -> Option<String> {
    let name = dependency.name.as_str();
    if TESTS_ONLY.contains(&name) && !dependency.dev && package != "kbt-testkit" {
        return Some("only as a dev-dependency".to_owned());
    }
    let (_, owners) = OWNED.iter().find(|(owned, _)| *owned == name)?;
    (!owners.contains(&package)).then(|| format!("only {} may", owners.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(changed: &str, dependency: Dependency) -> Vec<Package> {
        let mut packages: Vec<Package> = LAYERS
            .iter()
            .map(|(name, _)| Package { name: (*name).to_owned(), dependencies: Vec::new() })
            .collect();
        packages.iter_mut().find(|package| package.name == changed).unwrap().dependencies.push(dependency);
        packages
    }

    fn edge(from: &str, to: &str, dev: bool) -> Vec<String> {
        check(&all(
            from,
            Dependency { name: to.to_owned(), dev, own: to.starts_with("kbt"), requirement: String::new() },
        ))
    }

    #[test]
    fn edges_of_the_table_pass() {
        assert_eq!(edge("kbt-dto", "kbt-fdt", false), [""; 0]);
        assert_eq!(edge("kbt-dto", "kbt-testkit", true), [""; 0]);
        assert_eq!(edge("kbt-compress", "flate2", false), [""; 0]);
        assert_eq!(edge("kbt-dto", "foldhash", false), [""; 0]);
    }

    #[test]
    fn an_edge_up_or_sideways_is_refused() {
        let sideways = edge("kbt-dto", "kbt-dtbo-image", false);
        assert_eq!(sideways, ["kbt-dto depends on kbt-dtbo-image: the layers do not allow it"]);
        assert_eq!(edge("kbt-fdt", "kbt-dto", false).len(), 1);
        assert_eq!(edge("kbt-dto", "kbt-testkit", false).len(), 1);
        assert_eq!(edge("xtask", "kbt-fdt", false).len(), 1);
    }

    #[test]
    fn a_codec_outside_compress_is_refused_in_tests_too() {
        assert_eq!(edge("kbt", "flate2", false), ["kbt depends on flate2: only kbt-compress may"]);
        assert_eq!(edge("kbt", "flate2", true).len(), 1);
        assert_eq!(edge("kbt-dto", "clap", false).len(), 1);
    }

    #[test]
    fn an_oracle_is_no_part_of_a_release() {
        assert_eq!(edge("kbt-fdt", "fdt-rs", true), [""; 0]);
        assert_eq!(edge("kbt-fdt", "fdt-rs", false), ["kbt-fdt depends on fdt-rs: only as a dev-dependency"]);
    }

    #[test]
    fn table_and_workspace_name_the_same_crates() {
        let mut packages = all(
            "kbt",
            Dependency { name: "serde".to_owned(), dev: false, own: false, requirement: String::new() },
        );
        packages.push(Package { name: "kbt-new".to_owned(), dependencies: Vec::new() });
        packages.retain(|package| package.name != "kbt-fdt");
        let problems = check(&packages);
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].starts_with("kbt-new: no row"), "{problems:?}");
        assert!(problems[1].starts_with("kbt-fdt: a row"), "{problems:?}");
    }

    #[test]
    fn a_row_that_nobody_uses_is_told() {
        let problems = unused(&all(
            "kbt-elf",
            Dependency { name: "object".to_owned(), dev: false, own: false, requirement: String::new() },
        ));
        assert_eq!(problems.len(), OWNED.len() + TESTS_ONLY.len() - 1);
        assert!(problems.iter().all(|problem| !problem.starts_with("object:")), "{problems:?}");
    }

    #[test]
    fn the_page_and_the_table_are_one() {
        let page = |names: &str| {
            format!(
                "| layer | crates | may depend on |\n|---|---|---|\n| 0 | `fdt`, `new` | none |\n| 1 | {names} |\n"
            )
        };
        let whole = check_page(&page("`dto` | `fdt`"));
        assert_eq!(whole.len(), LAYERS.len() - 1, "{whole:?}");
        assert!(!whole.iter().any(|problem| problem.contains("kbt-dto ")), "{whole:?}");
        assert!(whole.iter().any(|problem| problem.contains("new is no crate")), "{whole:?}");
        let less = check_page(&page("`dto` | none"));
        assert!(less.iter().any(|problem| problem.contains("kbt-dto may depend on")), "{less:?}");
    }

    #[test]
    fn metadata_is_read() {
        let metadata = r#"{"packages": [{"name": "a", "dependencies": [
            {"name": "b", "kind": "dev", "path": "/b"}, {"name": "c", "kind": null}]}]}"#;
        let packages = packages(metadata.as_bytes()).unwrap();
        assert_eq!(packages[0].name, "a");
        let [b, c] = packages[0].dependencies.as_slice() else { panic!("two dependencies") };
        assert!(b.dev && b.own && !c.dev && !c.own);
    }
}
