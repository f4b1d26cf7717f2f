//! Who vouches for a model: OpenSSF Model Signing, made with a key; or cosign, beside it in its registry.
//!
//! `model.sig` lies in the root of the model: a Sigstore bundle, in it a DSSE envelope, in it an in-toto
//! statement with the digest of every file. Signatures by certificate or by Sigstore's own authority are
//! not read, and refused as if they were none. `cosign.rs` knows the other way; either will do.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519,
    UnparsedPublicKey, VerificationAlgorithm,
};
use serde::Deserialize;

use crate::cache::Listing;
use crate::cosign::Vouched;
use crate::digest::{Digest, Hasher};
use crate::error::{RegistryError, local};
use crate::judge::Judge;
use crate::path::RelativePath;
use crate::source::{Form, Remote};
use crate::uri::Uri;
use crate::vouch::keeps_signatures;

/// The name that `model_signing` gives signatures.
const FILE: &str = "model.sig";
/// A digest for each of at most 4096 files, in base64.
const FILE_BYTES_MAX: u64 = 16 << 20;
const PAYLOAD: &str = "application/vnd.in-toto+json";
const PREDICATE: &str = "https://model_signing/signature/v1.0";

/// Whether models must be signed, and by whom.
#[derive(Clone, Debug, Default)]
pub enum SignaturePolicy {
    /// Nobody asks.
    #[default]
    Ignored,
    /// A model that has a signature must have a good one.
    Checked(Vec<PublicKey>),
    /// Every model must have a good one.
    Required(Vec<PublicKey>),
}

/// What became of the signatures that a registry keeps beside a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Vouching {
    /// There are none, or nobody asked.
    None,
    /// One is good.
    Good(Vouched),
    /// There are some, none is good: why.
    Bad(String),
}

/// A key that signatures are checked with: ECDSA on P-256 or P-384, or Ed25519.
#[derive(Clone)]
pub struct PublicKey {
    algorithms: Algorithms,
    point: Vec<u8>,
}

/// What a key of a kind may sign by.
type Algorithms = &'static [&'static dyn VerificationAlgorithm];

const P256: Algorithms = &[&ECDSA_P256_SHA256_ASN1];
/// cosign hashes by SHA-256 whatever the curve, but for its latest versions.
const P384: Algorithms = &[&ECDSA_P384_SHA384_ASN1, &ECDSA_P384_SHA256_ASN1];
const ED: Algorithms = &[&ED25519];

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "PublicKey({:?}, {} bytes)", self.algorithms, self.point.len())
    }
}

/// SubjectPublicKeyInfo up to the point: the algorithm, ecPublicKey on a named curve.
pub(crate) const SPKI_P256: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
pub(crate) const SPKI_P384: &[u8] = &[
    0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b,
    0x81, 0x04, 0x00, 0x22, 0x03, 0x62, 0x00,
];
/// Likewise, Ed25519.
pub(crate) const SPKI_ED25519: &[u8] =
    &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

impl PublicKey {
    /// Reads PEM as `openssl pkey -pubout` and `cosign public-key` write it.
    pub fn from_pem(pem: &str) -> Result<PublicKey, RegistryError> {
        let wrong = || {
            let expected = "expected PEM with a PUBLIC KEY on P-256 or P-384, or of Ed25519";
            RegistryError::Invalid(format!("no public key: {expected}"))
        };
        let (_, rest) = pem.split_once("-----BEGIN PUBLIC KEY-----").ok_or_else(wrong)?;
        let (body, _) = rest.split_once("-----END PUBLIC KEY-----").ok_or_else(wrong)?;
        let body: String = body.split_whitespace().collect();
        let der = STANDARD.decode(body).map_err(|_| wrong())?;
        let kinds = [(SPKI_P256, 65, P256), (SPKI_P384, 97, P384), (SPKI_ED25519, 32, ED)];
        let found = kinds.into_iter().find_map(|(head, length, algorithms)| {
            let point = der.strip_prefix(head)?.to_vec();
            (point.len() == length).then_some(PublicKey { algorithms, point })
        });
        found.ok_or_else(wrong)
    }

    pub(crate) fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let by = |it: &&'static dyn VerificationAlgorithm| UnparsedPublicKey::new(*it, &self.point);
        self.algorithms.iter().any(|it| by(it).verify(message, signature).is_ok())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    dsse_envelope: Envelope,
}

/// A DSSE envelope.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<Signature>,
}

#[derive(Deserialize)]
struct Signature {
    sig: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    predicate_type: String,
    subject: Vec<Subject>,
    predicate: Predicate,
}

#[derive(Deserialize)]
struct Subject {
    digest: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Predicate {
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    name: String,
    algorithm: String,
    digest: String,
}

impl Envelope {
    /// What lies in it, if one of the keys has signed it.
    pub(crate) fn opened(&self, keys: &[PublicKey]) -> Result<Vec<u8>, String> {
        if self.payload_type != PAYLOAD {
            return Err(format!("its payload is {:?}, expected {PAYLOAD:?}", self.payload_type));
        }
        let payload = STANDARD.decode(&self.payload).map_err(|_| "its payload is no base64")?;
        let message = authenticated(&payload);
        let signed = self.signatures.iter().filter_map(|it| STANDARD.decode(&it.sig).ok());
        if !signed.take(16).any(|it| keys.iter().any(|key| key.signed(&message, &it))) {
            return Err("it is not signed by a key that is trusted here".to_owned());
        }
        Ok(payload)
    }
}

impl SignaturePolicy {
    /// Whose signatures count, and must there be one? `None`: nobody asks.
    fn asks(&self) -> Option<(&[PublicKey], bool)> {
        match self {
            SignaturePolicy::Ignored => None,
            SignaturePolicy::Checked(keys) => Some((keys, false)),
            SignaturePolicy::Required(keys) => Some((keys, true)),
        }
    }

