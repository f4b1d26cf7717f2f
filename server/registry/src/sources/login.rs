//! Logging in to an OCI registry: what is asked in a 401, and what answers it.

use std::fs;
use std::path::Path;

use http::{HeaderMap, HeaderValue, header};
use serde::Deserialize;
use url::Url;

use crate::error::{RegistryError, local};
use crate::http::{Ask, Http, Trust, shown};
use crate::secret::{Secret, basic, bearer, docker_login};

/// A name and a password.
pub(super) type Login = (String, Secret);

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
}

/// What Docker's configuration says for a registry. No file is no login.
pub(super) fn of(config: Option<&Path>, server: &Url) -> Result<Option<Login>, RegistryError> {
    let Some(path) = config else { return Ok(None) };
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(local("read", path)(error)),
    };
    let host = &server[url::Position::BeforeHost..url::Position::AfterPort];
    // Docker's hub keeps its login under an address of long ago.
    let names = [host, if host == "registry-1.docker.io" { "index.docker.io" } else { host }];
    for name in names {
        if let Some(login) = docker_login(&text, name)? {
            return Ok(Some(login));
        }
    }
    Ok(None)
}

/// The header that a 401 asks for.
pub(super) async fn answer(
    http: &Http,
    server: &Url,
    challenge: &HeaderMap,
    login: Option<&Login>,
    scope: &str,
) -> Result<HeaderValue, RegistryError> {
    let name = shown(server);
    let asked =
        challenge.get_all(header::WWW_AUTHENTICATE).iter().filter_map(|it| it.to_str().ok());
    let asked: Vec<&str> = asked.collect();
    let known = login.map(|(user, password)| basic(user, password.expose())).transpose()?;
    if let Some(parameters) = asked.iter().find_map(|it| after(it, "Bearer ")) {
        return token(http, server, parameters, known, scope).await;
    }
    let wants_basic = asked.iter().any(|it| after(it, "Basic").is_some());
    match (wants_basic, known) {
        (true, Some(value)) => Ok(value),
        (true, None) => Err(RegistryError::Refused(format!("{name} wants a login"))),
        (false, _) => Err(RegistryError::Refused(format!("{name} wants a login of unknown kind"))),
    }
}

async fn token(
    http: &Http,
    server: &Url,
    parameters: &str,
    login: Option<HeaderValue>,
    scope: &str,
) -> Result<HeaderValue, RegistryError> {
    let name = shown(server);
    let wrong = |why: &str| RegistryError::Answer(format!("{name} asks for a token, {why}"));
    let realm = parameter(parameters, "realm").ok_or_else(|| wrong("but not of whom"))?;
    let mut url = Url::parse(realm).map_err(|_| wrong("but not at an address"))?;
    match (server.scheme(), url.scheme()) {
        ("http", "http") | (_, "https") => {}
        _ => return Err(wrong("but where the password could be read")),
    }
    if let Some(service) = parameter(parameters, "service") {
        url.query_pairs_mut().append_pair("service", service);
    }
    url.query_pairs_mut().append_pair("scope", parameter(parameters, "scope").unwrap_or(scope));
    let ours = url.origin() == server.origin();
    let mut ask = Ask::get(url);
    ask.trust = if ours { Trust::Configured } else { Trust::Remote };
    let token: Token = http.json(ask.authorized(login)).await?;
    let text = if token.token.is_empty() { token.access_token } else { token.token };
    if text.is_empty() { Err(wrong("but none is given")) } else { bearer(&text) }
}

/// The rest of a challenge of one kind; kinds are written in any case.
fn after<'a>(challenge: &'a str, kind: &str) -> Option<&'a str> {
    let head = challenge.get(..kind.len())?;
    if head.eq_ignore_ascii_case(kind) { challenge.get(kind.len()..) } else { None }
}

/// The quoted value of a parameter.
pub(super) fn parameter<'a>(parameters: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = parameters;
    while let Some((key, after)) = rest.split_once("=\"") {
        let (value, next) = after.split_once('"')?;
        if key.trim_matches([' ', ',']).eq_ignore_ascii_case(name) {
            return Some(value);
        }
        rest = next;
    }
    None
}

#[cfg(test)]
#[path = "login_tests.rs"]
mod tests;
