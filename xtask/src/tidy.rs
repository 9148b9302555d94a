//! `cargo xtask tidy`: the rules of the house that no compiler checks.

mod arrows;
mod lints;
mod sizes;
mod words;

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result, bail};

use crate::{
    place,
    shell::{ask, say},
};

/// Checks everything and names every violation.
pub(crate) fn run() -> Result<()> {
    let sources = sources()?;
    let metadata = arrows::metadata()?;
    let mut violations = arrows::check(&metadata);
    violations.extend(arrows::check_licences(&metadata));
    violations.extend(lints::check()?);
    violations.extend(sizes::check(&sources)?);
    violations.extend(words::check(&sources));
    for violation in &violations {
        say(violation);
    }
    match violations.len() {
        0 => Ok(()),
        count => bail!("{count} violations"),
    }
}

/// A text file of the repository.
pub(crate) struct Source {
    /// From the root, with slashes.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    pub(crate) fn has_extension(&self, extensions: &[&str]) -> bool {
        self.path.rsplit_once('.').is_some_and(|(_, extension)| extensions.contains(&extension))
    }

    /// Whether the whole file is tests.
    pub(crate) fn is_test(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        let test_directory = ["tests/", "/tests/", "web/e2e/", "benches/"];
        test_directory.iter().any(|part| self.path.contains(part) || self.path.starts_with(part))
            || name == "tests.rs"
            || [".test.ts", ".test.tsx", ".test.mjs"].iter().any(|end| name.ends_with(end))
    }

    /// Lines before the tests at the file's end.
    pub(crate) fn program_lines(&self) -> usize {
        if self.is_test() { 0 } else { self.tests_begin() }
    }

    /// Index of the first line of tests; the number of lines when there are none.
    pub(crate) fn tests_begin(&self) -> usize {
        let lines: Vec<&str> = self.text.lines().collect();
        let inline_tests = |at: &usize| {
            lines.get(*at).is_some_and(|line| line.trim() == "#[cfg(test)]")
                && lines.get(at + 1).is_some_and(|line| line.starts_with("mod tests {"))
        };
        (0..lines.len()).find(inline_tests).unwrap_or(lines.len())
    }
}

/// Everything in version control or about to be.
fn sources() -> Result<Vec<Source>> {
    let mut git = Command::new("git");
    git.args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"]);
    let listed = ask(git.current_dir(place::root()))?;
    let mut sources = Vec::new();
    for path in listed.split('\0').filter(|path| !path.is_empty()) {
        let file: PathBuf = place::root().join(path);
        // Deleted, but not yet in version control; or a link to a directory.
        if !file.is_file() {
            continue;
        }
        let bytes = fs::read(&file).with_context(|| path.to_owned())?;
        if let Ok(text) = String::from_utf8(bytes) {
            sources.push(Source { path: path.to_owned(), text });
        }
    }
    Ok(sources)
}
