use std::time::Duration;

use super::*;
use crate::target::{Auth, Source, TargetKind};

fn read(text: &str) -> Result<Config, Vec<String>> {
    let table: Table = text.parse().expect("TOML");
    let mut root = Section::root(&table);
    let config = Config::read(&mut root);
    root.finish(config)
}

const AIRFLOW: &str = "[target.training]\nkind = \"airflow\"\nurl = \"http://airflow:8080\"\n\
                       dag = \"train\"\nuser = \"salver\"\npassword_file = \"/run/secrets/a\"\n";

#[test]
fn a_rule_and_its_target_are_read() {
    let text = format!(
        "{AIRFLOW}[[trigger]]\nname = \"d\"\nmodel = \"wine-*\"\ntarget = \"training\"\n\
         on = [\"drift\", \"performance\"]\nwindows = 3\nevery_h = 24\noffset_h = 2\n"
    );
    let config = read(&text).expect("no faults");
    let rule = &config.rules[0];
    assert_eq!((rule.alarms, rule.windows, rule.quiet_windows), (2, 3, 3));
    assert_eq!(rule.every, Some(Duration::from_secs(86_400)));
    assert_eq!(rule.cooldown, Duration::from_secs(86_400));
    let model = |name| server_base::ModelName::new(name).expect("a name");
    assert!(rule.model.matches(&model("wine-red")) && !rule.model.matches(&model("beer")));
    let target = &config.targets["training"];
    let auth =
        Auth::Password { user: "salver".into(), password: Source::File("/run/secrets/a".into()) };
    assert_eq!((&target.auth, target.trains()), (&auth, true));
    assert_eq!(target.kind, TargetKind::Airflow { dag: "train".into() });
}

#[track_caller]
fn faulty(text: &str, expect: &[&str]) {
    let faults = read(text).expect_err("faults");
    assert_eq!(faults.len(), expect.len(), "{faults:#?}");
    for (fault, expect) in faults.iter().zip(expect) {
        assert!(fault.contains(expect), "{fault:?} does not say {expect:?}");
    }
}

#[test]
fn broken_data_is_no_reason_to_train() {
    let url = "url = \"http://h\"\n";
    let training = [
        ("airflow", "dag = \"a\""),
        ("argo_workflows", "namespace = \"a\"\ntemplate = \"b\""),
        ("argo_events", ""),
        ("kubeflow", "pipeline = \"p\""),
        ("github", "repository = \"o/r\""),
        ("databricks", "job = 1"),
    ];
    let rule = "[[trigger]]\nname = \"q\"\nmodel = \"*\"\ntarget = \"t\"\non = [\"quality\"]\n";
    for (kind, more) in training {
        let text = format!("[target.t]\nkind = \"{kind}\"\n{url}{more}\n{rule}");
        faulty(&text, &["trigger \"q\": on: quality is an alert"]);
        read(&text.replace("quality", "drift")).expect("no faults");
    }
    read(&format!("[target.t]\nkind = \"webhook\"\n{url}{rule}")).expect("an alert is welcome");
}

#[test]
fn every_fault_is_told_with_its_place() {
    faulty(
        "[[trigger]]\nname = \"a b\"\nmodel = \"*x\"\ntarget = \"t\"\non = [\"rain\"]\n\
         windows = 2\nalarms = 3\noffset_h = 1\n",
        &["name: \"a b\"", "model: \"*x\"", "\"rain\" is none of drift", "alarms: 3", "offset_h"],
    );
    faulty("[[trigger]]\nname = \"a\"\n", &["model: is missing", "target: is missing"]);
    faulty(
        "[[trigger]]\nname = \"a\"\nmodel = \"m\"\ntarget = \"t\"\n",
        &["trigger \"a\": target: \"t\" is none of"],
    );
    faulty(
        "[target.t]\nkind = \"webhook\"\nurl = \"http://u:hush@h\"\ndag = \"d\"\n",
        &["target.t: url: holds credentials", "target.t: dag: unknown key"],
    );
    faulty("[target.t]\nkind = \"cron\"\n", &["kind: \"cron\" is none of", "url: is missing"]);
    faulty(
        "[target.t]\nkind = \"databricks\"\nurl = \"http://h\"\njob = 1\nparameters = { a = \"{b}\" }\n",
        &["a = \"{b}\": {b} is none of model, version"],
    );
    let twice = format!(
        "{AIRFLOW}{0}{0}",
        "[[trigger]]\nname = \"d\"\nmodel = \"m\"\ntarget = \"training\"\n"
    );
    faulty(&twice, &["trigger \"d\": is given twice"]);
}

#[test]
fn no_secret_is_in_an_address_that_is_shown() {
    let faults = read("[target.t]\nkind = \"webhook\"\nurl = \"http://u:hush@h\"\n");
    assert!(!format!("{faults:?}").contains("hush"));
}
