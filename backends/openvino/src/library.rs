//! Where the shared libraries are, and which version they are.

use std::path::Path;

use backend_api::Library;

/// The file with the C interface. The others lie beside it, where it finds them by itself.
pub const LIBRARY: Library = Library { stem: "libopenvino_c.so", home: "openvino" };

/// The version, from the file's name: `2641` is 2026.4.1.
pub(crate) fn version(path: &Path) -> String {
    let name = path.file_name().map(|it| it.to_string_lossy().into_owned()).unwrap_or_default();
    let digits: Vec<char> = name.rsplit('.').next().unwrap_or_default().chars().collect();
    match digits.as_slice() {
        [a, b, release, patch] if digits.iter().all(char::is_ascii_digit) => {
            format!("20{a}{b}.{release}.{patch}")
        }
        _ => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_beside_the_binary_wins() {
        let home = tempfile::tempdir().expect("scratch");
        for name in ["libopenvino_c.so.2540", "libopenvino_c.so.2641", "libopenvino.so.2700"] {
            std::fs::write(home.path().join(name), "").expect("write");
        }
        let found = LIBRARY.find(&home.path().join("salver")).expect("found");
        assert!(found.ends_with("libopenvino_c.so.2641"), "{found:?}");
        assert_eq!(version(&found), "2026.4.1");
        assert_eq!(version(Path::new("libopenvino_c.so")), "unknown");
    }
}
