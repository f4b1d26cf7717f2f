//! Where models come from that no operator has put into a folder.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::{ModelName, Version};

/// What is known of one model. Words for people: addresses are shown without what may be secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The address whose version answers.
    pub source: String,
    /// What the addresses have named, by version.
    pub versions: BTreeMap<Version, Content>,
    /// What the source named before what it names now.
    pub before: Option<Version>,
    /// Why the addresses are not followed now, if they are not.
    pub trouble: Option<String>,
}

/// One version's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// The address that named it last.
    pub source: String,
    /// The digest of all its files, as `sha256:..`.
    pub digest: String,
    /// What its registry says of it: tags and where it was made, by name. Few and short: they are in every answer
    /// to who asks for its metadata.
    pub facts: BTreeMap<String, String>,
}

/// All models that have one: one part of the server writes, others read.
#[derive(Clone, Debug, Default)]
pub struct Origins(Arc<ArcSwap<BTreeMap<ModelName, Arc<Origin>>>>);

impl Origins {
    /// That of a model.
    pub fn get(&self, model: &str) -> Option<Arc<Origin>> {
        self.0.load().get(model).cloned()
    }

    /// From now on it is this.
    pub fn set(&self, model: &ModelName, origin: Origin) {
        let origin = Arc::new(origin);
        self.0.rcu(|all| {
            let mut all = BTreeMap::clone(all);
            all.insert(model.clone(), Arc::clone(&origin));
            all
        });
    }
}
