//! Who is told things by HTTP. Needs no registry.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use url::Url;

use super::Registries;
use crate::error::RegistryError;
use crate::http::{Ask, Http, Trust, refusal, shown};
use crate::secret::bearer;

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
    /// Who takes messages at that address: `http://` or `https://`. `token` names the variable that may hold
    /// a bearer token for it, or with `_FILE` the file that does.
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
        let login = self.environment().credential(token)?;
        let login = login.map(|it| bearer(it.expose())).transpose()?;
        Ok(Receiver { http: self.http().clone(), url, login })
    }
}
