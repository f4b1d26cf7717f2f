//! How models lie in OCI registries: CNCF ModelPack, Docker's models, ORAS, and plain images with a
//! folder `models` as KServe's modelcars have it.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::digest::Digest;
use crate::error::RegistryError;
use crate::path::RelativePath;
use crate::source::{Form, Remote};

/// Types of manifests that are asked for.
pub(super) const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, \
application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.v2+json, \
application/vnd.docker.distribution.manifest.list.v2+json";

/// Where the model lies in a modelcar.
const MODELCAR_FOLDER: &str = "models";

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OciManifest {
    #[serde(default)]
    pub(super) artifact_type: String,
    #[serde(default)]
    pub(super) config: Descriptor,
    #[serde(default)]
    pub(super) layers: Vec<Descriptor>,
    /// Only an index has these.
    #[serde(default)]
    pub(super) manifests: Vec<Descriptor>,
    #[serde(default)]
    pub(super) annotations: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    #[serde(default)]
    pub(super) media_type: String,
    /// In an index: what an artifact is.
    #[serde(default)]
    pub(super) artifact_type: String,
    #[serde(default)]
    pub(super) digest: String,
    #[serde(default)]
    pub(super) size: u64,
    #[serde(default)]
    pub(super) annotations: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) platform: Option<Platform>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Platform {
    #[serde(default)]
    pub(super) os: String,
    #[serde(default)]
    pub(super) architecture: String,
}

impl OciManifest {
    /// Of an index, the manifest for this machine; a single one is for all.
    pub(super) fn chosen(&self) -> Option<&Descriptor> {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let fits = |it: &&Descriptor| {
            let fits = |it: &Platform| it.os == "linux" && it.architecture == architecture;
            it.platform.as_ref().is_none_or(fits)
        };
        match self.manifests.as_slice() {
            [single] => Some(single),
            several => several.iter().find(fits),
        }
    }

    /// What its layers become.
    pub(super) fn files(&self) -> Result<Vec<Remote>, RegistryError> {
        let kind = self.config.media_type.as_str();
        let image = kind.contains("image.config") || kind.contains("container.image");
        let (mut all, mut so_far) = (BTreeMap::new(), BTreeMap::new());
        for layer in &self.layers {
            *all.entry(layer.media_type.as_str()).or_insert(0) += 1;
        }
        let remotes = self.layers.iter().enumerate().map(|(n, layer)| {
            let kind = layer.media_type.as_str();
            let shard = so_far.entry(kind).or_insert(0);
            *shard += 1;
            remote((n, (*shard, all.get(kind).copied().unwrap_or(1))), layer, image)
        });
        remotes.collect()
    }
}

/// What the `n`th layer becomes, which is the `shard.0`th of `shard.1` of its type.
fn remote(
    (n, shard): (usize, (usize, usize)),
    layer: &Descriptor,
    image: bool,
) -> Result<Remote, RegistryError> {
    let kind = layer.media_type.as_str();
    let wrong = |why: &str| RegistryError::Policy(format!("layer {n} ({kind:?}) {why}"));
    let digest: Digest = layer.digest.parse()?;
    if kind.ends_with("zstd") {
        return Err(wrong("is compressed with zstd, which is not unpacked here"));
    }
    let tar = kind.ends_with(".tar") || kind.ends_with("tar+gzip") || kind.ends_with("tar.gzip");
    let annotation = |name: &str| layer.annotations.get(name).map(String::as_str);
    let title = annotation("org.cncf.model.filepath")
        .or_else(|| annotation("org.opencontainers.image.title"));
    // ORAS calls a plain file a tar as well, unless it says that it packed a folder.
    let oras_file = title.is_some()
        && !kind.starts_with("application/vnd.cncf.model")
        && annotation("io.deis.oras.content.unpack") != Some("true");
    let (path, form) = if tar && (image || !oras_file) {
        let folder = if image { MODELCAR_FOLDER } else { "" };
        let (gzip, folder) = (kind.ends_with("gzip"), folder.to_owned());
        (RelativePath::new(&format!("layer-{n}.tar"))?, Form::Tar { gzip, folder })
    } else {
        let title = title.map(str::to_owned).or_else(|| docker_name(kind, shard));
        let name = title.ok_or_else(|| wrong("has no file name"))?;
        (RelativePath::new(name.trim_start_matches("./"))?, Form::Plain)
    };
    let at = digest.to_string();
    Ok(Remote { path, size: Some(layer.size), digest: Some(digest), validator: None, form, at })
}

/// Docker's models name files by their type alone; of several, the order of layers is that of shards.
fn docker_name(kind: &str, (shard, shards): (usize, usize)) -> Option<String> {
    let (stem, suffix) = match kind.strip_prefix("application/vnd.docker.ai.")? {
        "gguf.v3" => ("model", ".gguf"),
        "gguf.v3.lora" => ("lora", ".gguf"),
        "gguf.v3.mmproj" => ("mmproj", ".gguf"),
        "safetensors" => ("model", ".safetensors"),
        "chat.template.jinja" => ("chat_template", ".jinja"),
        "license" => ("LICENSE", ""),
        _ => return None,
    };
    match shards {
        0 | 1 => Some(format!("{stem}{suffix}")),
        _ => Some(format!("{stem}-{shard:05}-of-{shards:05}{suffix}")),
    }
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
