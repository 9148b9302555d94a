//! Times as the API writes them.

/// `2026-11-22T09:05:07.123Z` for milliseconds since 1970.
///
/// Good for the years 0 to 9999 of the proleptic Gregorian calendar; what lies outside is written
/// as the nearest end of that range.
pub fn rfc3339(unix_ms: i64) -> String {
    let ms = unix_ms.clamp(MS_MIN, MS_MAX);
    let (days, ms_of_day) = (ms.div_euclid(DAY_MS), ms.rem_euclid(DAY_MS));
    let (year, month, day) = civil(days);
    let (hour, minute) = (ms_of_day / 3_600_000, ms_of_day / 60_000 % 60);
    let (second, milli) = (ms_of_day / 1_000 % 60, ms_of_day % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// Year, month and day of a day counted from 1970-01-01.
///
/// Counts years from March, so that the leap day is the last day of a year and months have fixed
/// offsets: day `d` of such a year lies in month `(5 d + 2) / 153` after March.
fn civil(days_since_1970: i64) -> (i64, i64, i64) {
    let days = days_since_1970 + DAYS_0000_03_TO_1970;
    let (era, day_of_era) =
        (days.div_euclid(DAYS_PER_400_YEARS), days.rem_euclid(DAYS_PER_400_YEARS));
    // Take out the leap days passed so far, so that every year has 365 days.
    let leap_days = day_of_era / 1_460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let months_after_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * months_after_march + 2) / 5 + 1;
    let month = (months_after_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

const DAY_MS: i64 = 86_400_000;
const DAYS_PER_400_YEARS: i64 = 146_097;
/// From 0000-03-01 to 1970-01-01.
const DAYS_0000_03_TO_1970: i64 = 719_468;
/// 0000-01-01T00:00:00.000Z.
const MS_MIN: i64 = -62_167_219_200_000;
/// 9999-12-31T23:59:59.999Z.
const MS_MAX: i64 = 253_402_300_799_999;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc_with_milliseconds() {
        let cases = [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_709_210_096_007, "2024-02-29T12:34:56.007Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (1_735_689_599_000, "2024-12-31T23:59:59.000Z"),
            (MS_MIN, "0000-01-01T00:00:00.000Z"),
            (MS_MAX, "9999-12-31T23:59:59.999Z"),
            (i64::MIN, "0000-01-01T00:00:00.000Z"),
            (i64::MAX, "9999-12-31T23:59:59.999Z"),
        ];
        for (ms, text) in cases {
            assert_eq!(rfc3339(ms), text, "{ms}");
        }
    }

    #[test]
    fn every_day_of_eight_centuries_follows_the_one_before() {
        let mut before = civil(-200_000);
        for day in -199_999..100_000 {
            let (year, month, day_of_month) = civil(day);
            let (year_before, month_before, day_before) = before;
            let next_day =
                (year, month, day_of_month) == (year_before, month_before, day_before + 1);
            let next_month = day_of_month == 1 && month == month_before + 1 && year == year_before;
            let next_year = (month, day_of_month) == (1, 1)
                && (month_before, day_before) == (12, 31)
                && year == year_before + 1;
            assert!(
                next_day || next_month || next_year,
                "{before:?} then {year}-{month}-{day_of_month}"
            );
            assert!((28..=31).contains(&day_before) || next_day);
            before = (year, month, day_of_month);
        }
    }
}
