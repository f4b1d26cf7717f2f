use super::*;

const SETTING: Setting = Setting { engine: "tract", instances: 2, threads: 1, batch: Some(8) };

/// What becomes of a file.
#[track_caller]
fn check(text: &str, setting: Setting, expect: &str) {
    assert_eq!(merged(text, &setting).as_deref(), Ok(expect), "{text}");
}

#[test]
fn an_empty_file_gets_the_keys() {
    let expect = "engine = \"tract\"\nmax_batch_size = 8\n\n[instances]\ncount = 2\n\
                  intra_op_threads = 1\n";
    check("", SETTING, expect);
    let never_joined = "engine = \"tract\"\n\n[instances]\ncount = 2\nintra_op_threads = 1\n";
    check("", Setting { batch: None, ..SETTING }, never_joined);
}

#[test]
fn what_tuning_does_not_know_stays_as_it_is() {
    let text = "# Ours.\nengine = \"auto\"   # until spring\ntimeout_ms=250\n\n# Names.\n[labels]\n\
                stable = 1\n\n[instances] # few\ncount = 0x2\nspinning = false\n";
    let expect = "# Ours.\nengine = \"tract\"   # until spring\ntimeout_ms=250\nmax_batch_size = 8\n\n\
                  # Names.\n[labels]\nstable = 1\n\n[instances] # few\ncount = 2\nspinning = false\n\
                  intra_op_threads = 1\n";
    check(text, SETTING, expect);
    check(expect, SETTING, expect);
    let short = "instances = { count = 1 }\n[warmup]\nbatch_sizes = [1, 32]\n";
    let expect = "instances = { count = 2 , intra_op_threads = 1 }\nengine = \"tract\"\n\
                  max_batch_size = 8\n[warmup]\nbatch_sizes = [1, 8]\n";
    check(short, SETTING, expect);
    check(
        "instances.count = 2\n",
        SETTING,
        "instances.count = 2\ninstances.intra_op_threads = 1\nengine = \"tract\"\nmax_batch_size = 8\n",
    );
}

#[test]
fn what_the_user_had_set_otherwise_is_named() {
    let check = |old: &str, expect: &[&str]| {
        let new = merged(old, &SETTING).expect("TOML");
        let word = |it: Change| format!("{}: {} -> {}", it.key, it.old, it.new);
        assert_eq!(changes(old, &new).into_iter().map(word).collect::<Vec<_>>(), expect, "{old}");
    };
    check("", &[]);
    check("engine = \"tract\"\nmax_batch_size = 8", &[]);
    check(
        "engine = \"auto\"\nmax_batch_size = 32\n[warmup]\nbatch_sizes = [32]\n[instances]\ncount = 1",
        &[
            "engine: \"auto\" -> \"tract\"",
            "max_batch_size: 32 -> 8",
            "instances.count: 1 -> 2",
            "warmup.batch_sizes: [32] -> [8]",
        ],
    );
}

#[test]
fn the_head_is_replaced_by_the_next_run() {
    let line = |it: &str| [it.to_owned()];
    let first = head("# Ours.\nengine = \"tract\"\n", &line("first"));
    assert_eq!(first, "# tuned: first\n# Ours.\nengine = \"tract\"\n");
    assert_eq!(head(&first, &line("second")), "# tuned: second\n# Ours.\nengine = \"tract\"\n");
}

#[test]
fn a_file_is_replaced_whole_or_not_at_all() {
    let root = tempfile::tempdir().expect("scratch");
    let path = root.path().join("model.toml");
    write(&path, "", "a = 1\n").expect("a new file");
    write(&path, "a = 1\n", "a = 2\n").expect("as it was read");
    let refused = write(&path, "a = 1\n", "a = 3\n").expect_err("another has written");
    assert!(matches!(refused, NotWritten::Changed(_)), "{refused}");
    write(&path, "", "a = 3\n").expect_err("it was not there");
    assert_eq!(fs::read_to_string(&path).expect("text"), "a = 2\n");
    let link = root.path().join("link.toml");
    std::os::unix::fs::symlink(&path, &link).expect("a link");
    write(&link, "a = 2\n", "a = 4\n").expect("through the link");
    assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
    assert_eq!(fs::read_to_string(&path).expect("text"), "a = 4\n");
    fs::remove_file(&path).expect("removed");
    write(&path, "a = 4\n", "a = 5\n").expect_err("it has gone");
    let nowhere = root.path().join("none/model.toml");
    assert!(matches!(write(&nowhere, "", "a = 1"), Err(NotWritten::Io(..))));
    let left: Vec<_> =
        fs::read_dir(root.path()).expect("read").map(|it| it.expect("it").file_name()).collect();
    assert_eq!(left, ["link.toml"], "nothing is left behind");
}
