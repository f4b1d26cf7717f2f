//! Times as people read them.

use serde_json::Value;
use server_base::calendar;

/// Seconds since 1970 as a date and time, UTC.
pub(crate) fn shown(seconds: &Value) -> String {
    let Some(seconds) = seconds.as_f64().filter(|it| (0.0..1e11).contains(it)) else {
        return "-".to_owned();
    };
    #[expect(clippy::cast_possible_truncation, reason = "checked above")]
    calendar::shown(seconds as i64)
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
