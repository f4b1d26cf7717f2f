//! Credentials: where they come from, and how they stay out of logs.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use serde::Deserialize;

use crate::error::RegistryError;

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

/// The process's environment as it was given to this crate, which reads none itself. Values are
/// secrets, all of them: which are is not for us to guess.
#[derive(Clone, Debug, Default)]
pub struct Environment(BTreeMap<String, Secret>);

impl Environment {
    /// The value of a variable that is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(Secret::expose).filter(|it| !it.is_empty())
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
