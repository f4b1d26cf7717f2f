//! Addresses of models.
//!
//! Parsed once, at the door. What is in a `Uri` is well formed: later code asks nothing of its text.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use url::Url;

use crate::digest::Digest;
use crate::error::RegistryError;
use crate::path::RelativePath;

/// What may be written, for errors and for help.
pub const FORMS: &str = "file:DIR, mlflow://HOST:PORT/MODEL@ALIAS, s3://BUCKET/PREFIX, \
gs://BUCKET/PREFIX, az://CONTAINER/PREFIX, https://HOST/FILE, oci://HOST/NAME:TAG, hf://ORG/NAME@REVISION";

/// Where a model comes from.
#[derive(Clone, PartialEq, Eq)]
pub struct Uri {
    text: String,
    pub(crate) place: Place,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A folder, or a file, of this machine.
    File { path: PathBuf, version: Option<u64> },
    /// A registered model of an MLflow server.
    Mlflow { server: Url, workspace: Option<String>, model: String, at: MlflowVersion },
    /// A prefix of an object store.
    Store {
        kind: StoreKind,
        endpoint: Option<Url>,
        bucket: String,
        prefix: String,
        version: Option<u64>,
    },
    /// One file of a web server.
    Web { url: Url, digest: Option<Digest> },
    /// An artifact or image of an OCI registry. `server` has no path.
    Oci { server: Url, name: String, at: OciReference },
    /// A repository of the Hugging Face hub, or a folder in it.
    Hf { repo: String, revision: String, folder: String },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MlflowVersion {
    Alias(String),
    Number(u64),
    Stage(String),
    Latest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreKind {
    S3,
    Gs,
    Az,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OciReference {
    Tag(String),
    Digest(Digest),
}

impl Uri {
    /// As it was written: names the model in `models.lock` and in the cache.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Names the registry that it lies in: addresses that are alike in this ask the same server.
    pub fn registry(&self) -> String {
        match &self.place {
            Place::File { .. } => "file".to_owned(),
            Place::Mlflow { server, .. } | Place::Oci { server, .. } => server.to_string(),
            Place::Store { kind, endpoint: None, .. } => format!("{kind:?}"),
            Place::Store { endpoint: Some(server), .. } => server.to_string(),
            Place::Web { url, .. } => url.origin().ascii_serialization(),
            Place::Hf { .. } => "hf".to_owned(),
        }
    }
}

impl Uri {
    /// The registered model of MLflow that it names a version of.
    pub fn registered_model(&self) -> Option<&str> {
        let Place::Mlflow { model, .. } = &self.place else { return None };
        Some(model)
    }

    /// A prefix of the same store whose name is this one's and `suffix`: beside it, not below it. In a bucket
    /// without a prefix it is that alone.
    pub fn beside(&self, suffix: &str) -> Result<Uri, RegistryError> {
        let (base, query) = self.text.split_once('?').unwrap_or((&self.text, ""));
        let Place::Store { prefix, .. } = &self.place else {
            return Err(RegistryError::Invalid(format!("{self}: expected a prefix of a store")));
        };
        let base = base.trim_end_matches('/');
        let query = if query.is_empty() { String::new() } else { format!("?{query}") };
        let alone = suffix.trim_start_matches('-');
        let name = if prefix.is_empty() { format!("/{alone}") } else { suffix.to_owned() };
        format!("{base}{name}{query}").parse()
    }

    /// That version of the same model, where versions go by numbers.
    pub fn at_version(&self, version: u64) -> Option<Uri> {
        let (base, query) = self.text.split_once('?').unwrap_or((&self.text, ""));
        let text = match &self.place {
            Place::Mlflow { .. } => {
                let (scheme, rest) = base.split_once("//")?;
                let (authority, path) = rest.split_once('/')?;
                let (model, _) = path.rsplit_once('@').or_else(|| path.split_once('/'))?;
                let query = if query.is_empty() { String::new() } else { format!("?{query}") };
                format!("{scheme}//{authority}/{model}/{version}{query}")
            }
            Place::File { .. } | Place::Store { .. } => format!("{base}?version={version}"),
            Place::Web { .. } | Place::Oci { .. } | Place::Hf { .. } => return None,
        };
        text.parse().ok()
    }
}

impl fmt::Debug for Uri {
    /// As for people: a query has no place in a log.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Uri({self})")
    }
}

impl fmt::Display for Uri {
    /// Without the query of a web address, which may be a signature.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.place, self.text.split_once('?')) {
            (Place::Web { .. }, Some((plain, _))) => write!(out, "{plain}?.."),
            _ => out.write_str(&self.text),
        }
    }
}

