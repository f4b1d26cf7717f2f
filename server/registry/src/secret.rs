//! Credentials: where they come from, and how they stay out of logs.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use serde::Deserialize;

use crate::error::RegistryError;

/// Largest file with a credential: tokens have a few thousand characters at most.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// Text that is never printed: `Debug` says that it is there, `Display` does not exist.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text` to itself.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secret(..)")
    }
}

/// The process's environment as it was given to this crate, which asks the process for none. Values are
/// secrets, all of them: which are is not for us to guess.
#[derive(Clone, Debug, Default)]
pub struct Environment(BTreeMap<String, Secret>);

impl Environment {
    /// The value of a variable that is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(Secret::expose).filter(|it| !it.is_empty())
    }

    /// A credential: the value of the variable, or else what the file holds that `NAME_FILE` names, without the
    /// line feed at its end. Read each time: a mounted secret may have been replaced.
    pub(crate) fn credential(&self, name: &str) -> Result<Option<Secret>, RegistryError> {
        if let Some(value) = self.get(name) {
            return Ok(Some(Secret::new(value)));
        }
        let variable = format!("{name}_FILE");
        let Some(path) = self.get(&variable) else { return Ok(None) };
        let mut text = String::new();
        let read =
            File::open(path).and_then(|it| it.take(FILE_BYTES_MAX + 1).read_to_string(&mut text));
        let doing = || format!("{variable}: cannot read {path}");
        read.map_err(|error| RegistryError::Local(doing(), error))?;
        if text.len() as u64 > FILE_BYTES_MAX {
            let words = format!("{variable}: {path} has more than {FILE_BYTES_MAX} bytes");
            return Err(RegistryError::Invalid(words));
        }
        let text = text.trim_end_matches(['\r', '\n']);
        Ok(Some(text).filter(|it| !it.is_empty()).map(Secret::new))
    }

    /// Every variable whose name begins so.
    pub(crate) fn starting<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let all = self.0.iter().map(|(name, value)| (name.as_str(), value.expose()));
        all.filter(move |(name, _)| name.starts_with(prefix))
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(variables: T) -> Environment {
        let secret = |(name, value): (String, String)| (name, Secret::new(value));
        Environment(variables.into_iter().map(secret).collect())
    }
}

/// The value of an `Authorization` header, marked so that no one prints it.
pub(crate) fn bearer(token: &str) -> Result<HeaderValue, RegistryError> {
    authorization(format!("Bearer {token}"))
}

/// Likewise, for a name and a password.
pub(crate) fn basic(user: &str, password: &str) -> Result<HeaderValue, RegistryError> {
    authorization(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
}

fn authorization(text: String) -> Result<HeaderValue, RegistryError> {
    let wrong = |_| RegistryError::Invalid("credentials hold characters HTTP cannot send".into());
    let mut value = HeaderValue::try_from(text).map_err(wrong)?;
    value.set_sensitive(true);
    Ok(value)
}

#[derive(Deserialize)]
struct DockerConfig {
    #[serde(default)]
    auths: BTreeMap<String, DockerAuth>,
}

#[derive(Deserialize)]
struct DockerAuth {
    #[serde(default)]
    auth: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
}

/// Name and password for a host from the text of Docker's `config.json`. Credential helpers are
/// programs and are not run.
pub(crate) fn docker_login(
    config: &str,
    host: &str,
) -> Result<Option<(String, Secret)>, RegistryError> {
    let wrong = || RegistryError::Invalid("Docker's config.json cannot be read".into());
    let config: DockerConfig = serde_json::from_str(config).map_err(|_| wrong())?;
    let names = [host.to_owned(), format!("https://{host}"), format!("http://{host}")];
    let entry = config.auths.into_iter().find(|(name, _)| {
        let name = name.trim_end_matches('/').trim_end_matches("/v1").trim_end_matches("/v2");
        names.iter().any(|it| it == name)
    });
    let Some((_, auth)) = entry else { return Ok(None) };
    if auth.auth.is_empty() {
        let there = !auth.username.is_empty();
        return Ok(there.then(|| (auth.username, Secret::new(auth.password))));
    }
    let plain = STANDARD.decode(auth.auth.trim()).map_err(|_| wrong())?;
    let plain = String::from_utf8(plain).map_err(|_| wrong())?;
    let (user, password) = plain.split_once(':').ok_or_else(wrong)?;
    Ok(Some((user.to_owned(), Secret::new(password.trim_end_matches('\0')))))
}

#[cfg(test)]
#[path = "secret_tests.rs"]
mod tests;
