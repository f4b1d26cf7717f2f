//! `az://`: which account, where it answers and who we are there, by the variables that Azure's own tools read.

use std::sync::Arc;

use object_store::Error;
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};

use super::{Both, both, retry};
use crate::error::RegistryError;
use crate::http::Http;
use crate::secret::Environment;
use crate::sources::transport::Transport;

const CONNECTION_STRING: &str = "AZURE_STORAGE_CONNECTION_STRING";
/// The names that Azure's command line has for what the store's crate calls otherwise.
const NAMES: [(&str, AzureConfigKey); 2] = [
    ("AZURE_STORAGE_ACCOUNT", AzureConfigKey::AccountName),
    ("AZURE_STORAGE_KEY", AzureConfigKey::AccessKey),
];

/// What says it more exactly wins: a variable of its own over a connection string.
pub(super) fn az(
    http: Arc<Http>,
    environment: &Environment,
    container: &str,
) -> object_store::Result<Both> {
    let mut builder = MicrosoftAzureBuilder::new();
    if let Some(text) = environment.get(CONNECTION_STRING) {
        let parts = connection(text).map_err(|why| Error::Generic {
            store: "MicrosoftAzure",
            source: Box::new(RegistryError::Invalid(format!("{CONNECTION_STRING}: {why}"))),
        })?;
        builder = parts.into_iter().fold(builder, |it, (key, value)| it.with_config(key, value));
    }
    for (name, key) in NAMES {
        if let Some(value) = environment.get(name) {
            builder = builder.with_config(key, value);
        }
    }
    for (name, value) in environment.starting("AZURE_") {
        if let Ok(key) = name.to_ascii_lowercase().parse() {
            builder = builder.with_config(key, value);
        }
    }
    let builder = builder.with_container_name(container).with_retry(retry());
    Ok(both(builder.with_http_connector(Transport(http)).build()?))
}

/// What a connection string says: `AccountName=..;AccountKey=..;BlobEndpoint=..`. Values hold secrets, and
/// are in no error.
fn connection(text: &str) -> Result<Vec<(AzureConfigKey, String)>, String> {
    let (mut found, mut account, mut endpoint) = (Vec::new(), None, None);
    let (mut scheme, mut suffix) = ("https", "core.windows.net");
    for part in text.split(';').map(str::trim).filter(|it| !it.is_empty()) {
        let (name, value) = part.split_once('=').ok_or("expected NAME=VALUE;NAME=VALUE")?;
        match name {
            "AccountName" => account = Some(value),
            "AccountKey" => found.push((AzureConfigKey::AccessKey, value.to_owned())),
            "SharedAccessSignature" => found.push((AzureConfigKey::SasKey, value.to_owned())),
            "BlobEndpoint" => endpoint = Some(value.trim_end_matches('/').to_owned()),
            "DefaultEndpointsProtocol" => scheme = value,
            "EndpointSuffix" => suffix = value,
            "UseDevelopmentStorage" => {
                found.push((AzureConfigKey::UseEmulator, value.to_owned()));
            }
            _ => {} // of queues, tables and files
        }
    }
    let usual = account.map(|it| format!("{scheme}://{it}.blob.{suffix}"));
    found.extend(endpoint.or(usual).map(|it| (AzureConfigKey::Endpoint, it)));
    found.extend(account.map(|it| (AzureConfigKey::AccountName, it.to_owned())));
    Ok(found)
}

#[cfg(test)]
#[path = "azure_tests.rs"]
mod tests;
