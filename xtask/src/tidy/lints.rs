//! Every crate takes the workspace's lints, and the two `clippy.toml` agree.

use std::fs;

use anyhow::{Context, Result};
use toml::{Table, Value};

use crate::place;

/// Crates without `lints.workspace = true`, and shared entries that differ.
pub(crate) fn check() -> Result<Vec<String>> {
    let mut violations = Vec::new();
    for manifest in manifests()? {
        let table = read(&manifest)?;
        let takes = table.get("lints").and_then(|lints| lints.get("workspace"))
            == Some(&Value::Boolean(true));
        if !takes {
            violations.push(format!("{manifest}: needs [lints] workspace = true"));
        }
    }
    let shared = read("clippy.toml")?;
    let media = read("crates/rtc-media/clippy.toml")?;
    violations.extend(disagreements(&shared, &media));
    Ok(violations)
}

fn manifests() -> Result<Vec<String>> {
    let mut manifests = vec!["xtask/Cargo.toml".to_owned()];
    for entry in fs::read_dir(place::root().join("crates"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        manifests.push(format!("crates/{name}/Cargo.toml"));
    }
    manifests.sort();
    Ok(manifests)
}

fn read(path: &str) -> Result<Table> {
    let text = fs::read_to_string(place::root().join(path)).with_context(|| path.to_owned())?;
    text.parse().with_context(|| path.to_owned())
}

/// Clippy takes the nearest file and does not merge (rust-clippy #7353), so the media crate's file must
/// repeat what is shared; of lists it may have more.
fn disagreements(shared: &Table, media: &Table) -> Vec<String> {
    let differs = |(key, value): (&String, &Value)| {
        let same = match (value, media.get(key)) {
            (Value::Array(shared), Some(Value::Array(media))) => {
                shared.iter().all(|entry| media.contains(entry))
            }
            (value, other) => Some(value) == other,
        };
        (!same).then(|| format!("crates/rtc-media/clippy.toml: {key} disagrees with clippy.toml"))
    };
    shared.iter().filter_map(differs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearer_file_may_forbid_more_but_not_less() {
        let shared: Table = "a = 1\nb = [1, 2]\nc = true".parse().unwrap();
        let media: Table = "a = 2\nb = [2, 1, 3]".parse().unwrap();
        assert_eq!(disagreements(&shared, &shared), Vec::<String>::new());
        assert_eq!(
            disagreements(&shared, &media),
            [
                "crates/rtc-media/clippy.toml: a disagrees with clippy.toml",
                "crates/rtc-media/clippy.toml: c disagrees with clippy.toml",
            ]
        );
    }
}
