//! What MLflow answers, as far as it is read here.

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Deserialize)]
pub(super) struct VersionAnswer {
    pub(super) model_version: ModelVersion,
}

#[derive(Default, Deserialize)]
pub(super) struct VersionsAnswer {
    #[serde(default)]
    pub(super) model_versions: Vec<ModelVersion>,
}

#[derive(Deserialize)]
pub(super) struct ModelVersion {
    pub(super) version: String,
    #[serde(default)]
    pub(super) creation_timestamp: i64,
    #[serde(default)]
    pub(super) current_stage: String,
    #[serde(default)]
    pub(super) description: String,
    #[serde(default)]
    pub(super) source: String,
    #[serde(default)]
    pub(super) run_id: String,
    #[serde(default)]
    pub(super) status: String,
    #[serde(default)]
    pub(super) tags: Vec<Tag>,
    #[serde(default)]
    pub(super) aliases: Vec<String>,
}

#[derive(Deserialize)]
pub(super) struct ModelAnswer {
    pub(super) registered_model: RegisteredModel,
}

#[derive(Deserialize)]
pub(super) struct RegisteredModel {
    #[serde(default)]
    pub(super) tags: Vec<Tag>,
}

#[derive(Deserialize)]
pub(super) struct Tag {
    pub(super) key: String,
    #[serde(default)]
    pub(super) value: String,
}

#[derive(Deserialize)]
pub(super) struct DownloadUri {
    pub(super) artifact_uri: String,
}

#[derive(Default, Deserialize)]
pub(super) struct Listing {
    #[serde(default)]
    pub(super) files: Vec<Listed>,
}

#[derive(Deserialize)]
pub(super) struct Listed {
    pub(super) path: String,
    #[serde(default)]
    pub(super) is_dir: bool,
    pub(super) file_size: Option<u64>,
}

#[derive(Deserialize)]
pub(super) struct Signed {
    pub(super) url: String,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
}
