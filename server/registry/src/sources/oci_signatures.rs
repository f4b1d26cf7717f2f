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
    /// All that there is of signatures of a manifest, in no more than `2 * FETCHES_MAX + 3` requests and the same
    /// again for bundles' manifests.
    pub(super) async fn vouchers(&self, of: Digest) -> Result<Vec<Voucher>, RegistryError> {
        let tag = format!("sha256-{}.sig", of.hex());
        let mut found = match there(self.manifest(&tag, None).await)? {
            Some((_, manifest)) => self.simple(&manifest).await?,
            None => Vec::new(),
        };
        let mut fetched = 0;
        for referrer in self.referrers(of).await? {
            let kind = referrer.artifact_type.as_str();
            let predicate = referrer.annotations.get(PREDICATE);
            let bundle = kind.starts_with(BUNDLE) && predicate.is_none_or(|it| it == SIGNS);
            if !bundle && kind != REFERRER {
                continue; // attestations and what else may refer to it
            }
            fetched += 1;
            if fetched > FETCHES_MAX {
                let words = format!("more than {FETCHES_MAX} signatures refer to {of}");
                return Err(RegistryError::TooLarge(words));
            }
            let digest: Digest = referrer.digest.parse()?;
            let (_, manifest) = self.manifest(&digest.to_string(), Some(digest)).await?;
            match bundle {
                true => found.push(self.bundle(&manifest, digest).await?),
                false => found.extend(self.simple(&manifest).await?),
            }
        }
        Ok(found)
    }

    /// What refers to a manifest, as its registry lists it, or as people have listed it under a tag.
    async fn referrers(&self, of: Digest) -> Result<Vec<Descriptor>, RegistryError> {
        let ask = self.ask(Method::GET, "referrers", &of.to_string())?;
        let url = ask.url.clone();
        match there(self.small(ask).await)? {
            Some((headers, body)) => Ok(parsed::<OciManifest>(&body, &headers, &url)?.manifests),
            None => {
                let tag = format!("sha256-{}", of.hex());
                let listed = there(self.manifest(&tag, None).await)?;
                Ok(listed.map(|(_, index)| index.manifests).unwrap_or_default())
            }
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

/// What is there, if it is. Registries that know no referrers say so in several ways.
fn there<T>(answer: Result<T, RegistryError>) -> Result<Option<T>, RegistryError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(RegistryError::NotFound(_)) => Ok(None),
        Err(other) => Err(other),
    }
}
