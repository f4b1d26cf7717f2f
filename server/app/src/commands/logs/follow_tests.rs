use std::fs::File;

use server_feedback::hour_folder;
use server_feedback::source::{Listed, Missing, Object, Source, Wanted as Below};

use super::*;

/// A store with files of an hour, by their names.
struct Store {
    hour: String,
    names: Vec<&'static str>,
    /// What comes of fetching one, the last first; they are gone after that.
    answers: Vec<Missing>,
    fetched: Vec<String>,
}

impl Source for Store {
    fn list(&mut self, _: &Below<'_>) -> io::Result<Listed> {
        let path = |it: &&str| format!("{}/{it}", self.hour);
        let object = |it: &&str| Object { path: path(it), size: 1, written: 0 };
        Ok(Listed { objects: self.names.iter().map(object).collect(), next: None })
    }

    fn fetch(&mut self, _: &str, object: &Object) -> Result<File, Missing> {
        let name = object.path.rsplit('/').next().expect("a name");
        self.fetched.push(name.to_owned());
        Err(self.answers.pop().unwrap_or(Missing::Gone))
    }
}

impl Archive for Store {
    fn folders(&mut self, folder: &str) -> io::Result<Vec<String>> {
        Ok(vec![if folder.is_empty() { "model=m" } else { "version=1" }.to_owned()])
    }
}

/// How often a file was fetched in many looks, and what was said of it.
fn followed(answers: Vec<Missing>) -> (usize, Vec<String>) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let hour = hour_folder(u32::try_from(now.as_secs() / 3_600).expect("an hour"));
    let mut store = Store { hour, names: vec!["old.parquet"], answers, fetched: Vec::new() };
    let mut follow = Follow::new(&mut store, &Wanted::default()).expect("a list");
    store.names.push("x.parquet");
    let (mut show, mut said) = (|_: &Rows| panic!("there are no rows"), Vec::new());
    for _ in 0..30 {
        let mut warn = |it: &str| said.push(it.rsplit('/').next().expect("a name").to_owned());
        follow.look(&mut store, &mut show, &mut warn).expect("a look");
    }
    assert!(store.fetched.iter().all(|it| it == "x.parquet"), "{:?}", store.fetched);
    (store.fetched.len(), said)
}

fn away() -> Missing {
    Missing::Away(io::Error::other("503"))
}

#[test]
fn a_file_that_a_store_does_not_give_out_now_is_tried_again() {
    let refused = Missing::Refused(io::Error::other("403"));
    let again = "x.parquet: 503: it is tried again".to_owned();
    assert_eq!(followed(vec![]), (1, vec![]), "it is gone");
    assert_eq!(followed(vec![refused, away()]), (3, vec![again]), "once more, and it is gone");
}

#[test]
fn a_file_that_is_never_given_out_is_given_up() {
    let (fetched, said) = followed((0..30).map(|_| away()).collect());
    assert_eq!(fetched, 10);
    let expect = ["x.parquet: 503: it is tried again", "x.parquet: 503: given up after 10 tries"];
    assert_eq!(said, expect);
}
