//! Who vouches for an image: what cosign signed with a key, and a registry keeps beside the manifest.
//!
//! Pure: `sources/oci_signatures.rs` fetches it. Two forms: a payload that names the manifest's digest and a
//! signature of its bytes, as cosign made it first; and a Sigstore bundle with a statement about that digest,
//! as it makes it since version 3. Certificates, transparency logs and time stamps are not looked at: a key
//! that an operator named has signed, or nobody has.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::signature::{Envelope, PublicKey};

/// What `critical.type` must be.
const KIND: &str = "cosign container image signature";
/// What a statement says that is a signature. Attestations (what is in an image, who built it) say other things.
const PREDICATE: &str = "https://sigstore.dev/cosign/sign/v1";

/// A signature that a registry keeps beside what it is of, as written by a stranger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Voucher {
    /// A payload, and a signature of its bytes.
    Simple {
        /// What was signed.
        payload: Bytes,
        /// In base64, as it stood in the annotation.
        signature: String,
    },
    /// A Sigstore bundle.
    Bundle(Bytes),
}

/// A voucher that was good, and the manifest that it was good for: what the cache keeps, so that it can be judged
/// again, by the keys of that day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Vouched {
    pub(crate) of: Digest,
    pub(crate) voucher: Voucher,
}

#[derive(Deserialize)]
struct Payload {
    #[serde(alias = "Critical")]
    critical: Critical,
}

#[derive(Deserialize)]
struct Critical {
    #[serde(alias = "Image")]
    image: Image,
    #[serde(rename = "type", alias = "Type")]
    kind: String,
}

#[derive(Deserialize)]
struct Image {
    #[serde(rename = "docker-manifest-digest", alias = "Docker-manifest-digest")]
    digest: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    dsse_envelope: Option<Envelope>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    predicate_type: String,
    #[serde(default)]
    subject: Vec<Subject>,
}

#[derive(Deserialize)]
struct Subject {
    #[serde(default)]
    digest: BTreeMap<String, String>,
}

impl Voucher {
    /// Has one of the keys signed that it is of this manifest? If not, why not.
    pub(crate) fn verify(&self, of: Digest, keys: &[PublicKey]) -> Result<(), String> {
        match self {
            Voucher::Simple { payload, signature } => simple(payload, signature, of, keys),
            Voucher::Bundle(bundle) => bundled(bundle, of, keys),
        }
    }
}

fn simple(payload: &[u8], signature: &str, of: Digest, keys: &[PublicKey]) -> Result<(), String> {
    let signature = STANDARD.decode(signature.trim()).map_err(|_| "a signature is no base64")?;
    if !keys.iter().any(|it| it.signed(payload, &signature)) {
        return Err("it is not signed by a key that is trusted here".to_owned());
    }
    // Only now is it parsed: what comes is what a trusted key signed.
    let payload: Payload = serde_json::from_slice(payload)
        .map_err(|error| format!("its payload is none of cosign's: {error}"))?;
    let Critical { image, kind } = payload.critical;
    if kind != KIND {
        return Err(format!("its payload is {kind:?}, expected {KIND:?}"));
    }
    if image.digest != of.to_string() {
        return Err(format!("it is of {}, not of {of}", image.digest));
    }
    Ok(())
}

fn bundled(bundle: &[u8], of: Digest, keys: &[PublicKey]) -> Result<(), String> {
    let unreadable = "it is no Sigstore bundle";
    let bundle: Bundle =
        serde_json::from_slice(bundle).map_err(|error| format!("{unreadable}: {error}"))?;
    let envelope = bundle.dsse_envelope.ok_or("its bundle has no DSSE envelope")?;
    let payload = envelope.opened(keys)?;
    let statement: Statement = serde_json::from_slice(&payload)
        .map_err(|error| format!("its bundle has no statement: {error}"))?;
    if statement.predicate_type != PREDICATE {
        let words = format!("its statement is {:?}", statement.predicate_type);
        return Err(format!("{words}, expected {PREDICATE:?}"));
    }
    let mut subjects = statement.subject.iter().filter_map(|it| it.digest.get("sha256"));
    match subjects.any(|it| *it == of.hex()) {
        true => Ok(()),
        false => Err(format!("its statement is not of {of}")),
    }
}

/// How it is written down: bytes in base64, and which form it is.
#[derive(Serialize, Deserialize)]
struct Written {
    of: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bundle: Option<String>,
}

impl Vouched {
    pub(crate) fn text(&self) -> String {
        let of = self.of.to_string();
        let written = match &self.voucher {
            Voucher::Simple { payload, signature } => {
                let payload = Some(STANDARD.encode(payload));
                Written { of, payload, signature: Some(signature.clone()), bundle: None }
            }
            Voucher::Bundle(bundle) => {
                let bundle = Some(STANDARD.encode(bundle));
                Written { of, payload: None, signature: None, bundle }
            }
        };
        serde_json::to_string(&written).expect("strings can be written as JSON")
    }

    /// What `text` wrote. Anything else is nothing.
    pub(crate) fn parse(text: &[u8]) -> Option<Vouched> {
        let written: Written = serde_json::from_slice(text).ok()?;
        let of = written.of.parse().ok()?;
        let bytes = |it: String| STANDARD.decode(it).ok().map(Bytes::from);
        let voucher = match (written.payload, written.signature, written.bundle) {
            (Some(payload), Some(signature), None) => {
                Voucher::Simple { payload: bytes(payload)?, signature }
            }
            (None, None, Some(bundle)) => Voucher::Bundle(bytes(bundle)?),
            _ => return None,
        };
        Some(Vouched { of, voucher })
    }
}

#[cfg(test)]
#[path = "cosign_tests.rs"]
mod tests;
