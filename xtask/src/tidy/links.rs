//! Rules on the documents: links lead somewhere, every page is reached, every outside crate is explained.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use super::Source;
use super::layers::Package;

/// The page that says why each outside crate is used.
const DEPENDENCIES: &str = "docs/dependencies.md";

/// Checks the links of every Markdown file, and that the pages of docs/ cover what they promise.
pub fn check(files: &[Source], packages: &[Package]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut reached = BTreeSet::new();
    for page in files.iter().filter(|file| file.has_extension("md")) {
        for link in links(&page.text) {
            let target = resolve(&page.path, link);
            // A link to a directory leads to whatever lies below it.
            if files.iter().any(|file| file.path.starts_with(&target)) {
                reached.insert(target);
            } else {
                problems.push(format!("{}: the link '{link}' leads nowhere", page.path.display()));
            }
        }
    }
    let pages = files.iter().filter(|file| file.path.starts_with("docs") && file.has_extension("md"));
    for page in pages.filter(|page| !reached.contains(&page.path)) {
        problems.push(format!("{}: no page links to it", page.path.display()));
    }
    problems.extend(unexplained(files, packages));
    problems
}

/// Outside crates without a word in docs/dependencies.md.
fn unexplained(files: &[Source], packages: &[Package]) -> Vec<String> {
    let page = files.iter().find(|file| file.path == Path::new(DEPENDENCIES));
    let text = page.map(|page| page.text.as_str()).unwrap_or_default();
    let outside =
        packages.iter().flat_map(|package| &package.dependencies).filter(|dependency| !dependency.own);
    let names: BTreeSet<&str> = outside.map(|dependency| dependency.name.as_str()).collect();
    let missing = names.into_iter().filter(|name| !text.contains(&format!("`{name}`")));
    missing.map(|name| format!("{DEPENDENCIES}: says nothing of `{name}`")).collect()
}

/// The local targets of `[text](target)`, without their anchors; code blocks are no text.
fn links(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut in_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if !in_code {
            found.extend(
                line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link),
            );
        }
    }
    let local = found.into_iter().filter(|link| !link.contains("://") && !link.starts_with("mailto:"));
    local.filter_map(|link| link.split('#').next()).filter(|link| !link.is_empty()).collect()
}

/// The path that a link in `page` means, relative to the root.
fn resolve(page: &Path, link: &str) -> PathBuf {
    let mut path = page.parent().unwrap_or(Path::new("")).to_owned();
    for component in Path::new(link).components() {
        match component {
            Component::ParentDir => drop(path.pop()),
            Component::Normal(name) => path.push(name),
            _ => {}
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::super::layers::Dependency;
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.into(), text: text.to_owned() }
    }

    #[test]
    fn links_are_found_outside_code() {
        let text =
            "[a](docs/a.md#x), [b](https://example.org) [c](#here)\n```\n[d](d.md)\n```\n![e](e.png)\n";
        assert_eq!(links(text), ["docs/a.md", "e.png"]);
    }

    #[test]
    fn a_link_that_leads_nowhere_is_told() {
        let files =
            [source("README.md", "[a](docs/a.md) [x](docs/x.md)"), source("docs/a.md", "[up](../README.md)")];
        assert_eq!(check(&files, &[]), ["README.md: the link 'docs/x.md' leads nowhere"]);
    }

    #[test]
    fn a_page_that_nothing_reaches_is_told() {
        assert_eq!(check(&[source("docs/a.md", "")], &[]), ["docs/a.md: no page links to it"]);
    }

    #[test]
    fn every_outside_crate_is_explained() {
        let dependency = |name: &str| Dependency {
            name: name.to_owned(),
            dev: false,
            own: false,
            requirement: String::new(),
        };
        let packages =
            [Package { name: "a".into(), dependencies: vec![dependency("one"), dependency("two")] }];
        let files =
            [source("docs/dependencies.md", "| `one` | why |"), source("R.md", "[d](docs/dependencies.md)")];
        assert_eq!(check(&files, &packages), ["docs/dependencies.md: says nothing of `two`"]);
    }
}
