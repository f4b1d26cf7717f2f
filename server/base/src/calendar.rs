//! Days, dates and times of day, in UTC and by the Gregorian calendar.

use std::fmt;
use std::str::FromStr;

const SECONDS_A_DAY: i64 = 86_400;

/// Days of 400 years, after which the calendar repeats itself.
const ERA: i64 = 146_097;

/// From 0000-03-01 to 1970-01-01.
const EPOCH: i64 = 719_468;

/// A day, as people name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    year: i64,
    month: i64,
    day: i64,
}

impl Date {
    /// The one so many days after 1970-01-01.
    ///
    /// # Source
    /// Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`: years begin in March, so
    /// the leap day is the last.
    pub fn of_day(days: i64) -> Date {
        let days = days.saturating_add(EPOCH);
        let (era, of_era) = (days.div_euclid(ERA), days.rem_euclid(ERA));
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / (ERA - 1)) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * march + 2) / 5 + 1;
        let month = if march < 10 { march + 3 } else { march - 9 };
        Date { year: year + era * 400 + i64::from(month <= 2), month, day }
    }

    /// `None`: there is no such day from 1970 to 9999.
    pub fn new(year: i64, month: i64, day: i64) -> Option<Date> {
        let date = Date { year, month, day };
        let in_range = (1970..=9999).contains(&year) && (1..=12).contains(&month);
        (in_range && (1..=31).contains(&day) && Date::of_day(date.days()) == date).then_some(date)
    }

    /// Days since 1970-01-01.
    ///
    /// # Source
    /// As for [`of_day`](Date::of_day), `days_from_civil`.
    pub fn days(self) -> i64 {
        let Date { year, month, day } = self;
        let (year, march) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
        let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let of_year = (153 * march + 2) / 5 + day - 1;
        era * ERA + of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// `2026-11-21`, in digits alone.
impl FromStr for Date {
    type Err = ();

    fn from_str(text: &str) -> Result<Date, ()> {
        let digits = |it: &str| it.bytes().all(|it| it.is_ascii_digit());
        let number = |it: &str| it.parse().ok().filter(|_| digits(it));
        let mut parts = text.split('-').map(number);
        let mut next = || parts.next().flatten();
        let (Some(year), Some(month), Some(day)) = (next(), next(), next()) else { return Err(()) };
        match parts.next() {
            None => Date::new(year, month, day).ok_or(()),
            Some(_) => Err(()),
        }
    }
}

/// Seconds since 1970 as RFC 3339 writes them, without what is less and without a zone: `2026-11-22T01:02:03`.
fn time(seconds: i64) -> String {
    let (days, second) = (seconds.div_euclid(SECONDS_A_DAY), seconds.rem_euclid(SECONDS_A_DAY));
    let date = Date::of_day(days);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{date}T{hour:02}:{minute:02}:{second:02}")
}

/// Seconds since 1970: `2026-11-22 01:02:03`.
pub fn shown(seconds: i64) -> String {
    time(seconds).replace('T', " ")
}

/// Milliseconds since 1970 as RFC 3339 writes them: `2026-11-22T01:02:03.004Z`.
pub fn of_ms(ms: i64) -> String {
    format!("{}.{:03}Z", time(ms.div_euclid(1_000)), ms.rem_euclid(1_000))
}

/// Microseconds since 1970 as RFC 3339 writes them: `2026-11-22T01:02:03.000004Z`.
pub fn of_us(us: i64) -> String {
    format!("{}.{:06}Z", time(us.div_euclid(1_000_000)), us.rem_euclid(1_000_000))
}

/// Microseconds since 1970 of what [`of_us`] has written. `None`: it is something else.
pub fn us_of(text: &str) -> Option<i64> {
    let (date, clock) = text.strip_suffix('Z')?.split_once('T')?;
    let (clock, micros) = clock.split_once('.')?;
    let number = |it: &str, digits: usize, most: i64| {
        let is_plain = it.len() == digits && it.bytes().all(|it| it.is_ascii_digit());
        it.parse::<i64>().ok().filter(|it| is_plain && *it <= most)
    };
    let mut parts = clock.split(':');
    let mut next = |most| number(parts.next()?, 2, most);
    let (hour, minute, second) = (next(23)?, next(59)?, next(59)?);
    if parts.next().is_some() {
        return None;
    }
    let days = date.parse::<Date>().ok()?.days();
    let seconds = days * SECONDS_A_DAY + hour * 3_600 + minute * 60 + second;
    Some(seconds * 1_000_000 + number(micros, 6, 999_999)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_dates_and_dates_have_days() {
        for (days, text) in [
            (-719_162, "0001-01-01"),
            (-1, "1969-12-31"),
            (0, "1970-01-01"),
            (58, "1970-02-28"),
            (59, "1970-03-01"),
            (364, "1970-12-31"),
            (365, "1971-01-01"),
            (789, "1972-02-29"),
            (790, "1972-03-01"),
            (11_016, "2000-02-29"),
            (20_778, "2026-11-21"),
            (47_540, "2100-02-28"),
            (47_541, "2100-03-01"),
            (2_932_896, "9999-12-31"),
        ] {
            let date = Date::of_day(days);
            assert_eq!((date.to_string().as_str(), date.days()), (text, days));
            let read = (days >= 0).then_some(date).ok_or(());
            assert_eq!(text.parse(), read, "{text}");
        }
        for days in (0..2_932_897).step_by(97) {
            let date = Date::of_day(days);
            assert_eq!((date.days(), date.to_string().parse()), (days, Ok(date)));
        }
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "",
            "2026",
            "2026-11",
            "2026-13-01",
            "2026-00-01",
            "2026-02-29",
            "2100-02-29",
            "2026-11-31",
            "2026-11-00",
            "+2026-11-21",
            "2026-11-2x",
            "2026-11-21-",
            "10000-01-01",
            "1969-12-31",
            "2026--1-01",
        ] {
            assert_eq!(text.parse::<Date>(), Err(()), "{text}");
        }
    }

    #[test]
    fn times_are_written() {
        assert_eq!(of_us(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(of_us(-1), "1969-12-31T23:59:59.999999Z");
        assert_eq!(of_us(951_827_696_000_001), "2000-02-29T12:34:56.000001Z");
        assert_eq!(of_ms(1_763_769_599_999), "2025-11-21T23:59:59.999Z");
        assert_eq!(shown(4_107_542_400), "2100-03-01 00:00:00");
        // No number is beyond it.
        assert!(of_us(i64::MAX).starts_with("294247-01-10T"));
        assert!(of_ms(i64::MIN).ends_with(".192Z"));
    }

    #[test]
    fn times_that_were_written_are_read() {
        for us in [0, 7, 1_763_769_599_999_999, 951_827_696_000_001, 253_402_300_799_999_999] {
            assert_eq!(us_of(&of_us(us)), Some(us));
        }
        for text in [
            "2026-11-22 01:02:03.000004Z",
            "2026-11-22T01:02:03Z",
            "2026-11-22T01:02:03.4Z",
            "2026-11-22T01:02:03.000004",
            "2026-11-22T01:02:03.000004+01:00",
            "2026-11-22T24:02:03.000004Z",
            "2026-11-22T01:60:03.000004Z",
            "2026-11-22T01:02:61.000004Z",
            "2026-11-22T01:02.000004Z",
            "2026-11-22T01:02:03:04.000004Z",
            "2026-11-22T+1:02:03.000004Z",
            "2026-11-31T01:02:03.000004Z",
            "",
        ] {
            assert_eq!(us_of(text), None, "{text}");
        }
    }
}
