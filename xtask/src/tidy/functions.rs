//! How long functions are. The sources are formatted, so a function ends at the first line that is its own
//! indentation and a brace; no parser is needed.

use super::Source;

/// Nine functions of ten are at most this long, in lines from `fn` to the brace.
const USUAL: usize = 30;

/// No function is longer.
const MOST: usize = 80;

/// Checks the longest functions, and the 90th percentile over all.
pub fn check(files: &[Source]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut lengths = Vec::new();
    for file in files.iter().filter(|file| file.has_extension("rs")) {
        for (name, length) in functions(&file.text) {
            lengths.push(length);
            if length > MOST {
                problems
                    .push(format!("{}: {name} has {length} lines; {MOST} are the most", file.path.display()));
            }
        }
    }
    lengths.sort_unstable();
    let nine_of_ten = (lengths.len() * 9).div_ceil(10);
    let usual = lengths.get(nine_of_ten.saturating_sub(1)).copied().unwrap_or(0);
    if usual > USUAL {
        problems.push(format!("functions: {usual} lines hold nine of ten; {USUAL} are to hold them"));
    }
    problems
}

/// The name and the number of lines of each function that has a body.
fn functions(text: &str) -> Vec<(&str, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let Some((indentation, name)) = head(line) else { continue };
        let body = lines.iter().skip(index);
        let is_end = |line: &&str| line.strip_prefix(indentation) == Some("}");
        // A body on the line of the head, or none at all.
        let one_line = line.ends_with('}') || line.ends_with(';');
        let length =
            if one_line { Some(1) } else { body.copied().position(|line| is_end(&line)).map(|end| end + 1) };
        found.extend(length.map(|length| (name, length)));
    }
    found
}

/// The indentation and the name, where the line is the head of a function.
fn head(line: &str) -> Option<(&str, &str)> {
    let code = line.trim_start();
    let indentation = line.get(..line.len() - code.len())?;
    let (before, after) = code.split_once("fn ")?;
    let is_head = before.split_whitespace().all(|word| {
        matches!(word, "pub" | "const" | "async" | "unsafe" | "extern")
            || word.starts_with("pub(")
            || word == "\"C\""
    });
    let end = after.find(|byte: char| !byte.is_alphanumeric() && byte != '_')?;
    (is_head && end > 0).then_some((indentation, after.get(..end)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(lines: usize) -> String {
        format!("    pub(crate) fn f(&self) {{\n{}    }}\n", "        x();\n".repeat(lines - 2))
    }

    #[test]
    fn functions_are_measured() {
        let text = "fn one() {}\n\npub const fn two<T>(\n    t: T,\n) {\n}\n// fn three\nfn g();\n";
        assert_eq!(functions(text), [("one", 1), ("two", 4), ("g", 1)]);
        assert_eq!(functions(&function(7)), [("f", 7)]);
    }

    #[test]
    fn a_long_function_is_told() {
        let file = |lines| Source { path: "a.rs".into(), text: function(lines) + &"fn x() {}\n".repeat(20) };
        assert_eq!(check(&[file(80)]), [""; 0]);
        assert_eq!(check(&[file(81)]), ["a.rs: f has 81 lines; 80 are the most"]);
    }

    #[test]
    fn nine_of_ten_are_short() {
        let file = |long| Source {
            path: "a.rs".into(),
            text: function(31).repeat(long) + &function(5).repeat(20 - long),
        };
        assert_eq!(check(&[file(2)]), [""; 0]);
        assert_eq!(check(&[file(3)]).len(), 1);
    }
}
