//! The other way: what this server keeps in an object store, or tells somebody by HTTP.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use url::Url;

use super::Registries;
use super::store::Store;
use crate::error::RegistryError;
use crate::http::{Ask, Http, Trust, refusal, shown};
use crate::secret::bearer;
use crate::uri::{Place, Uri};

/// A prefix of a bucket that new objects are put under.
pub struct Deposit(Store);

impl fmt::Debug for Deposit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, out)
    }
}

impl Deposit {
    /// Puts a new object at `path` below the prefix. False: there is one, which stays as it is.
    pub async fn put(&self, path: &str, bytes: Bytes) -> Result<bool, RegistryError> {
        self.0.put_new(path, bytes).await
    }
}

/// Somebody who takes messages by HTTP.
pub struct Receiver {
    http: Arc<Http>,
    url: Url,
    login: Option<HeaderValue>,
}

impl fmt::Debug for Receiver {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Receiver").field(&shown(&self.url)).finish()
    }
}

impl Receiver {
    /// Sends one. It has been taken when it returns without an error.
    pub async fn post(
        &self,
        headers: &[(&'static str, String)],
        body: Bytes,
    ) -> Result<(), RegistryError> {
        let mut ask = Ask::new(Method::POST, self.url.clone(), Trust::Configured);
        ask.redirects = false;
        ask.body = body;
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let wrong = |_| RegistryError::Invalid(format!("{name}: {value:?} cannot be sent"));
            map.insert(HeaderName::from_static(name), HeaderValue::try_from(value).map_err(wrong)?);
        }
        if let Some(login) = &self.login {
            map.insert(AUTHORIZATION, login.clone());
        }
        ask.headers = map;
        let (status, _, body) = self.http.small(ask).await?;
        if status.is_success() { Ok(()) } else { Err(refusal(status, &self.url, &body)) }
    }
}

impl Registries {
    /// Where objects are put. Asks nothing of the network yet.
    pub fn deposit(&self, uri: &Uri) -> Result<Deposit, RegistryError> {
        let Place::Store { version: None, .. } = &uri.place else {
            let words = format!("{uri} is no prefix such as s3://BUCKET/PREFIX, gs:// or az://");
            return Err(RegistryError::Invalid(words));
        };
        Ok(Deposit(Store::new(self.http().clone(), self.environment(), &uri.place)?))
    }

    /// Who takes messages at that address: `http://` or `https://`. `token` names the variable that may hold
    /// a bearer token for it.
    pub fn receiver(&self, address: &str, token: &str) -> Result<Receiver, RegistryError> {
        let wrong = || RegistryError::Invalid(format!("{address:?} is no http://HOST/PATH"));
        if address.contains('@') {
            let words = "credentials belong into the environment, not into an address".to_owned();
            return Err(RegistryError::Invalid(words));
        }
        let url = Url::parse(address).map_err(|_| wrong())?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(wrong());
        }
        let login = self.environment().get(token).map(bearer).transpose()?;
        Ok(Receiver { http: self.http().clone(), url, login })
    }
}
