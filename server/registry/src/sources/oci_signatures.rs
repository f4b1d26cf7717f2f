//! What a registry keeps beside a manifest: cosign's signatures of it, found and fetched within bounds.
//!
//! cosign puts them under the tag `sha256-<hex>.sig`, all in one manifest whose layers are payloads; since
//! version 3 each is a bundle in a manifest of its own, which refers to what was signed. Those are listed by
//! the registry, or, where it cannot, in an index under the tag `sha256-<hex>`. Whether one of them is good is
//! not known here (`cosign.rs`).

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use http::Method;

use super::layout::{Descriptor, OciManifest};
use super::oci::Oci;
use crate::cosign::Voucher;
use crate::digest::Digest;
use crate::error::RegistryError;
use crate::http::parsed;
use crate::judge::Judge;

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
/// Different payloads, and manifests that refer, that are fetched: each is a request. Who signs again the same way signs the same
/// payload, so there are as many as there are ways.
const FETCHES_MAX: usize = 16;
/// A payload has about 250 bytes and what annotations people have added.
const PAYLOAD_BYTES_MAX: u64 = 64 << 10;
/// A bundle has a few thousand bytes, with certificates and proofs of a log more.
const BUNDLE_BYTES_MAX: u64 = 256 << 10;
/// An annotation with a signature has about 100 bytes, with the longest keys that there are 700.
const SIGNATURE_BYTES_MAX: usize = 4 << 10;

/// A search for signatures of one manifest, in `2 * FETCHES_MAX` payloads and bundles, the manifests that these are
/// in, and three requests more.
struct Search<'a, 'k> {
    oci: &'a Oci,
    judge: &'a mut Judge<'k>,
    /// Payloads that were asked for, in whatever manifest; `None` could not be read.
    payloads: BTreeMap<Digest, Option<Bytes>>,
}

impl Oci {
    /// Shows the judge what there is of signatures, until one is good. What lies in one place wrongly takes nothing
    /// from another.
    pub(super) async fn look_for_signatures(&self, judge: &mut Judge<'_>) {
        let mut search = Search { oci: self, judge, payloads: BTreeMap::new() };
        search.tagged().await;
        if !search.judge.is_settled() {
            search.referring().await;
        }
    }

    /// What the registry lists as referring to a manifest.
    async fn listed(&self, of: Digest) -> Result<Vec<Descriptor>, RegistryError> {
        let ask = self.ask(Method::GET, "referrers", &of.to_string())?;
        let url = ask.url.clone();
        let (headers, body) = self.small(ask).await?;
        Ok(parsed::<OciManifest>(&body, &headers, &url)?.manifests)
    }

    /// A blob that is held in memory.
    async fn little(&self, digest: Digest, most: u64) -> Result<Bytes, RegistryError> {
        let (_, body) = self.small(self.ask(Method::GET, "blobs", &digest.to_string())?).await?;
        fits(body.len() as u64, digest, most)?; // whatever was declared
        let found = Digest::of(&body);
        if found != digest {
            let words = format!("a signature has digest {found}, not {digest}");
            return Err(RegistryError::Corrupt(words));
        }
        Ok(body)
    }
}

impl Search<'_, '_> {
    /// Those under the tag that cosign gives them.
    async fn tagged(&mut self) {
        let tag = format!("sha256-{}.sig", self.judge.of().hex());
        match there(self.oci.manifest(&tag, None).await) {
            Ok(Some((_, manifest))) => self.simple(&manifest).await,
            Ok(None) => {}
            Err(error) => self.judge.misses(error),
        }
    }

    /// Those in manifests that refer to what was signed.
    async fn referring(&mut self) {
        let referrers = self.referrers().await;
        if referrers.len() > FETCHES_MAX {
            let words = format!("more than {FETCHES_MAX} signatures refer to {}", self.judge.of());
            self.judge.misses(RegistryError::TooLarge(words));
        }
        for referrer in referrers.iter().take(FETCHES_MAX) {
            if let Err(error) = self.referred(referrer).await {
                self.judge.misses(error);
            }
            if self.judge.is_settled() {
                return;
            }
        }
    }

    /// What refers to a manifest and signs it, as its registry lists it, or as people have listed it under a tag.
    async fn referrers(&mut self) -> Vec<Descriptor> {
        let of = self.judge.of();
        let why = match self.oci.listed(of).await {
            Ok(listed) => return listed.into_iter().filter(signs).collect(),
            Err(why) => why,
        };
        // Registries that know no such list say so in several ways; some look as if they were down.
        let tag = format!("sha256-{}", of.hex());
        match there(self.oci.manifest(&tag, None).await) {
            Ok(found) => {
                let listed = found.map(|(_, index)| index.manifests).unwrap_or_default();
                let found: Vec<Descriptor> = listed.into_iter().filter(signs).collect();
                if !found.is_empty() {
                    return found;
                }
            }
            Err(error) => self.judge.misses(error),
        }
        if why.is_silence() {
            self.judge.misses(why);
        }
        Vec::new()
    }