impl FromStr for Uri {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<Uri, RegistryError> {
        let wrong =
            |why: &str| RegistryError::Invalid(format!("{:?} names no model: {why}", shown(text)));
        let Some((scheme, rest)) = text.split_once(':') else {
            return Err(wrong(&format!("expected one of {FORMS}")));
        };
        if text.chars().any(|it| it.is_control() || it.is_whitespace()) && scheme != "file" {
            return Err(wrong("it holds a space or a control character"));
        }
        let place = match scheme {
            "file" => file(rest),
            "mlflow" | "mlflows" => mlflow(scheme == "mlflows", rest),
            "s3" => store(StoreKind::S3, rest),
            "gs" => store(StoreKind::Gs, rest),
            "az" => store(StoreKind::Az, rest),
            "http" | "https" => web(text),
            "oci" => oci(rest),
            "hf" => hf(rest),
            _ => Err(format!("unknown scheme {scheme:?}; expected one of {FORMS}")),
        };
        Ok(Uri { text: text.to_owned(), place: place.map_err(|why| wrong(&why))? })
    }
}

/// What was written, for an error: without the parts in which people put passwords.
fn shown(text: &str) -> String {
    let plain = text.split('?').next().unwrap_or_default();
    let (scheme, rest) = plain.split_once("//").unwrap_or(("", plain));
    let authority = rest.split('/').next().unwrap_or_default();
    let rest = match authority.rsplit_once('@') {
        Some((login, _)) => format!("..{}", &rest[login.len()..]),
        None => rest.to_owned(),
    };
    let slashes = if plain.contains("//") { "//" } else { "" };
    format!("{scheme}{slashes}{rest}").chars().take(200).collect()
}

type Parsed = Result<Place, String>;
/// The keys and values of a query.
type Pairs<'a> = Vec<(&'a str, &'a str)>;

/// What follows `//`, and its query as pairs, of which each must be known.
fn split<'a>(rest: &'a str, known: &[&str]) -> Result<(&'a str, Pairs<'a>), String> {
    let rest = rest.strip_prefix("//").ok_or("expected // after the scheme")?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut pairs = Vec::new();
    for pair in query.split('&').filter(|it| !it.is_empty()) {
        let (key, value) = pair.split_once('=').ok_or("expected key=value after ?")?;
        if !known.contains(&key) {
            return Err(format!("unknown key {key:?} after ?; expected {}", known.join(", ")));
        }
        pairs.push((key, value));
    }
    Ok((rest, pairs))
}

fn value<'a>(pairs: &[(&str, &'a str)], key: &str) -> Option<&'a str> {
    pairs.iter().find(|(it, _)| *it == key).map(|(_, value)| *value)
}

fn number(pairs: &[(&str, &str)]) -> Result<Option<u64>, String> {
    let parse = |it: &str| it.parse().map_err(|_| format!("version {it:?} is no number"));
    value(pairs, "version").map(parse).transpose()
}

fn tls(pairs: &[(&str, &str)], default: bool) -> Result<bool, String> {
    match value(pairs, "tls") {
        None => Ok(default),
        Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(other) => Err(format!("tls is {other:?}; expected true or false")),
    }
}

