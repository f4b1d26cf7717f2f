//! What a registry keeps beside a manifest: cosign's signatures of it, found and fetched within bounds.
//!
//! cosign puts them under the tag `sha256-<hex>.sig`, all in one manifest whose layers are payloads; since
//! version 3 each is a bundle in a manifest of its own, which refers to what was signed. Those are listed by
//! the registry, or, where it cannot, in an index under the tag `sha256-<hex>`. Whether one of them is good is
//! not known here (`cosign.rs`).

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Method;

use super::layout::{Descriptor, OciManifest};
use super::oci::Oci;
use crate::cosign::Voucher;
use crate::digest::Digest;
use crate::error::RegistryError;
use crate::http::parsed;

const SIMPLE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// Bundles have versions in their types: `..bundle.v0.3+json`, `..bundle+json;version=0.2`.
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle";
/// What cosign 2 calls the manifest of the first form where it is listed by the registry.
const REFERRER: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";
const PREDICATE: &str = "dev.sigstore.bundle.predicateType";
const SIGNS: &str = "https://sigstore.dev/cosign/sign/v1";

/// Signatures in one manifest. Each time that cosign signs the same thing it adds one.
const SIGNATURES_MAX: usize = 256;
/// Different payloads, and bundles, that are fetched: each is a request. Who signs again the same way signs the same
/// payload, so there are as many as there are ways.
const FETCHES_MAX: usize = 16;
/// A payload has about 250 bytes and what annotations people have added.
const PAYLOAD_BYTES_MAX: u64 = 64 << 10;
/// A bundle has a few thousand bytes, with certificates and proofs of a log more.
const BUNDLE_BYTES_MAX: u64 = 256 << 10;

impl Oci {
    /// All that there is of signatures of a manifest, in a few requests, and never in more than a few and
    /// `(FETCHES_MAX + 1)^2`. What lies in one place wrongly takes nothing from another.
    pub(super) async fn vouchers(&self, of: Digest) -> Result<Vec<Voucher>, RegistryError> {
        let tag = format!("sha256-{}.sig", of.hex());
        let tagged = match there(self.manifest(&tag, None).await) {
            Ok(Some((_, manifest))) => self.simple(&manifest).await,
            Ok(None) => Ok(Vec::new()),
            Err(error) => Err(error),
        };
        let mut found = read(tagged)?;
        let referrers = match self.referrers(of).await {
            Err(error) if !found.is_empty() || !error.is_silence() => {
                found.push(Voucher::Unread(error.to_string()));
                return Ok(found);
            }
            referrers => referrers?,
        };
        // Others attest, or are other things.
        let signs = |it: &Descriptor| {
            let predicate = it.annotations.get(PREDICATE);
            let bundle = it.artifact_type.starts_with(BUNDLE);
            bundle && predicate.is_none_or(|it| it == SIGNS) || it.artifact_type == REFERRER
        };
        let signatures: Vec<&Descriptor> = referrers.iter().filter(|it| signs(it)).collect();
        if signatures.len() > FETCHES_MAX {
            let words = format!("more than {FETCHES_MAX} signatures refer to {of}");
            found.push(Voucher::Unread(words));
        }
        for referrer in signatures.into_iter().take(FETCHES_MAX) {
            found.extend(read(self.referred(referrer).await)?);
        }
        Ok(found)
    }

    /// The signatures in a manifest that refers to another.
    async fn referred(&self, referrer: &Descriptor) -> Result<Vec<Voucher>, RegistryError> {
        let digest: Digest = referrer.digest.parse()?;
        let (_, manifest) = self.manifest(&digest.to_string(), Some(digest)).await?;
        match referrer.artifact_type == REFERRER {
            true => self.simple(&manifest).await,
            false => Ok(vec![self.bundle(&manifest, digest).await?]),
        }
    }