    /// The signatures in a manifest that refers to another.
    async fn referred(&mut self, referrer: &Descriptor) -> Result<(), RegistryError> {
        let digest: Digest = referrer.digest.parse()?;
        let (_, manifest) = self.oci.manifest(&digest.to_string(), Some(digest)).await?;
        if referrer.artifact_type == REFERRER {
            self.simple(&manifest).await;
            return Ok(());
        }
        let [layer] = manifest.layers.as_slice() else {
            let words = format!("{digest}: {} layers, expected a bundle", manifest.layers.len());
            return Err(RegistryError::Answer(words));
        };
        let bundle: Digest = layer.digest.parse()?;
        fits(layer.size, bundle, BUNDLE_BYTES_MAX)?;
        let content = self.oci.little(bundle, BUNDLE_BYTES_MAX).await?;
        self.judge.hears(Voucher::Bundle(content));
        Ok(())
    }

    /// The signatures of the first form: payloads, and a signature of each in an annotation.
    async fn simple(&mut self, manifest: &OciManifest) {
        let layers = manifest.layers.iter().filter(|it| it.media_type == SIMPLE);
        let signed = |it: &'_ &Descriptor| it.annotations.contains_key(SIGNATURE);
        let mut layers: Vec<&Descriptor> = layers.filter(signed).collect();
        if layers.len() > SIGNATURES_MAX {
            let words = format!("more than {SIGNATURES_MAX} signatures in one manifest");
            self.judge.misses(RegistryError::TooLarge(words));
            layers.truncate(SIGNATURES_MAX);
        }
        let payloads = layers.iter().filter_map(|it| payload(it).ok());
        let more: BTreeSet<Digest> =
            payloads.filter(|it| !self.payloads.contains_key(it)).collect();
        if self.payloads.len() + more.len() > FETCHES_MAX {
            let words = format!("more than {FETCHES_MAX} payloads of signatures");
            self.judge.misses(RegistryError::TooLarge(words));
        }
        for layer in layers {
            match self.signature(layer).await {
                Ok(Some(voucher)) => self.judge.hears(voucher),
                Ok(None) => {}
                Err(error) => self.judge.misses(error),
            }
            if self.judge.is_settled() {
                return;
            }
        }
    }

    /// The signature in a layer; `None` if the judge knows already that its payload cannot be had.
    async fn signature(&mut self, layer: &Descriptor) -> Result<Option<Voucher>, RegistryError> {
        let digest = payload(layer)?;
        let signature = layer.annotations.get(SIGNATURE).cloned().unwrap_or_default();
        if signature.len() > SIGNATURE_BYTES_MAX {
            let words = format!("{} bytes, at most {SIGNATURE_BYTES_MAX}", signature.len());
            return Err(RegistryError::TooLarge(format!(
                "a signature in an annotation of {words}"
            )));
        }
        let payload = match self.payloads.get(&digest) {
            Some(known) => known.clone(),
            None if self.payloads.len() >= FETCHES_MAX => None,
            None => {
                let read = self.oci.little(digest, PAYLOAD_BYTES_MAX).await;
                self.payloads.insert(digest, read.as_ref().ok().cloned());
                Some(read?)
            }
        };
        Ok(payload.map(|payload| Voucher::Simple { payload, signature }))
    }
}

/// Is it a signature? Others attest, or are other things.
fn signs(referrer: &Descriptor) -> bool {
    let predicate = referrer.annotations.get(PREDICATE);
    let bundle = referrer.artifact_type.starts_with(BUNDLE);
    bundle && predicate.is_none_or(|it| it == SIGNS) || referrer.artifact_type == REFERRER
}

/// The payload that a layer declares, if that may be fetched.
fn payload(layer: &Descriptor) -> Result<Digest, RegistryError> {
    let digest: Digest = layer.digest.parse()?;
    fits(layer.size, digest, PAYLOAD_BYTES_MAX)?;
    Ok(digest)
}

fn fits(bytes: u64, digest: Digest, most: u64) -> Result<(), RegistryError> {
    if bytes > most {
        let words = format!("a signature of {bytes} bytes ({digest}), at most {most}");
        return Err(RegistryError::TooLarge(words));
    }
    Ok(())
}

/// What is there, if it is.
fn there<T>(answer: Result<T, RegistryError>) -> Result<Option<T>, RegistryError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(RegistryError::NotFound(_)) => Ok(None),
        Err(other) => Err(other),
    }
}
