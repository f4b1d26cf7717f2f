use std::path::Component;

use super::*;
use proptest::prelude::*;

#[track_caller]
fn refused(text: &str) {
    assert!(RelativePath::new(text).is_err(), "{text:?} was taken");
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    for text in ["", ".", "..", "../a", "a/../b", "a/..", "/a", "a//b", "a/", "./a", "C:/a", "c:a"]
    {
        refused(text);
    }
    for text in ["a\\..\\b", "a\0b", "a\nb", "\u{7f}", "a/\u{85}"] {
        refused(text);
    }
    refused(&"a".repeat(256));
    refused(&["a"; 17].join("/"));
    refused(&vec!["a".repeat(200); 6].join("/"));
}

#[test]
fn names_of_files_are_taken() {
    for text in ["model.onnx", "a/b/c.bin", "..data", "...", "größe", ".hidden", "a b"] {
        assert_eq!(RelativePath::new(text).expect("a name").as_str(), text);
    }
}

#[track_caller]
fn together(names: &[&str], fits: bool) {
    let paths: Vec<RelativePath> =
        names.iter().map(|it| RelativePath::new(it).expect("a name")).collect();
    assert_eq!(check_together(&paths).is_ok(), fits, "{names:?}");
}

#[test]
fn names_must_fit_into_one_folder() {
    together(&["a", "b/a", "b/c"], true);
    together(&["a", "a"], false);
    together(&["Model.onnx", "model.onnx"], false);
    together(&["GRÖSSE/a", "grösse/A"], false);
    together(&["a", "a/b"], false);
    together(&["A", "a/b/c"], false);
    together(&["a.b", "a/b"], true);
}

#[test]
fn a_folder_is_taken_off() {
    let path = RelativePath::new("models/1/m.onnx").expect("a name");
    assert_eq!(path.within("models").expect("inside").as_str(), "1/m.onnx");
    assert_eq!(path.within("").expect("inside"), path);
    assert!(path.within("model").is_none() && path.within("models/1/m.onnx").is_none());
}

proptest! {
    /// Whatever is taken stays below the folder, by the system's own reading of the path.
    #[test]
    fn what_is_taken_stays_inside(text in "([a-z.\\\\/:\0]|\\.\\.|\\PC){0,40}") {
        if let Ok(path) = RelativePath::new(&text) {
            let joined = path.under(Path::new("/trees/model"));
            prop_assert!(joined.starts_with("/trees/model"));
            let parts = joined.components().skip(1);
            prop_assert!(parts.clone().all(|it| matches!(it, Component::Normal(_))));
            prop_assert_eq!(parts.count(), 2 + text.split('/').count());
        }
    }
}
