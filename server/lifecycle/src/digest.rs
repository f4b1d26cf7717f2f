//! Which bytes a version is.
//!
//! SHA-256 of a line `<sha256> <bytes> <path>` for each file, in the order of paths: the same
//! content has the same digest wherever it lies.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use ring::digest::{Context, SHA256};

/// As for the scan: folders inside a version that are descended into, and files of it.
const DEPTH_MAX: usize = 8;
const FILES_MAX: usize = 10_000;

/// Bytes that are read at a time.
const PIECE: usize = 256 << 10;

/// Of a version's folder. Reads every file.
pub fn digest(folder: &Path) -> io::Result<String> {
    let mut files = BTreeMap::new();
    walk(folder, "", DEPTH_MAX, &mut files)?;
    let mut list = String::new();
    for (path, (digest, bytes)) in &files {
        let _ = writeln!(list, "{digest} {bytes} {path}"); // memory takes everything
    }
    Ok(format!("sha256:{}", sha256(list.as_bytes())))
}

/// SHA-256, in hex.
pub fn sha256(bytes: &[u8]) -> String {
    let mut context = Context::new(&SHA256);
    context.update(bytes);
    hex(context)
}

fn walk(
    folder: &Path,
    prefix: &str,
    depth_left: usize,
    files: &mut BTreeMap<String, (String, u64)>,
) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = if prefix.is_empty() { name.into_owned() } else { format!("{prefix}/{name}") };
        if files.len() >= FILES_MAX {
            return Err(io::Error::other(format!("more than {FILES_MAX} files")));
        }
        let metadata = fs::metadata(&path)?;
        if metadata.is_dir() {
            if depth_left > 0 {
                walk(&path, &name, depth_left - 1, files)?;
            }
        } else if metadata.is_file() {
            files.insert(name, of_file(&path)?);
        }
    }
    Ok(())
}

fn of_file(path: &Path) -> io::Result<(String, u64)> {
    let (mut file, mut context, mut bytes) = (File::open(path)?, Context::new(&SHA256), 0);
    let mut piece = vec![0; PIECE];
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            return Ok((hex(context), bytes));
        }
        context.update(piece.get(..read).unwrap_or_default());
        bytes += read as u64;
    }
}

fn hex(context: Context) -> String {
    let mut text = String::new();
    for byte in context.finish().as_ref() {
        let _ = write!(text, "{byte:02x}"); // memory takes everything
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::house::put;

    #[test]
    fn the_digest_is_that_of_the_list_of_files() {
        let folder = tempfile::tempdir().expect("scratch");
        put(folder.path(), "model.onnx", "abc");
        put(folder.path(), "sub/w.bin", "");
        // sha256sum of the two lines, with those of `abc` and of nothing.
        let (abc, none) = (
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        );
        let list = format!("{abc} 3 model.onnx\n{none} 0 sub/w.bin\n");
        let mut context = Context::new(&SHA256);
        context.update(list.as_bytes());
        let expect = format!("sha256:{}", hex(context));
        assert_eq!(digest(folder.path()).expect("readable"), expect);
        put(folder.path(), "sub/w.bin", "x");
        assert_ne!(digest(folder.path()).expect("readable"), expect);
        assert!(digest(&folder.path().join("gone")).is_err());
    }
}