/// A host with its port, as the root of a server. Credentials in it are refused.
fn server(tls: bool, authority: &str) -> Result<Url, String> {
    if authority.contains('@') {
        return Err("credentials belong into the environment, not into an address".to_owned());
    }
    let scheme = if tls { "https" } else { "http" };
    let url = Url::parse(&format!("{scheme}://{authority}/"));
    let url = url.map_err(|error| format!("{authority:?} is no host: {error}"))?;
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(format!("{authority:?} is no host"));
    }
    Ok(url)
}

fn decoded(text: &str) -> Result<String, String> {
    let text = percent_decode_str(text).decode_utf8().map_err(|_| "it is not UTF-8")?;
    match text.chars().any(char::is_control) {
        true => Err("it holds a control character".to_owned()),
        false => Ok(text.into_owned()),
    }
}

/// A folder within a store: parts with `/` between them, or nothing at all.
fn folder(text: &str) -> Result<String, String> {
    let text = decoded(text.trim_matches('/'))?;
    if !text.is_empty() {
        RelativePath::new(&text).map_err(|error| error.to_string())?;
    }
    Ok(text)
}

fn file(rest: &str) -> Parsed {
    let (path, pairs) = match rest.split_once('?') {
        Some((path, query)) => {
            (path, split(&format!("//?{query}"), &["version"]).and_then(|it| number(&it.1))?)
        }
        None => (rest, None),
    };
    let path = match path.strip_prefix("//") {
        Some(absolute) => absolute.strip_prefix("localhost").unwrap_or(absolute),
        None => path,
    };
    if path.is_empty() || rest.starts_with("//") && !path.starts_with('/') {
        return Err("expected file:DIR or file:///DIR".to_owned());
    }
    Ok(Place::File { path: PathBuf::from(decoded(path)?), version: pairs })
}

fn mlflow(secure: bool, rest: &str) -> Parsed {
    let (rest, pairs) = split(rest, &["tls", "prefix", "workspace"])?;
    let expected = "expected mlflow://HOST:PORT/MODEL@ALIAS, /MODEL/VERSION or /MODEL/STAGE";
    let (authority, path) = rest.split_once('/').ok_or(expected)?;
    let mut server = server(tls(&pairs, secure)?, authority)?;
    if let Some(prefix) = value(&pairs, "prefix") {
        server.set_path(&format!("{}/", folder(prefix)?));
    }
    let path = path.trim_end_matches('/');
    let (model, at) = match (path.rsplit_once('@'), path.split_once('/')) {
        (Some((model, alias)), _) if !alias.is_empty() => {
            (model, MlflowVersion::Alias(decoded(alias)?))
        }
        (None, Some((model, "latest"))) => (model, MlflowVersion::Latest),
        (None, Some((model, at))) => match at.parse() {
            Ok(number) => (model, MlflowVersion::Number(number)),
            Err(_) if at.contains('/') => return Err(expected.to_owned()),
            Err(_) => (model, MlflowVersion::Stage(decoded(at)?)),
        },
        (None, None) | (Some(_), _) => return Err(expected.to_owned()),
    };
    if model.is_empty() || model.contains(['/', ':']) {
        return Err(expected.to_owned());
    }
    let workspace = value(&pairs, "workspace").map(decoded).transpose()?;
    Ok(Place::Mlflow { server, workspace, model: decoded(model)?, at })
}

