//! Words and calls that must not be in the sources.

use super::Source;

/// Every violation, with its place.
pub(crate) fn check(sources: &[Source]) -> Vec<String> {
    sources.iter().flat_map(check_source).collect()
}

fn check_source(source: &Source) -> Vec<String> {
    let mut violations = Vec::new();
    let is_rust = source.has_extension(&["rs"]);
    if is_rust && source.path.ends_with("/mod.rs") {
        violations.push(format!("{}: use name.rs beside name/ instead of mod.rs", source.path));
    }
    let is_program = source.has_extension(&["rs", "ts", "tsx", "mjs", "js", "py"]);
    let tests_begin = if source.is_test() { 0 } else { source.tests_begin() };
    for (at, line) in source.text.lines().enumerate() {
        let mut violation = |what: &str| {
            violations.push(format!("{}:{}: {what}", source.path, at + 1));
        };
        if machine_paths().iter().any(|path| names_path(line, path)) {
            violation("a path of one machine");
        }
        // This file names what it looks for.
        if !is_program || source.path == "xtask/src/tidy/words.rs" {
            continue;
        }
        if line.contains("TODO") && !has_issue(line) || line.contains("FIXME") {
            violation("TODO only with an issue: TODO(#123)");
        }
        if is_rust && is_bare_allow(line) {
            violation("#[expect(lint, reason = \"…\")] instead of allow");
        }
        if at >= tests_begin && sleeps(line) {
            violation("no sleep in tests: wait for a condition with a deadline");
        }
        if is_rust && line.trim_start().starts_with("#[ignore") {
            violation("no ignored tests");
        }
    }
    violations
}

/// Directories of one machine; put together here so that this file does not name them.
fn machine_paths() -> [String; 3] {
    ["work", "root", "home"].map(|name| format!("/{name}/"))
}

/// Whether the path stands on its own, not as a part of an address or of a longer path.
fn names_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line.get(..at).and_then(|before| before.chars().next_back());
        before.is_none_or(|c| !(c.is_alphanumeric() || "/._-~}*".contains(c)))
    })
}

fn has_issue(line: &str) -> bool {
    let after = line.split_once("TODO(#").map(|(_, after)| after);
    after.is_some_and(|after| after.starts_with(|c: char| c.is_ascii_digit()))
}

fn is_bare_allow(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("#[allow(") || line.starts_with("#![allow(")
}

fn sleeps(line: &str) -> bool {
    ["thread::sleep", "time::sleep(", "waitForTimeout(", "time.sleep("]
        .iter()
        .any(|call| line.contains(call))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_text(path: &str, text: &str, expected: usize) {
        let source = Source { path: path.to_owned(), text: text.to_owned() };
        let found = check_source(&source);
        assert_eq!(found.len(), expected, "{text}: {found:?}");
    }

    #[test]
    fn what_must_not_be_there_is_found() {
        check_text("a/mod.rs", "", 1);
        check_text("a.rs", "// TODO: later", 1);
        check_text("a.rs", "// TODO(#12): later", 0);
        check_text("a.rs", "#![allow(dead_code)]", 1);
        check_text("a.rs", "fn f() { std::thread::sleep(x) }", 0);
        check_text("a.rs", "#[cfg(test)]\nmod tests {\n std::thread::sleep(x);\n}", 1);
        check_text("crates/a/tests/it/main.rs", "tokio::time::sleep(x).await", 1);
        check_text("web/e2e/tests/a.test.mjs", "await page.waitForTimeout(5)", 1);
        let path = machine_paths()[1].clone();
        check_text("README.md", &format!("cd {path}x"), 1);
        check_text("README.md", &format!("https://example.org{path}x"), 0);
    }
}
