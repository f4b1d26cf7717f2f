//! The folders that rows lie in: `model=…/version=…/date=…/hour=…`, made and read again.

use server_base::{ModelName, Version};

use crate::parquet::{date, model_folder};

const HOURS_A_DAY: u32 = 24;

/// The folder of a version.
pub fn version_folder(model: &ModelName, version: Version) -> String {
    format!("{}/version={version}", model_folder(model.as_str()))
}

/// The folder of an hour, counted from 1970, within a version's.
pub fn hour_folder(hour: u32) -> String {
    format!("date={}/hour={:02}", date(hour / HOURS_A_DAY), hour % HOURS_A_DAY)
}

/// The hour of a path that begins with an hour's folder.
pub fn hour_of(path: &str) -> Option<u32> {
    let (day, rest) = path.strip_prefix("date=")?.split_once('/')?;
    let hour = rest.strip_prefix("hour=")?.split('/').next()?;
    let hour: u32 = hour.parse().ok().filter(|it| *it < HOURS_A_DAY)?;
    day_of(day)?.checked_mul(HOURS_A_DAY)?.checked_add(hour)
}

/// The number since 1970 of a day such as `2026-11-21`. By Hinnant's days-from-civil: years begin in
/// March, so the leap day is the last.
fn day_of(text: &str) -> Option<u32> {
    let parts: Option<Vec<u64>> = text.split('-').map(|it| it.parse().ok()).collect();
    let &[year, month, day] = parts?.as_slice() else { return None };
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * month + 2) / 5 + day - 1;
    let day = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    u32::try_from(day.checked_sub(719_468)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_read_as_they_are_written() {
        for hour in [0, 23, 24, 264_143, 480_001, 498_623, 700_000] {
            let folder = hour_folder(hour);
            assert_eq!(hour_of(&folder), Some(hour), "{folder}");
            assert_eq!(hour_of(&format!("{folder}/x.parquet")), Some(hour), "{folder}");
        }
        assert_eq!(hour_folder(498_623), "date=2026-11-18/hour=23");
        for text in [
            "",
            "date=2026-11-18",
            "date=2026-13-18/hour=1",
            "date=x/hour=01/x",
            "date=2026-11-18/hour=24",
        ] {
            assert_eq!(hour_of(text), None, "{text}");
        }
    }
}
