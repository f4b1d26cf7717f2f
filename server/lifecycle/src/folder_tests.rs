use super::*;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use crate::policy::Transition;

fn look() -> Look {
    Look { print: 1, changed: UNIX_EPOCH, bytes: 0 }
}

/// What one scan finds: the text of `model.toml`, versions with an artifact; and what of it rests.
struct Scan {
    config: Option<&'static str>,
    versions: &'static [u64],
    rests: &'static [Part],
}

const V1: Part = Part::Version(Version(1));
const V2: Part = Part::Version(Version(2));

/// Plays scans; expects after each the version that `stable` means (0: no label; none: not
/// configured) and whether something is unsettled.
#[track_caller]
fn check(is_new: bool, scans: &[(Scan, (Option<u64>, bool))]) -> Folder {
    let defaults = Defaults {
        instances: 1,
        transition: Transition::Availability,
        load: crate::config::LoadPolicy::Eager,
        engines: Vec::new(),
    };
    let mut folder = Folder::new(ModelName::new("m").expect("a name"), &defaults, is_new);
    for (n, (scan, expect)) in scans.iter().enumerate() {
        let text = scan.config.map(|it| Ok(it.to_owned()));
        let version = || Ok(FoundVersion { folder: PathBuf::new(), look: look(), lacks: None });
        let found = FoundModel {
            config: FoundConfig { text, look: look() },
            versions: scan.versions.iter().map(|&it| (Version(it), version())).collect(),
        };
        let unsettled =
            folder.observe(Some(&Ok(found)), &defaults, |part, _| scan.rests.contains(&part));
        let stable = folder.config().labels.get("stable").map_or(0, |it| it.0);
        assert_eq!((folder.is_configured().then_some(stable), unsettled), *expect, "scan {n}");
    }
    folder
}

const STABLE: &str = "[labels]\nstable = 1";
const RESTING: Scan = Scan { config: Some(STABLE), versions: &[1], rests: &[Part::Config, V1] };

#[test]
fn the_last_good_configuration_stands_while_the_file_is_written() {
    let written = Scan { config: Some(""), rests: &[V1], ..RESTING };
    let away = Scan { config: None, rests: &[V1], ..RESTING };
    let good = Scan { config: Some("[labels]\nstable = 2"), ..RESTING };
    check(
        false,
        &[
            (RESTING, (Some(1), false)),
            (written, (Some(1), true)),
            (away, (Some(1), true)),
            (good, (Some(2), false)),
            (Scan { config: None, ..RESTING }, (Some(0), false)),
        ],
    );
}

#[test]
fn a_new_model_waits_for_its_configuration() {
    let rests = |config, rests| Scan { config, versions: &[1, 2], rests };
    let scans = [
        (rests(None, &[V1]), (None, true)),
        (rests(None, &[V1, Part::Config]), (None, true)),
        (rests(Some(""), &[V1, V2]), (None, true)),
        (rests(Some(STABLE), &[V1, Part::Config]), (Some(1), true)),
        (rests(Some(STABLE), &[V1, V2, Part::Config]), (Some(1), false)),
    ];
    let folder = check(true, &scans[..3]);
    let reasons: BTreeSet<String> = folder.versions(false).map(|(_, why)| why).collect();
    assert_eq!(reasons, [WRITTEN.to_owned()].into());
    check(true, &scans);
    check(true, &[(rests(None, &[V1, V2, Part::Config]), (Some(0), false))]);
}

/// A copy that goes on while the server starts again keeps nobody from the versions beside it.
#[test]
fn a_model_that_stood_there_at_the_start_waits_for_its_file_alone() {
    let scan = |rests| Scan { config: None, versions: &[1, 2], rests };
    check(false, &[(scan(&[V1]), (None, true)), (scan(&[V1, Part::Config]), (Some(0), true))]);
}

/// What answers goes on answering until the version that the file wants in its place is whole.
#[test]
fn a_file_that_wants_what_is_still_written_waits_for_it() {
    const NEXT: &str = "version_policy = { specific = [2] }\n[labels]\nstable = 2";
    let scan = |versions, rests| Scan { config: Some(NEXT), versions, rests };
    check(
        false,
        &[
            (RESTING, (Some(1), false)),
            (scan(&[1, 2], &[V1, Part::Config]), (Some(1), true)),
            (scan(&[1, 2], &[V1, V2, Part::Config]), (Some(2), false)),
        ],
    );
    // One that is not there at all is not waited for.
    check(
        false,
        &[(RESTING, (Some(1), false)), (scan(&[1], &[V1, Part::Config]), (Some(2), false))],
    );
}
