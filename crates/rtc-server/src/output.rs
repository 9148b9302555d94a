//! What the command line prints: results for people or programs, and failures with code, sentence and advice.

use std::io::{self, Write};

use serde_json::{Value as Json, json};

/// A failure as the user sees it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    /// Stable; what a script branches on.
    pub(crate) code: String,
    /// What happened, in a sentence.
    pub(crate) message: String,
    /// What to do, in a sentence.
    pub(crate) advice: String,
}

impl Failure {
    pub(crate) fn new(code: &str, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), advice: advice.into() }
    }

    /// From an error with its whole chain of sources.
    pub(crate) fn from_error(code: &str, error: &dyn std::error::Error, advice: &str) -> Self {
        Self::new(code, chain(error), advice)
    }
}

/// An error and its sources in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Who reads the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Json,
}

impl Format {
    /// Prints one result: `text` for people, `json` for programs.
    ///
    /// # Errors
    /// When standard output is closed.
    pub(crate) fn print(self, text: &str, json: &Json) -> io::Result<()> {
        let mut out = io::stdout().lock();
        match self {
            Self::Text => writeln!(out, "{}", text.trim_end()),
            Self::Json => writeln!(out, "{json:#}"),
        }
    }

    /// Prints a failure on standard error. A closed standard error is nobody to tell.
    pub(crate) fn print_failure(self, failure: &Failure) {
        let mut out = io::stderr().lock();
        let Failure { code, message, advice } = failure;
        let result = match self {
            Self::Text => {
                writeln!(out, "error[{code}]: {}\n  {advice}", message.trim_end_matches('.'))
            }
            Self::Json => {
                let error = json!({ "code": code, "message": message, "advice": advice });
                writeln!(out, "{:#}", json!({ "error": error }))
            }
        };
        drop(result);
    }
}

/// Rows under headings, columns as wide as their widest cell.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let widths: Vec<usize> = headings
        .iter()
        .enumerate()
        .map(|(i, heading)| {
            let cells = rows.iter().filter_map(|row| row.get(i)).map(|cell| cell.chars().count());
            cells.chain([heading.chars().count()]).max().unwrap_or(0)
        })
        .collect();
    let line = |cells: &[String]| {
        let padded: Vec<String> =
            cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let heading: Vec<String> = headings.iter().map(|&heading| heading.to_owned()).collect();
    let mut lines = vec![line(&heading)];
    lines.extend(rows.iter().map(|row| line(row)));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_table_aligns_its_columns() {
        let rows = [vec!["a".to_owned(), "1".to_owned()], vec!["课堂".to_owned(), "22".to_owned()]];
        expect![[r"
            ID  N
            a   1
            课堂  22"]]
        .assert_eq(&table(&["ID", "N"], &rows));
    }

    #[test]
    fn a_chain_names_every_cause_once() {
        let io = io::Error::other("disk full");
        let error = crate::config::ConfigError::Unreadable { path: "a".into(), source: io };
        assert_eq!(chain(&error), "cannot read a: disk full");
    }
}
