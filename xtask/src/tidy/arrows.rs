//! Which crate may know which: the table of ARCHITECTURE.md, compared with what cargo sees.

use std::collections::BTreeSet;

use anyhow::Result;
use serde_json::Value as Json;

use crate::shell::{ask, cargo};

/// A crate, what it may depend on of ours, and what it must never know.
struct Rule {
    name: &'static str,
    may_know: &'static [&'static str],
    never: &'static [&'static str],
}

/// A new arrow is an edit of this table, of ARCHITECTURE.md, and a commit of its own.
const RULES: [Rule; 9] = [
    Rule {
        name: "rtc-model",
        may_know: &[],
        never: &["tokio", "serde_json", "axum", "sqlx", "str0m"],
    },
    Rule {
        name: "rtc-media",
        may_know: &["rtc-model"],
        never: &[
            "tokio",
            "axum",
            "sqlx",
            "reqwest",
            "socket2",
            "nix",
            "serde_json",
            "livekit-protocol",
        ],
    },
    Rule {
        name: "rtc-api",
        may_know: &["rtc-model"],
        never: &["tokio", "sqlx", "str0m", "reqwest"],
    },
    Rule {
        name: "rtc-backends",
        may_know: &["rtc-model"],
        never: &["axum", "str0m", "livekit-protocol"],
    },
    Rule {
        name: "rtc-control",
        may_know: &["rtc-model", "rtc-api", "rtc-backends"],
        never: &["str0m", "socket2", "sqlx"],
    },
    Rule {
        name: "rtc-node",
        may_know: &["rtc-model", "rtc-api", "rtc-media", "rtc-backends"],
        never: &["sqlx", "reqwest"],
    },
    Rule {
        name: "rtc-server",
        may_know: &["rtc-model", "rtc-api", "rtc-media", "rtc-backends", "rtc-control", "rtc-node"],
        never: &["sqlx", "str0m"],
    },
    Rule { name: "rtc-load", may_know: &["rtc-model", "rtc-api"], never: &["axum", "sqlx"] },
    Rule { name: "xtask", may_know: &[], never: &["tokio"] },
];

/// What cargo knows of the workspace and of everything it uses.
pub(crate) fn metadata() -> Result<Json> {
    let text = ask(&mut cargo(["metadata", "--format-version", "1", "--locked"]))?;
    Ok(serde_json::from_str(&text)?)
}

/// Every arrow and every forbidden dependency that is not in the table. Tests count like the rest: a
/// crate that is tested through another knows it.
pub(crate) fn check(metadata: &Json) -> Vec<String> {
    let members: BTreeSet<&str> = strings(&metadata["workspace_members"]).collect();
    let packages = list(&metadata["packages"]);
    let ours: Vec<&Json> =
        packages.iter().filter(|package| members.contains(text(&package["id"]))).collect();
    let names: BTreeSet<&str> = ours.iter().map(|package| text(&package["name"])).collect();
    let mut violations = Vec::new();
    for package in &ours {
        let name = text(&package["name"]);
        let Some(rule) = RULES.iter().find(|rule| rule.name == name) else {
            violations
                .push(format!("{name}: not in the table of crates (xtask/src/tidy/arrows.rs)"));
            continue;
        };
        for dependency in
            list(&package["dependencies"]).iter().map(|dependency| text(&dependency["name"]))
        {
            if names.contains(dependency) && !rule.may_know.contains(&dependency) {
                violations.push(format!("{name} must not depend on {dependency}"));
            }
            if rule.never.contains(&dependency) {
                violations.push(format!("{name} must never know {dependency}"));
            }
        }
    }
    violations
}

/// Licences that ask for nothing but their own text.
const LICENCES: [&str; 15] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "OpenSSL",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Every package whose licence is not permissive.
pub(crate) fn check_licences(metadata: &Json) -> Vec<String> {
    let wrong = |package: &&Json| !is_permissive(text(&package["license"]));
    let named = |package: &Json| {
        format!(
            "{} {}: licence \"{}\" is not on the list (xtask/src/tidy/arrows.rs)",
            text(&package["name"]),
            text(&package["version"]),
            text(&package["license"])
        )
    };
    list(&metadata["packages"]).iter().filter(wrong).map(named).collect()
}

/// Whether an SPDX expression can be met with permissive licences alone. `AND` binds closer than `OR`.
fn is_permissive(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ").trim().to_owned();
    if expression.is_empty() {
        return false;
    }
    let outside = |separator: &str| split_outside_parentheses(&expression, separator);
    let alternatives = outside(" OR ");
    if alternatives.len() > 1 {
        return alternatives.iter().any(|part| is_permissive(part));
    }
    let parts = outside(" AND ");
    if parts.len() > 1 {
        return parts.iter().all(|part| is_permissive(part));
    }
    match expression.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
        Some(inner) => is_permissive(inner),
        None => LICENCES.contains(&expression.as_str()),
    }
}

fn split_outside_parentheses(text: &str, separator: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0_u32;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if depth == 0 && rest.starts_with(separator) {
            parts.push(String::new());
            rest = &rest[separator.len()..];
            continue;
        }
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
        rest = &rest[c.len_utf8()..];
    }
    parts
}

fn list(value: &Json) -> &[Json] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn strings(value: &Json) -> impl Iterator<Item = &str> {
    list(value).iter().filter_map(Json::as_str)
}

fn text(value: &Json) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_forbidden_arrow_is_named() {
        let package = |name: &str, dependencies: &[&str]| {
            let dependencies: Vec<Json> =
                dependencies.iter().map(|name| json!({ "name": name })).collect();
            json!({ "id": name, "name": name, "dependencies": dependencies })
        };
        let metadata = json!({
            "workspace_members": ["rtc-model", "rtc-node", "rtc-control", "rtc-new"],
            "packages": [
                package("rtc-model", &["serde"]),
                package("rtc-node", &["rtc-model", "rtc-control"]),
                package("rtc-control", &["rtc-model", "str0m"]),
                package("rtc-new", &[]),
                package("serde", &["rtc-control"]),
            ],
        });
        assert_eq!(
            check(&metadata),
            [
                "rtc-node must not depend on rtc-control",
                "rtc-control must never know str0m",
                "rtc-new: not in the table of crates (xtask/src/tidy/arrows.rs)",
            ]
        );
    }

    #[test]
    fn licences_are_read_as_expressions() {
        for (expression, permissive) in [
            ("MIT", true),
            ("MIT/Apache-2.0", true),
            ("GPL-3.0 OR MIT", true),
            ("GPL-3.0 AND MIT", false),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
            ("(MIT OR Apache-2.0) AND GPL-2.0", false),
            ("Apache-2.0 WITH LLVM-exception OR Apache-2.0", true),
            ("", false),
        ] {
            assert_eq!(is_permissive(expression), permissive, "{expression}");
        }
    }
}
