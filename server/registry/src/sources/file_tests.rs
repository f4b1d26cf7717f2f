use super::*;
use std::time::SystemTime;

use futures_util::StreamExt as _;

use crate::error::ErrorKind;

/// Writes a file that was last changed long ago.
fn write_old(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).expect("written");
    let file = File::options().write(true).open(path).expect("open");
    file.set_modified(SystemTime::UNIX_EPOCH).expect("touched");
}

fn look(root: &Path) -> Result<Manifest, RegistryError> {
    Folder::new(root.to_owned(), None, Limits::default()).look()
}

#[tokio::test]
async fn a_file_that_changes_is_not_half_of_each() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("m");
    write_old(&path, &vec![1; 3 << 20]);
    let source = Folder::new(folder.path().to_owned(), None, Limits::default());
    let file = source.look().expect("a model").files.remove(0);
    let mut fetched = source.fetch(&file, 0).await.expect("a file");
    fetched.pieces.next().await.expect("a piece").expect("bytes");
    fs::write(&path, vec![2; 3 << 20]).expect("written");
    let mut last = None;
    while let Some(piece) = fetched.pieces.next().await {
        last = Some(piece);
    }
    let error = last.expect("an end").expect_err("it changed");
    assert!(error.to_string().ends_with("m changed while it was read"), "{error}");
    assert_eq!(source.fetch(&file, 0).await.expect_err("it changed").kind(), ErrorKind::Answer);
}

#[test]
fn links_around_a_folder_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let link = |from: &str, to: &str| {
        std::os::unix::fs::symlink(to, folder.path().join(from)).expect("linked");
    };
    link("around", ".");
    assert_eq!(look(folder.path()).expect_err("no end").kind(), ErrorKind::TooLarge);
    fs::remove_file(folder.path().join("around")).expect("removed");
    // No circle, but more ways than there are files: each level leads to the next by ten names.
    for level in 0..12 {
        fs::create_dir(folder.path().join(level.to_string())).expect("made");
        for n in 0..10 {
            link(&format!("{level}/{n}"), &format!("../{}", level + 1));
        }
    }
    fs::create_dir(folder.path().join("12")).expect("made");
    let error = look(folder.path()).expect_err("too many");
    assert!(error.to_string().contains("more than 4096 files"), "{error}");
}
