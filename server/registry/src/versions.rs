//! Folders of versions, as Triton and TensorFlow Serving lay them out: `1/`, `2/`, ..

use std::collections::BTreeSet;

use crate::error::RegistryError;
use crate::source::Remote;

/// If everything lies in numbered folders, the files of one of them: `wanted`, or the largest number.
/// Otherwise all files, and no number.
pub(crate) fn choose(
    files: Vec<Remote>,
    wanted: Option<u64>,
) -> Result<(Option<u64>, Vec<Remote>), RegistryError> {
    let numbers: Option<BTreeSet<u64>> = files.iter().map(|it| number(it.path.as_str())).collect();
    let numbers = numbers.filter(|it| !it.is_empty());
    let chosen = match (&numbers, wanted) {
        (Some(numbers), None) => numbers.last().copied(),
        (Some(numbers), Some(wanted)) if numbers.contains(&wanted) => Some(wanted),
        (Some(numbers), Some(wanted)) => {
            let words = format!("there is no version {wanted}, but {numbers:?}");
            return Err(RegistryError::NotFound(words));
        }
        (None, Some(wanted)) => {
            let words = format!("there is no version {wanted}: there are no numbered folders");
            return Err(RegistryError::NotFound(words));
        }
        (None, None) => None,
    };
    let Some(chosen) = chosen else { return Ok((None, files)) };
    let folder = chosen.to_string();
    let inside = |mut file: Remote| {
        file.path = file.path.within(&folder)?;
        Some(file)
    };
    Ok((Some(chosen), files.into_iter().filter_map(inside).collect()))
}

/// The number of the folder that a file lies in; `01` is no number, because `1` would be the same.
fn number(path: &str) -> Option<u64> {
    let (folder, _) = path.split_once('/')?;
    let plain = folder.bytes().all(|it| it.is_ascii_digit()) && !folder.starts_with('0');
    if plain { folder.parse().ok() } else { None }
}

#[cfg(test)]
#[path = "versions_tests.rs"]
mod tests;
