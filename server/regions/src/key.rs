//! Which objects clients may name.
//!
//! A key comes from outside and is opened by the server, with the server's rights. So it can be one name among
//! the system's shared memory objects and nothing else: no path, nothing hidden, none of those that are somebody's
//! but a client's.

/// Longest name of a file.
pub(crate) const NAME_BYTES_MAX: usize = 255;

/// Beginnings of names that no client may use: what the server itself would call its objects, and
/// semaphores, which lie in the same folder and must not be written over.
const RESERVED: [&str; 2] = ["salver", "sem."];

/// The object's name, if a client may use the key: with or without the one slash in front that POSIX wants.
pub(crate) fn object(key: &str) -> Result<&str, String> {
    let name = key.strip_prefix('/').unwrap_or(key);
    let wrong = if name.is_empty() {
        "it is empty"
    } else if name.len() > NAME_BYTES_MAX {
        return Err(format!("it has {} bytes, at most {NAME_BYTES_MAX} may be", name.len()));
    } else if name.contains('/') {
        "it names a path, expected one name behind at most one slash"
    } else if name.starts_with('.') {
        "it begins with a dot"
    } else if name.chars().any(char::is_control) {
        "it has control characters"
    } else if RESERVED.iter().any(|it| name.starts_with(it)) {
        "its beginning is reserved"
    } else {
        return Ok(name);
    };
    Err(wrong.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(key: &str, expect: Result<&str, &str>) {
        let got = object(key);
        match expect {
            Ok(name) => assert_eq!(got, Ok(name), "{key:?}"),
            Err(says) => {
                let error = got.expect_err(key);
                assert!(error.contains(says), "{key:?}: {error}");
            }
        }
    }

    #[test]
    fn a_key_is_one_name() {
        check("/input_data", Ok("input_data"));
        check("input_data", Ok("input_data"));
        check("psm_1f..2", Ok("psm_1f..2"));
        check("/éa b", Ok("éa b"));
        let longest = "x".repeat(255);
        check(&longest, Ok(&longest));
    }

    #[test]
    fn and_nothing_else() {
        for key in ["", "/"] {
            check(key, Err("empty"));
        }
        for key in
            ["//a", "///a", "/a/b", "a/", "a/../../etc/passwd", "../a", "/../a", "//salver_x"]
        {
            check(key, Err("a path"));
        }
        for key in ["..", "/..", ".", "/.hidden"] {
            check(key, Err("a dot"));
        }
        for key in ["a\0b", "a\n", "/\u{85}"] {
            check(key, Err("control"));
        }
        for key in ["salver", "/salver_worker_1", "sem.lock", "/sem.lock"] {
            check(key, Err("reserved"));
        }
        check(&"x".repeat(256), Err("256 bytes"));
    }
}
