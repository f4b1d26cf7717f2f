//! Times as people read them.

use serde_json::Value;

/// Seconds since 1970 as a date and time, UTC.
pub(crate) fn shown(seconds: &Value) -> String {
    let Some(seconds) = seconds.as_f64().filter(|it| (0.0..1e11).contains(it)) else {
        return "-".to_owned();
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    let seconds = seconds as u64;
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

/// Of a day since 1970, by years of 365.2425 days that begin in March.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_found() {
        for (seconds, expect) in [
            (0.0, "1970-01-01 00:00:00"),
            (951_827_696.0, "2000-02-29 12:34:56"),
            (1_767_225_599.0, "2025-12-31 23:59:59"),
            (4_107_542_400.5, "2100-03-01 00:00:00"),
        ] {
            assert_eq!(shown(&Value::from(seconds)), expect);
        }
        assert_eq!(shown(&Value::Null), "-");
    }
}
