//! The prediction log, told of each version where it came from: only here registries are known.

use std::sync::Arc;

use server_base::{Origins, PredictionLog, Subject, VersionLog};

#[derive(Debug)]
struct Sourced {
    origins: Origins,
    log: Arc<dyn PredictionLog>,
}

/// The log, whose versions come from those places.
pub(crate) fn over(origins: Origins, log: Arc<dyn PredictionLog>) -> Arc<dyn PredictionLog> {
    Arc::new(Sourced { origins, log })
}

impl PredictionLog for Sourced {
    fn open(&self, subject: Subject) -> Result<Arc<dyn VersionLog>, String> {
        let origin = self.origins.get(subject.model.as_str());
        let content = origin.as_ref().and_then(|it| it.versions.get(&subject.version));
        // A folder of an operator's may have the same name.
        let content = content.filter(|it| subject.digest.as_ref() == Some(&it.digest));
        let source = content.map(|it| it.source.clone());
        self.log.open(Subject { source, ..subject })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use backend_api::Signature;
    use server_base::{Content, LogConfig, ModelName, Origin, Version};

    use super::*;

    /// Refuses, and keeps what it was told.
    #[derive(Debug, Default)]
    struct Told(Mutex<Vec<Option<String>>>);

    impl PredictionLog for Told {
        fn open(&self, subject: Subject) -> Result<Arc<dyn VersionLog>, String> {
            self.0.lock().expect("no panics").push(subject.source);
            Err("no log".to_owned())
        }
    }

    #[test]
    fn versions_are_known_by_their_bytes() {
        let (origins, told) = (Origins::default(), Arc::new(Told::default()));
        let wine = ModelName::new("wine").expect("a name");
        let source = "s3://models/wine".to_owned();
        let digest = "sha256:ab".to_owned();
        let content = Content { source, digest, facts: Default::default() };
        let versions = [(Version(1), content)].into();
        origins.set(&wine, Origin { versions, ..Origin::default() });
        let log = over(origins, Arc::clone(&told) as Arc<dyn PredictionLog>);
        for (version, digest) in
            [(1, Some("sha256:ab")), (1, Some("sha256:cd")), (1, None), (2, None)]
        {
            let subject = Subject {
                model: wine.clone(),
                version: Version(version),
                digest: digest.map(str::to_owned),
                backend: None,
                source: None,
                signature: Signature { inputs: Vec::new(), outputs: Vec::new() },
                config: LogConfig::default(),
                truth: None,
            };
            assert!(log.open(subject).is_err());
        }
        let told = told.0.lock().expect("no panics");
        assert_eq!(*told, [Some("s3://models/wine".to_owned()), None, None, None]);
    }
}