    /// Does it want to know what is kept beside a model?
    pub(crate) fn is_asking(&self) -> bool {
        self.asks().is_some()
    }

    /// Who judges what is found beside a manifest; `None`: nobody asks.
    pub(crate) fn judge(&self, of: Digest) -> Option<Judge<'_>> {
        self.asks().map(|(keys, _)| Judge::new(of, keys))
    }

    /// Can a model satisfy it that has no file `model.sig`?
    pub(crate) fn settled(&self, uri: &Uri, beside: &Vouching) -> Result<(), RegistryError> {
        let required = self.asks().is_some_and(|(_, required)| required);
        let wrong = |why: String| Err(RegistryError::Policy(format!("{uri}: {why}")));
        match beside {
            Vouching::Good(_) => Ok(()),
            Vouching::None if !required => Ok(()),
            Vouching::None => {
                let also =
                    if keeps_signatures(uri) { ", nor has cosign left one beside it" } else { "" };
                wrong(format!("it has no signature ({FILE}), which is required{also}"))
            }
            Vouching::Bad(why) => wrong(format!(
                "it has no signature ({FILE}), and what cosign left beside it: {why}"
            )),
        }
    }

    /// Does the model in `folder`, whose digests are known, satisfy the policy?
    pub(crate) fn check(
        &self,
        uri: &Uri,
        (folder, listing): (&Path, &Listing),
        beside: &Vouching,
    ) -> Result<(), RegistryError> {
        let Some((keys, _)) = self.asks() else { return Ok(()) };
        let signature = RelativePath::new(FILE)?;
        let has_file = listing.get(&signature).is_some();
        if !has_file || matches!(beside, Vouching::Good(_)) {
            return self.settled(uri, beside);
        }
        let wrong = |why: String| RegistryError::Policy(format!("{uri}: {why}"));
        let path = signature.under(folder);
        let mut text = Vec::new();
        let file = File::open(&path).map_err(local("open", &path))?;
        file.take(FILE_BYTES_MAX).read_to_end(&mut text).map_err(local("read", &path))?;
        verify(&text, keys, listing).map_err(|why| wrong(format!("{FILE}: {why}")))
    }
}

/// Is there, or may there be, a `model.sig` among these? Nobody knows what an archive holds.
pub(crate) fn may_be_signed_within(files: &[Remote]) -> bool {
    files.iter().any(|it| it.form != Form::Plain || it.path.as_str() == FILE)
}

/// Is the bundle signed by one of the keys, and does it name exactly these files?
fn verify(bundle: &[u8], keys: &[PublicKey], listing: &Listing) -> Result<(), String> {
    let unreadable = "no signature of OpenSSF Model Signing made with a key";
    let bundle: Bundle =
        serde_json::from_slice(bundle).map_err(|error| format!("{unreadable}: {error}"))?;
    let payload = bundle.dsse_envelope.opened(keys)?;
    // Only now is it parsed: what comes is what a trusted key signed.
    let statement: Statement =
        serde_json::from_slice(&payload).map_err(|error| format!("{unreadable}: {error}"))?;
    if statement.predicate_type != PREDICATE {
        return Err(format!("its statement is {:?}", statement.predicate_type));
    }
    matches(&statement, listing)
}

/// DSSE's pre-authentication encoding.
fn authenticated(payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {PAYLOAD} {} ", PAYLOAD.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

fn matches(statement: &Statement, listing: &Listing) -> Result<(), String> {
    let mut root = Hasher::new();
    let mut signed = BTreeMap::new();
    for resource in &statement.predicate.resources {
        if resource.algorithm != "sha256" {
            return Err(format!("{} is signed by its {}", resource.name, resource.algorithm));
        }
        let digest: Digest = resource.digest.parse().map_err(|_| "a digest is none")?;
        root.update(digest.bytes());
        signed.insert(resource.name.as_str(), digest);
    }
    let subject = match statement.subject.as_slice() {
        [single] => single.digest.get("sha256").map(String::as_str),
        _ => None,
    };
    if subject != Some(root.finish().hex().as_str()) {
        return Err("its subject is not the sum of its files".to_owned());
    }
    let found = listing.iter().filter(|(path, _)| path.as_str() != FILE);
    for (path, fact) in found {
        match signed.remove(path.as_str()) {
            Some(digest) if digest == fact.digest => {}
            Some(digest) => return Err(format!("{path} is {}, signed was {digest}", fact.digest)),
            None => return Err(format!("{path} is not signed")),
        }
    }
    match signed.keys().next() {
        Some(missing) => Err(format!("{missing} is signed, but not there")),
        None => Ok(()),
    }
}

#[cfg(test)]
#[path = "signature_tests.rs"]
mod tests;
