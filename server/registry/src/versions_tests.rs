use super::*;
use crate::path::RelativePath;
use crate::source::Form;

#[track_caller]
fn check(paths: &str, wanted: Option<u64>, expect: Option<(Option<u64>, &str)>) {
    let file = |path: &str| Remote {
        path: RelativePath::new(path).expect("a name"),
        size: None,
        digest: None,
        validator: None,
        form: Form::Plain,
        at: path.to_owned(),
    };
    let files = paths.split_whitespace().map(file).collect();
    let found = choose(files, wanted).ok().map(|(version, files)| {
        let names: Vec<&str> = files.iter().map(|it| it.path.as_str()).collect();
        (version, names.join(" "))
    });
    assert_eq!(found, expect.map(|(version, names)| (version, names.to_owned())));
}

#[test]
fn numbered_folders_are_versions() {
    check("1/m 2/m 10/m 10/sub/x", None, Some((Some(10), "m sub/x")));
    check("1/m 2/m 10/m", Some(2), Some((Some(2), "m")));
    check("1/m 2/m", Some(3), None);
}

#[test]
fn anything_else_is_one_model() {
    check("m x/y", None, Some((None, "m x/y")));
    check("1/m config", None, Some((None, "1/m config")));
    check("01/m", None, Some((None, "01/m")));
    check("m", Some(1), None);
    check("", None, Some((None, "")));
}
