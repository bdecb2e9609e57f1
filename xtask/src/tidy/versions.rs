//! The oldest version that a manifest allows is the one that the tests run with: anything older is a promise that nobody
//! has tried.

use super::Source;
use super::layers::Package;

/// Holds the requirements of the packages against the versions of `Cargo.lock`.
pub fn check(files: &[Source], packages: &[Package]) -> Vec<String> {
    let lock = files.iter().find(|file| file.path == *"Cargo.lock").map(|file| file.text.as_str());
    let locked: Vec<_> = locked(lock.unwrap_or_default()).collect();
    let mut problems = Vec::new();
    for package in packages {
        for dependency in package.dependencies.iter().filter(|dependency| !dependency.own) {
            let is_met = |&&(name, version): &&(&str, &str)| {
                name == dependency.name && dependency.requirement == format!("^{version}")
            };
            if !locked.iter().any(|entry| is_met(&entry)) {
                let (name, wanted) = (&dependency.name, &dependency.requirement);
                problems.push(format!("{}: {name} {wanted} is not the version of Cargo.lock", package.name));
            }
        }
    }
    problems
}

/// Names and versions, without what a version says behind a `+`.
fn locked(lock: &str) -> impl Iterator<Item = (&str, &str)> {
    lock.split("[[package]]").skip(1).filter_map(|block| {
        let version = field(block, "version = \"")?;
        Some((field(block, "name = \"")?, version.split('+').next().unwrap_or(version)))
    })
}

fn field<'b>(block: &'b str, front: &str) -> Option<&'b str> {
    block.lines().find_map(|line| line.strip_prefix(front)?.strip_suffix('"'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::layers::Dependency;

    #[test]
    fn a_requirement_that_is_older_or_newer_than_the_lock_is_told() {
        let text = "[[package]]\nname = \"a\"\nversion = \"1.2.3+x\"\n\n[[package]]\nname = \"b\"\nversion = \"0.1.0\"\n";
        let lock = [Source { path: "Cargo.lock".into(), text: text.to_owned() }];
        let problems = |requirement: &str| {
            let requirement = requirement.to_owned();
            let dependencies = vec![Dependency { name: "a".to_owned(), dev: false, own: false, requirement }];
            check(&lock, &[Package { name: "p".to_owned(), dependencies }]).len()
        };
        assert_eq!(
            [problems("^1.2.3"), problems("^1.2"), problems("^1.3.0"), problems("^0.1.0")],
            [0, 1, 1, 1]
        );
    }
}