    /// What refers to a manifest, as its registry lists it, or as people have listed it under a tag.
    async fn referrers(&self, of: Digest) -> Result<Vec<Descriptor>, RegistryError> {
        let ask = self.ask(Method::GET, "referrers", &of.to_string())?;
        let url = ask.url.clone();
        let listed = match self.small(ask).await {
            Ok((headers, body)) => {
                parsed::<OciManifest>(&body, &headers, &url).map(|it| it.manifests)
            }
            Err(error) => Err(error),
        };
        match listed {
            // Registries that know no such list say so in several ways.
            Err(error) if !error.is_silence() => {
                let tag = format!("sha256-{}", of.hex());
                let tagged = there(self.manifest(&tag, None).await)?;
                Ok(tagged.map(|(_, index)| index.manifests).unwrap_or_default())
            }
            listed => listed,
        }
    }

    /// The signatures of the first form: payloads, and a signature of each in an annotation.
    async fn simple(&self, manifest: &OciManifest) -> Result<Vec<Voucher>, RegistryError> {
        let layers = manifest.layers.iter().filter(|it| it.media_type == SIMPLE);
        let layers: Vec<&Descriptor> = layers.take(SIGNATURES_MAX + 1).collect();
        if layers.len() > SIGNATURES_MAX {
            let words = format!("more than {SIGNATURES_MAX} signatures in one manifest");
            return Err(RegistryError::TooLarge(words));
        }
        let mut payloads: BTreeMap<Digest, Bytes> = BTreeMap::new();
        let mut found = Vec::new();
        for layer in layers {
            let Some(signature) = layer.annotations.get(SIGNATURE).cloned() else { continue };
            let digest: Digest = layer.digest.parse()?;
            let payload = match payloads.get(&digest) {
                Some(payload) => payload.clone(),
                None if payloads.len() >= FETCHES_MAX => {
                    let words = format!("more than {FETCHES_MAX} payloads of signatures");
                    return Err(RegistryError::TooLarge(words));
                }
                None => self.little(layer, digest, PAYLOAD_BYTES_MAX).await?,
            };
            payloads.insert(digest, payload.clone());
            found.push(Voucher::Simple { payload, signature });
        }
        Ok(found)
    }

    /// The bundle that a manifest holds.
    async fn bundle(
        &self,
        manifest: &OciManifest,
        digest: Digest,
    ) -> Result<Voucher, RegistryError> {
        let [layer] = manifest.layers.as_slice() else {
            let words = format!("{digest}: {} layers, expected a bundle", manifest.layers.len());
            return Err(RegistryError::Answer(words));
        };
        let content = self.little(layer, layer.digest.parse()?, BUNDLE_BYTES_MAX).await?;
        Ok(Voucher::Bundle(content))
    }

    /// A blob that is held in memory.
    async fn little(
        &self,
        layer: &Descriptor,
        digest: Digest,
        most: u64,
    ) -> Result<Bytes, RegistryError> {
        if layer.size > most {
            let words = format!("a signature of {} bytes ({digest}), at most {most}", layer.size);
            return Err(RegistryError::TooLarge(words));
        }
        let (_, body) = self.small(self.ask(Method::GET, "blobs", &digest.to_string())?).await?;
        let found = Digest::of(&body);
        if found != digest {
            let words = format!("a signature has digest {found}, not {digest}");
            return Err(RegistryError::Corrupt(words));
        }
        Ok(body)
    }
}

/// What could be read, or that it could not be. An error is that nobody answers.
fn read(found: Result<Vec<Voucher>, RegistryError>) -> Result<Vec<Voucher>, RegistryError> {
    match found {
        Err(error) if !error.is_silence() => Ok(vec![Voucher::Unread(error.to_string())]),
        found => found,
    }
}

/// What is there, if it is.
fn there<T>(answer: Result<T, RegistryError>) -> Result<Option<T>, RegistryError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(RegistryError::NotFound(_)) => Ok(None),
        Err(other) => Err(other),
    }
}
