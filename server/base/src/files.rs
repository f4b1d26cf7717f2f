//! Small files that are replaced whole: after a crash they are as before, or new.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

/// Writes a file and waits until it is on the disk. Its name may not be there yet: see [`sync_folder`].
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Puts a file in the place of what is there, by way of `aside` in the same folder. It is on the disk when this
/// returns, under its name; whoever reads meanwhile finds what was there before, or this, and never half of it.
pub fn replace(path: &Path, aside: &Path, bytes: &[u8]) -> io::Result<()> {
    write(aside, bytes)?;
    fs::rename(aside, path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Names in the folder are on the disk when it returns.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    // A path without a folder is in this one.
    let here = folder.as_os_str().is_empty();
    File::open(if here { Path::new(".") } else { folder })?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole() {
        let root = tempfile::tempdir().expect("scratch");
        let (path, aside) = (root.path().join("a.json"), root.path().join(".a.json"));
        for text in ["first", "second, longer", "3"] {
            replace(&path, &aside, text.as_bytes()).expect("replaced");
            assert_eq!(fs::read_to_string(&path).expect("read"), text);
            assert!(!aside.exists());
        }
        // A folder is in its way: what was there stays.
        fs::create_dir(&aside).expect("made");
        replace(&path, &aside, b"4").expect_err("in the way");
        assert_eq!(fs::read_to_string(&path).expect("read"), "3");
        sync_folder(Path::new("")).expect("the folder that this runs in");
        sync_folder(&root.path().join("x")).expect_err("it is not there");
    }
}
