//! Version numbers for models whose registry has none: 1 for what was seen first, and so on.
//!
//! Kept in the cache, one file for each address, so that a number means the same after a restart and to
//! every process that shares the cache. Replicas that do not share it may count differently; the digest
//! is what they agree on.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use server_registry::{Digest, Uri};

/// So many versions of one address are told apart; then the file is begun anew.
const LINES_MAX: usize = 100_000;

/// The number of that content among all that the address has named.
pub(crate) fn number(cache: &Path, uri: &Uri, tree: Digest) -> io::Result<u64> {
    let path = file(cache, uri)?;
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    // Let go when the file is closed, or its process dies.
    file.lock()?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let wanted = tree.to_string();
    // A line that was cut off by a crash still has its number.
    let known = text.lines().position(|it| it == wanted);
    let place = match known {
        Some(place) => place,
        None => add(&mut file, &text, &wanted)?,
    };
    Ok(place as u64 + 1)
}

fn add(file: &mut File, text: &str, wanted: &str) -> io::Result<usize> {
    let mut lines = text.lines().count();
    if lines >= LINES_MAX {
        file.set_len(0)?;
        lines = 0;
    }
    let begun = if lines == 0 || text.ends_with('\n') { "" } else { "\n" };
    file.write_all(format!("{begun}{wanted}\n").as_bytes())?;
    file.sync_data()?;
    Ok(lines)
}

fn file(cache: &Path, uri: &Uri) -> io::Result<PathBuf> {
    let folder = cache.join("numbers");
    fs::create_dir_all(&folder)?;
    Ok(folder.join(Digest::of(uri.as_str().as_bytes()).hex()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_keeps_its_number() {
        let cache = tempfile::tempdir().expect("a folder");
        let uri: Uri = "s3://models/wine".parse().expect("an address");
        let number =
            |it: &str| number(cache.path(), &uri, Digest::of(it.as_bytes())).expect("there");
        let got: Vec<u64> = ["a", "b", "a", "c", "b", "a"].map(number).to_vec();
        assert_eq!(got, [1, 2, 1, 3, 2, 1]);
        let other: Uri = "s3://models/beer".parse().expect("an address");
        let of_other = super::number(cache.path(), &other, Digest::of(b"c")).expect("there");
        assert_eq!(of_other, 1, "addresses count for themselves");
    }

    #[test]
    fn a_line_that_was_cut_off_harms_nobody() {
        let cache = tempfile::tempdir().expect("a folder");
        let uri: Uri = "s3://models/wine".parse().expect("an address");
        let path = file(cache.path(), &uri).expect("a folder");
        fs::write(&path, "sha256:12").expect("written");
        for _ in 0..2 {
            let number = number(cache.path(), &uri, Digest::of(b"a")).expect("there");
            assert_eq!(number, 2);
        }
    }
}