/// `s3://bucket/prefix`, and Triton's `s3://https://host:port/bucket/prefix`.
fn store(kind: StoreKind, rest: &str) -> Parsed {
    let (mut rest, pairs) = split(rest, &["version"])?;
    let mut endpoint = None;
    for (scheme, secure) in [("http://", false), ("https://", true)] {
        if let Some(inner) = rest.strip_prefix(scheme) {
            if kind != StoreKind::S3 {
                return Err("only s3:// takes the address of its server".to_owned());
            }
            let (authority, path) = inner.split_once('/').unwrap_or((inner, ""));
            endpoint = Some(server(secure, authority)?);
            rest = path;
        }
    }
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.contains('@') {
        return Err("credentials belong into the environment, not into an address".to_owned());
    }
    let named = |it: char| it.is_ascii_alphanumeric() || "-_.".contains(it);
    if bucket.is_empty() || !bucket.chars().all(named) {
        return Err(format!("{bucket:?} is no bucket"));
    }
    let (bucket, prefix) = (bucket.to_owned(), folder(prefix)?);
    Ok(Place::Store { kind, endpoint, bucket, prefix, version: number(&pairs)? })
}

fn web(text: &str) -> Parsed {
    let mut url = Url::parse(text).map_err(|error| error.to_string())?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("credentials belong into the environment, not into an address".to_owned());
    }
    let pinned = url.fragment().map(|it| it.parse().map_err(|it: RegistryError| it.to_string()));
    let digest = pinned.transpose()?;
    url.set_fragment(None);
    if url.path_segments().and_then(|mut it| it.next_back()).is_none_or(str::is_empty) {
        return Err("expected the address of a file".to_owned());
    }
    Ok(Place::Web { url, digest })
}

fn oci(rest: &str) -> Parsed {
    let (rest, pairs) = split(rest, &["tls"])?;
    let expected = "expected oci://HOST/NAME:TAG or oci://HOST/NAME@sha256:..";
    let (authority, path) = rest.split_once('/').ok_or(expected)?;
    if !authority.contains(['.', ':']) && authority != "localhost" {
        return Err(format!("{authority:?} is no host; {expected}"));
    }
    let server = server(tls(&pairs, true)?, authority)?;
    let (name, at) = match (path.split_once('@'), path.rsplit_once(':')) {
        (Some((name, digest)), _) => {
            let digest = digest.parse().map_err(|it: RegistryError| it.to_string())?;
            (name, OciReference::Digest(digest))
        }
        (None, Some((name, tag))) => (name, OciReference::Tag(tag.to_owned())),
        (None, None) => (path, OciReference::Tag("latest".to_owned())),
    };
    let part = |it: &str| {
        let plain = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || b"-_.".contains(&it);
        it.bytes().all(plain) && it.bytes().any(|it| it.is_ascii_alphanumeric())
    };
    if !name.split('/').all(part) {
        return Err(format!("{name:?} is no name of an OCI registry; {expected}"));
    }
    if let OciReference::Tag(tag) = &at {
        let plain = |it: char| it.is_ascii_alphanumeric() || "-_.".contains(it);
        if tag.is_empty()
            || tag.len() > 128
            || !tag.chars().all(plain)
            || tag.starts_with(['-', '.'])
        {
            return Err(format!("{tag:?} is no tag; {expected}"));
        }
    }
    Ok(Place::Oci { server, name: name.to_owned(), at })
}

fn hf(rest: &str) -> Parsed {
    let (rest, _) = split(rest, &[])?;
    let expected = "expected hf://ORG/NAME, hf://ORG/NAME@REVISION or either with /FOLDER after it";
    let mut parts = rest.splitn(3, '/');
    let (org, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let inside = folder(parts.next().unwrap_or_default())?;
    let (name, revision) = name.split_once('@').unwrap_or((name, "main"));
    let plain = |it: &str| {
        let plain = |it: char| it.is_ascii_alphanumeric() || "-_.".contains(it);
        it.chars().all(plain) && it.chars().any(|it| it.is_ascii_alphanumeric())
    };
    let revision = decoded(revision)?;
    if !plain(org) || !plain(name) || !revision.split('/').all(plain) {
        return Err(expected.to_owned());
    }
    Ok(Place::Hf { repo: format!("{org}/{name}"), revision, folder: inside })
}

#[cfg(test)]
#[path = "uri_tests.rs"]
mod tests;
