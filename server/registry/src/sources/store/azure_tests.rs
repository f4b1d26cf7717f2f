use super::*;
use crate::http::AddressPolicy;
use crate::limits::Limits;

const ACCESS: &str = "azure_storage_account_key";
const ENDPOINT: &str = "azure_storage_endpoint";

/// What a connection string becomes, a line each, in the order of names.
fn told(text: &str) -> Vec<String> {
    let parts = connection(text).expect("a connection string");
    let mut lines: Vec<String> =
        parts.into_iter().map(|(key, value)| format!("{} {value}", key.as_ref())).collect();
    lines.sort();
    lines
}

#[test]
fn connection_strings_name_an_account_and_its_place() {
    let usual = "DefaultEndpointsProtocol=https;AccountName=wines;AccountKey=aGk=;EndpointSuffix=core.windows.net";
    let endpoint = format!("{ENDPOINT} https://wines.blob.core.windows.net");
    let expected = [format!("{ACCESS} aGk="), "azure_storage_account_name wines".into(), endpoint];
    assert_eq!(told(usual), expected);
    let local =
        "AccountName=a;BlobEndpoint=http://127.0.0.1:1/a/;QueueEndpoint=http://127.0.0.1:2/a;";
    let lines = told(local);
    assert!(lines.contains(&format!("{ENDPOINT} http://127.0.0.1:1/a")), "{lines:?}");
    assert_eq!(lines.len(), 2);
    let shared = told("BlobEndpoint=https://x.example;SharedAccessSignature=sv=1&sig=a%3D");
    assert!(shared.iter().any(|it| it.ends_with("sv=1&sig=a%3D")), "{shared:?}");
}

#[test]
fn a_string_that_is_none_is_refused_without_its_words() {
    let http = Arc::new(Http::new(AddressPolicy::default(), Limits::default()));
    let environment = [(CONNECTION_STRING.to_owned(), "hush".to_owned())];
    let built = az(http, &environment.into_iter().collect(), "models");
    let error = super::super::failed("az://models/x", built.err().expect("refused"));
    let words = error.to_string();
    assert!(words.contains(CONNECTION_STRING) && words.contains("NAME=VALUE"), "{words}");
    assert!(!words.contains("hush"), "{words}");
    assert!(matches!(error, RegistryError::Invalid(_)), "{error:?}");
}
