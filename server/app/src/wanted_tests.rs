use super::*;

/// What flags and a file lead to, as words `name=uri/labels/poll/settings`; or the faults.
fn read(flags: &[&str], file: &str) -> Result<Vec<String>, Vec<String>> {
    let table: Table = file.parse().expect("TOML");
    let mut root = Section::root(&table);
    let flags: Vec<String> = flags.iter().map(|it| (*it).to_owned()).collect();
    let targets = targets(&flags, &mut root);
    let words = targets.iter().map(|it| {
        let (poll, settings) = (it.poll.as_secs(), it.settings.to_string());
        let labels: Vec<String> =
            it.labels.iter().map(|(name, it)| format!("{name}:{it}")).collect();
        let (labels, settings) = (labels.join(","), settings.trim().replace('\n', ";"));
        format!("{}={}|{labels}|{poll}|{settings}", it.model, it.source)
    });
    root.finish(words.collect())
}

#[test]
fn flags_and_file_name_models() {
    let file = "[[model]]\nname = 'beer'\nsource = 's3://models/beer'\npoll_s = 5\n\
                max_batch_size = 4\n[model.labels]\nstable = 1\ncanary = 's3://models/new'\n\
                [model.traffic]\nweights = { stable = 9, canary = 1 }\n";
    let got = read(&["wine=mlflow://127.0.0.1:5000/wine@champion"], file);
    let wine = "wine=mlflow://127.0.0.1:5000/wine@champion||30|";
    let beer = "beer=s3://models/beer|canary:s3://models/new|5|max_batch_size = 4;;[labels];\
                stable = 1;;[traffic.weights];canary = 1;stable = 9";
    assert_eq!(got, Ok(vec![wine.to_owned(), beer.to_owned()]));
}

#[test]
fn how_often_a_registry_is_asked_is_a_time() {
    for (poll, seconds) in [("7", 7), ("'30s'", 30), ("'5m'", 300), ("'24h'", 86_400)] {
        let file = format!("[[model]]\nname = 'x'\nsource = 's3://a/b'\npoll = {poll}");
        assert_eq!(read(&[], &file), Ok(vec![format!("x=s3://a/b||{seconds}|")]));
    }
}

#[track_caller]
fn refused(flags: &[&str], file: &str, says: &str) {
    let faults = read(flags, file).expect_err(says);
    assert!(faults.iter().any(|it| it.contains(says)), "{faults:?}");
}

#[test]
fn what_names_no_model_is_refused() {
    refused(&["s3://user:secret@host"], "", "model: \"s3\" is not NAME=URI");
    refused(&["../x=s3://models/x"], "", "../x");
    refused(&["x=ftp://models/x"], "", "unknown scheme \"ftp\"");
    refused(&["x=s3://a/b", "x=s3://a/c"], "", "model: x is given twice");
    refused(&[], "model = 3", "model: expected tables");
    refused(&[], "[[model]]\nname = 'x'", "model \"x\": source: is missing");
    let whole = "[[model]]\nname = 'x'\nsource = 's3://a/b'\n";
    for (line, says) in [
        ("poll_s = 0", "poll_s: 0 is not a whole number from 1"),
        ("poll = 0", "poll: 0 is no time from 1 s to 86400 s"),
        ("poll = '25h'", "poll: \"25h\" is no time"),
        ("poll = '-1s'", "poll: \"-1s\" is no time"),
        ("poll = '30'", "poll: \"30\" is no time"),
        ("poll = 3\npoll_s = 3", "poll: poll_s says it too"),
        ("version_policy = 'all'", "the addresses say which versions"),
        ("max_batch_sizes = 3", "model \"x\": max_batch_sizes: unknown key"),
        ("verdicts = 's3://a/b/v'", "verdicts: s3://a/b/v and an address of the model lie one"),
        (
            "verdicts = 's3://a'",
            "verdicts: s3://a and an address of the model lie one in the other",
        ),
        ("verdicts = 'https://h/x'", "verdicts: https://h/x takes no files: expected file:DIR"),
        ("labels = { canary = 's4://x' }", "labels.canary: "),
        ("traffic.weights = { canary = 1 }", "\"canary\" is no label"),
    ] {
        refused(&[], &format!("{whole}{line}"), says);
    }
}
