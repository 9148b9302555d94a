//! How many tests passed and failed, from what test runners print at their end.

/// Tests of a suite, or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Count {
    /// Sums every closing line in the output.
    pub(crate) fn read(output: &str) -> Self {
        let lines: Vec<String> = output.lines().map(without_colour).collect();
        // nextest shows what each failed test printed, a closing line of libtest among it.
        let by_nextest = lines.iter().any(|line| line.trim().starts_with(NEXTEST_SUMMARY));
        let mut sum = Self::default();
        for line in lines.iter().map(|line| line.trim()) {
            if by_nextest && !line.starts_with(NEXTEST_SUMMARY) {
                continue;
            }
            if let Some(count) = closing_line(line) {
                sum.passed += count.passed;
                sum.failed += count.failed;
            }
        }
        sum
    }
}

const NEXTEST_SUMMARY: &str = "Summary [";

fn closing_line(line: &str) -> Option<Count> {
    // nextest: `Summary [ 1.2s] 9 tests run: 8 passed (1 slow), 1 failed, 0 skipped`
    if line.starts_with(NEXTEST_SUMMARY) && line.contains("tests run:") {
        return Some(Count {
            passed: number_before(line, " passed").unwrap_or(0),
            failed: ["failed", "timed out", "exec failed"]
                .iter()
                .filter_map(|word| number_before(line, &format!(" {word}")))
                .sum(),
        });
    }
    // libtest: `test result: ok. 3 passed; 0 failed; 0 ignored; …`
    if line.starts_with("test result:") {
        return Some(Count {
            passed: number_before(line, " passed").unwrap_or(0),
            failed: number_before(line, " failed").unwrap_or(0),
        });
    }
    // vitest: `Tests  1 failed | 12 passed (13)`
    if line.starts_with("Tests ") && (line.contains(" passed") || line.contains(" failed")) {
        return Some(Count {
            passed: number_before(line, " passed").unwrap_or(0),
            failed: number_before(line, " failed").unwrap_or(0),
        });
    }
    // node --test: `ℹ pass 12`, `ℹ fail 0`, one line each.
    let said = line.strip_prefix("ℹ ").or_else(|| line.strip_prefix("# "))?;
    let (word, number) = said.split_once(' ')?;
    let number = number.parse().ok()?;
    match word {
        "pass" => Some(Count { passed: number, failed: 0 }),
        "fail" | "cancelled" => Some(Count { passed: 0, failed: number }),
        _ => None,
    }
}

fn number_before(line: &str, word: &str) -> Option<u64> {
    let at = line.find(word)?;
    let before = line.get(..at)?;
    let digits = before.len() - before.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    before.get(before.len() - digits..)?.parse().ok()
}

/// Without the terminal's colour codes, `ESC [ … m`.
fn without_colour(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("\u{1b}[") {
        let (before, code) = rest.split_at(at);
        plain.push_str(before);
        rest = code.split_once('m').map_or("", |(_, after)| after);
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(output: &str, passed: u64, failed: u64) {
        assert_eq!(Count::read(output), Count { passed, failed }, "{output}");
    }

    #[test]
    fn closing_lines_of_every_runner_are_understood() {
        check("     Summary [   0.012s] 16 tests run: 16 passed, 0 skipped", 16, 0);
        check(
            "     Summary [   1.2s] 9 tests run: 6 passed (1 slow), 2 failed, 1 timed out, 0 skipped",
            6,
            3,
        );
        check(
            "test result: FAILED. 0 passed; 1 failed\n Summary [ 1s] 2 tests run: 1 passed, 1 failed",
            1,
            1,
        );
        check("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured", 3, 0);
        check(
            "test result: FAILED. 3 passed; 2 failed; 0 ignored\ntest result: ok. 1 passed; 0 failed;",
            4,
            2,
        );
        check("      Tests  1 failed | 12 passed (13)", 12, 1);
        check(
            "\u{1b}[2m      Tests \u{1b}[22m \u{1b}[1m\u{1b}[32m30 passed\u{1b}[39m\u{1b}[22m\u{1b}[90m (30)\u{1b}[39m",
            30,
            0,
        );
        check("ℹ tests 14\nℹ pass 12\nℹ fail 1\nℹ cancelled 1", 12, 2);
        check("all passed, nothing failed", 0, 0);
        check("", 0, 0);
    }
}
