use super::*;

use crate::cli::ServeArgs;
use crate::settings::Settings;

#[track_caller]
fn meets(uri: &str, expect: Result<Meeting, &str>) {
    let flags = ServeArgs {
        model_repository: Some("models".into()),
        rollout_share: Some(uri.to_owned()),
        ..ServeArgs::default()
    };
    let read = Settings::new(flags, None).map(|it| it.rollout_share.expect("it is given"));
    match (read, expect) {
        (Ok(read), Ok(expect)) => assert_eq!(read, expect),
        (Err(faults), Err(says)) => assert!(faults[0].contains(says), "{faults:?}"),
        (read, expect) => panic!("{uri}: {read:?} instead of {expect:?}"),
    }
}

#[test]
fn replicas_meet_in_a_folder() {
    meets("file:///mnt/share", Ok(Meeting::Folder("/mnt/share".into())));
    meets("file:share", Ok(Meeting::Folder("share".into())));
    for wrong in ["/mnt/share", "file:", "https://host/x", "bucket"] {
        meets(wrong, Err(&format!("rollout_share: {wrong:?} is not file:DIR or ")));
    }
}

#[test]
#[cfg(feature = "registries")]
fn replicas_meet_in_an_object_store() {
    for uri in ["s3://bucket/prefix", "s3://bucket", "gs://bucket/a/b"] {
        meets(uri, Ok(Meeting::Objects(uri.to_owned())));
    }
    meets("s3://bucket/x?version=2", Err("is no prefix such as s3://BUCKET/PREFIX"));
}

#[test]
#[cfg(not(feature = "registries"))]
fn an_object_store_needs_registries() {
    meets("s3://bucket/prefix", Err("and this build is without registries"));
}
