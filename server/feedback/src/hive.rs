//! The folders that rows lie in: `model=…/version=…/date=…/hour=…`, made and read again.

use server_base::{ModelName, Version};

const HOURS_A_DAY: u32 = 24;

/// Of a folder's name, on every usual file system.
const NAME_BYTES_MAX: usize = 255;

/// The folder of a version.
pub fn version_folder(model: &ModelName, version: Version) -> String {
    format!("{}/version={version}", model_folder(model.as_str()))
}

/// The folder of an hour, counted from 1970, within a version's.
pub fn hour_folder(hour: u32) -> String {
    format!("date={}/hour={:02}", date(hour / HOURS_A_DAY), hour % HOURS_A_DAY)
}

/// A model's folder.
pub(crate) fn model_folder(model: &str) -> String {
    format!("model={}", escaped(model))
}

/// Can a file system have that folder? One that it cannot have would hold up all others.
pub(crate) fn check_name(model: &str) -> Result<(), String> {
    let bytes = model_folder(model).len();
    if bytes <= NAME_BYTES_MAX {
        return Ok(());
    }
    Err(format!("log: the model's name takes {bytes} bytes as a folder: at most {NAME_BYTES_MAX}"))
}

/// As Hive escapes what would be misread in a path: `%` and two hexadecimal digits.
fn escaped(name: &str) -> String {
    let plain = |it: char| !it.is_control() && !"\"#%'*/:=?\\{}[]^".contains(it);
    let escape = |it: char| {
        if plain(it) {
            it.to_string()
        } else {
            let mut bytes = [0; 4];
            it.encode_utf8(&mut bytes).bytes().map(|it| format!("%{it:02X}")).collect()
        }
    };
    name.chars().map(escape).collect()
}

/// The day of that number since 1970, as `2026-11-21`. By Hinnant's days-to-civil: years begin in March,
/// so the leap day is the last.
pub(crate) fn date(day: u32) -> String {
    let z = u64::from(day) + 719_468;
    let (era, of_era) = (z / 146_097, z % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
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
