//! Secrets, read where they are and never printed.

use std::fmt;
use std::fs::File;
use std::io::Read as _;

use server_registry::Environment;

use crate::limits::SECRET_BYTES_MAX;
use crate::target::Source;

/// Text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(String);

impl Secret {
    pub(super) fn new(text: &str) -> Secret {
        Secret(text.to_owned())
    }

    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secret(..)")
    }
}

/// Read anew each time: secrets change. The error says where it should be, not what it is.
pub(super) fn secret(source: &Source, environment: &Environment) -> Result<Secret, String> {
    match source {
        Source::Variable(name) => environment
            .get(name)
            .map(Secret::new)
            .ok_or_else(|| format!("the variable {name} is not set")),
        Source::File(path) => {
            let wrong = |it: &dyn fmt::Display| format!("the secret in {}: {it}", path.display());
            let file = File::open(path).map_err(|it| wrong(&it))?;
            let mut text = String::new();
            file.take(SECRET_BYTES_MAX).read_to_string(&mut text).map_err(|it| wrong(&it))?;
            match text.trim() {
                "" => Err(wrong(&"the file is empty")),
                text => Ok(Secret::new(text)),
            }
        }
    }
}
