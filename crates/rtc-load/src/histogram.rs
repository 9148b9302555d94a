//! Percentiles of many values in little memory.

/// Counts values in buckets of at most 1/64 relative width; values below 128 are exact.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    max: u64,
}

impl Histogram {
    /// Enters a value.
    pub fn record(&mut self, value: u64) {
        let index = bucket_of(value);
        if index >= self.buckets.len() {
            self.buckets.resize(index + 1, 0);
        }
        self.buckets[index] += 1;
        self.count += 1;
        self.max = self.max.max(value);
    }

    /// Adds all values of another histogram.
    pub fn merge(&mut self, other: &Self) {
        if other.buckets.len() > self.buckets.len() {
            self.buckets.resize(other.buckets.len(), 0);
        }
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    /// How many values were entered.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The largest value, exact; `None` when empty.
    pub fn max(&self) -> Option<u64> {
        (self.count > 0).then_some(self.max)
    }

    /// The smallest value that at least `permille` thousandths of all values do not exceed (nearest
    /// rank), rounded up to the end of its bucket; `None` when empty.
    pub fn permille(&self, permille: u16) -> Option<u64> {
        if self.count == 0 {
            return None;
        }
        let rank = (u128::from(self.count) * u128::from(permille)).div_ceil(1_000).max(1);
        let mut seen = 0u128;
        for (index, bucket) in self.buckets.iter().enumerate() {
            seen += u128::from(*bucket);
            if seen >= rank {
                return Some(bucket_end(index).min(self.max));
            }
        }
        Some(self.max)
    }
}

/// Sub-buckets per power of two, as a power of two.
const SUB_BITS: u32 = 6;
const SUB_COUNT: u64 = 1 << SUB_BITS;

fn bucket_of(value: u64) -> usize {
    let shift = (u64::BITS - value.leading_zeros()).saturating_sub(SUB_BITS + 1);
    // `value >> shift` lies in [64, 128) for shift > 0, below 128 otherwise.
    let index = u64::from(shift) * SUB_COUNT + (value >> shift);
    usize::try_from(index).unwrap_or(usize::MAX)
}

/// The largest value of a bucket.
fn bucket_end(index: usize) -> u64 {
    let index = u64::try_from(index).unwrap_or(u64::MAX);
    if index < 2 * SUB_COUNT {
        return index;
    }
    let shift = index / SUB_COUNT - 1;
    let mantissa = index - shift * SUB_COUNT;
    ((mantissa << shift) | ((1 << shift) - 1)).max(mantissa)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: impl IntoIterator<Item = u64>) -> Histogram {
        let mut histogram = Histogram::default();
        values.into_iter().for_each(|value| histogram.record(value));
        histogram
    }

    #[test]
    fn small_values_have_exact_percentiles() {
        let rows: &[(&[u64], u16, Option<u64>)] = &[
            (&[], 500, None),
            (&[4], 0, Some(4)),
            (&[4], 1_000, Some(4)),
            (&[1, 2, 3, 4], 500, Some(2)),
            (&[1, 2, 3, 4], 501, Some(3)),
            (&[1, 2, 3, 4], 950, Some(4)),
            (&[0, 0, 0, 127], 750, Some(0)),
            (&[0, 0, 0, 127], 1_000, Some(127)),
        ];
        for (values, permille, expected) in rows {
            assert_eq!(of(values.iter().copied()).permille(*permille), *expected, "{values:?}");
        }
    }

    #[test]
    fn large_values_are_within_one_sixty_fourth() {
        for value in [128, 129, 1_000, 65_535, 1 << 20, (1 << 40) + 12_345, u64::MAX] {
            let end = bucket_end(bucket_of(value));
            assert!(end >= value && end - value <= value / 64, "{value} → {end}");
        }
        let spread = of(1..=100_000);
        let median = spread.permille(500).unwrap();
        assert!((50_000..=50_800).contains(&median), "{median}");
        assert_eq!(spread.permille(1_000), Some(100_000));
    }

    #[test]
    fn buckets_follow_one_another_without_gap() {
        let mut last = bucket_of(0);
        for value in 1..100_000u64 {
            let bucket = bucket_of(value);
            assert!(bucket == last || bucket == last + 1, "{value}");
            last = bucket;
        }
    }

    #[test]
    fn merging_equals_entering_everything_in_one() {
        let mut merged = of([1, 5, 9_000]);
        merged.merge(&of([2, 1_000_000]));
        let whole = of([1, 5, 9_000, 2, 1_000_000]);
        assert_eq!((merged.count(), merged.max()), (whole.count(), whole.max()));
        assert_eq!(merged.permille(600), whole.permille(600));
    }
}
