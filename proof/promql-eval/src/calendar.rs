//! Fields of a date, in UTC.

const SECONDS_PER_DAY: i64 = 86_400;

/// The field that the function `name` reads from `seconds` since 1970; `None` when there is no such function.
pub(super) fn field(name: &str, seconds: f64) -> Option<f64> {
    // The cast saturates, and a NaN becomes 1970: Prometheus leaves both undefined.
    let whole = seconds as i64;
    let (days, of_day) = (whole.div_euclid(SECONDS_PER_DAY), whole.rem_euclid(SECONDS_PER_DAY));
    let (year, month, day) = civil(days);
    let number = match name {
        "minute" => of_day / 60 % 60,
        "hour" => of_day / 3600,
        // 1970 began on a Thursday.
        "day_of_week" => (days + 4).rem_euclid(7),
        "day_of_month" => day,
        "month" => month,
        "year" => year,
        _ => return None,
    };
    Some(number as f64)
}

/// Year, month and day of a count of days since 1970. Years are counted from March, so that the leap day comes last.
fn civil(days: i64) -> (i64, i64, i64) {
    const DAYS_TO_1970_FROM_MARCH_0000: i64 = 719_468;
    const DAYS_PER_400_YEARS: i64 = 146_097;
    let since = days + DAYS_TO_1970_FROM_MARCH_0000;
    let (era, of_era) = (since.div_euclid(DAYS_PER_400_YEARS), since.rem_euclid(DAYS_PER_400_YEARS));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}
