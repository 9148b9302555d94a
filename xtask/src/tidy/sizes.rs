//! Files above 1,000 lines of program stand in a list that may only shrink.

use std::{collections::BTreeMap, fs};

use anyhow::{Context, Result};

use super::Source;
use crate::place;

/// Above this a reader no longer holds a file in the head. Tests do not count.
const LINES_MAX: usize = 1_000;
/// `path lines`, one file a line.
const LIST: &str = "xtask/long-files.txt";

/// Files that are too long and not listed, longer than listed, or listed without need.
pub(crate) fn check(sources: &[Source]) -> Result<Vec<String>> {
    let text = fs::read_to_string(place::root().join(LIST)).with_context(|| LIST.to_owned())?;
    Ok(compare(sources, &parse(&text)))
}

fn parse(list: &str) -> BTreeMap<&str, usize> {
    let entries = list.lines().filter(|line| !line.starts_with('#'));
    entries
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(path, lines)| Some((path, lines.parse().ok()?)))
        .collect()
}

fn compare(sources: &[Source], listed: &BTreeMap<&str, usize>) -> Vec<String> {
    let mut violations = Vec::new();
    let mut lengths = BTreeMap::new();
    for source in sources
        .iter()
        .filter(|source| source.has_extension(&["rs", "ts", "tsx", "mjs", "js", "py", "css"]))
    {
        let lines = source.program_lines();
        lengths.insert(source.path.as_str(), lines);
        let allowed = listed.get(source.path.as_str()).copied().unwrap_or(LINES_MAX);
        if lines > allowed {
            violations.push(format!(
                "{}: {lines} lines, at most {allowed} allowed; is there a seam?",
                source.path
            ));
        }
    }
    for (path, allowed) in listed {
        let lines = lengths.get(path).copied().unwrap_or(0);
        if lines < *allowed {
            violations.push(format!(
                "{LIST}: {path} has {lines} lines, not {allowed}: lower or remove the entry"
            ));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, program: usize, tests: usize) -> Source {
        let mut text = "let x = 1;\n".repeat(program);
        if tests > 0 {
            text.push_str("#[cfg(test)]\nmod tests {\n");
            text.push_str(&"    x();\n".repeat(tests));
        }
        Source { path: path.to_owned(), text }
    }

    #[test]
    fn the_list_only_shrinks_and_tests_do_not_count() {
        let sources = [
            source("a.rs", 1_000, 5_000),
            source("b.rs", 1_001, 0),
            source("c.rs", 1_200, 0),
            source("d.rs", 1_100, 0),
            source("crates/x/tests/it/main.rs", 5_000, 0),
            source("e.md", 5_000, 0),
        ];
        let list = parse("# path lines\nc.rs 1200\nd.rs 1150\ngone.rs 1300\n");
        let violations = compare(&sources, &list);
        assert_eq!(violations.len(), 3, "{violations:#?}");
        assert!(violations[0].starts_with("b.rs: 1001 lines"));
        assert!(violations[1].contains("d.rs has 1100 lines"));
        assert!(violations[2].contains("gone.rs has 0 lines"));
    }
}
