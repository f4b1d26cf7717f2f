//! A file that makes its reader panic.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a file makes the reader do costs the file, and not all others. What the reader says otherwise, or the
/// words of the panic.
pub(crate) fn spared<T>(read: impl FnOnce() -> T) -> Result<T, String> {
    let panicked = |it: Box<dyn Any + Send>| {
        let text: Option<&str> = it.downcast_ref::<&str>().copied();
        let words = text.or_else(|| it.downcast_ref::<String>().map(String::as_str));
        format!("it makes the reader fail: {}", words.unwrap_or("an error of the program"))
    };
    catch_unwind(AssertUnwindSafe(read)).map_err(panicked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_in_words() {
        assert_eq!(spared(|| 7), Ok(7));
        let of = |read: fn()| spared(read).expect_err("it panics");
        assert_eq!(of(|| panic!("no such page")), "it makes the reader fail: no such page");
        assert_eq!(of(|| panic!("page {}", 7)), "it makes the reader fail: page 7");
    }
}
