//! `salver tune` on a sample model: the real binary, a real engine, hardly any time.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::thread::available_parallelism;

use backend_tract::Tract;
use serde_json::Value;
use server_app::cli::ServeArgs;
use server_app::serve::Server;
use server_app::settings::Settings;
use server_lifecycle::Engines;
use tempfile::TempDir;

use crate::house::{PATIENCE, metrics};

const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/repository");

/// What the sample's own file says, with a value that tuning changes.
const TOML: &str = "# Both are served.\nversion_policy = \"all\"\nmax_batch_size = 16 # for now\n";

/// Settings that the tests compare: one engine that is always there, and two batch sizes.
const SMALL: [&str; 12] = [
    "--engines",
    "tract",
    "--instances",
    "1",
    "--threads",
    "1",
    "--batch-sizes",
    "4,8",
    "--concurrency",
    "1,2",
    "--seconds",
    "0.05",
];

/// A repository with the wine model.
fn wine() -> TempDir {
    let root = tempfile::tempdir().expect("scratch");
    for version in ["1", "2"] {
        let folder = root.path().join("wine").join(version);
        fs::create_dir_all(&folder).expect("folders");
        let artifact = Path::new(SAMPLES).join("wine").join(version).join("model.onnx");
        fs::copy(artifact, folder.join("model.onnx")).expect("a sample");
    }
    fs::write(root.path().join("wine/model.toml"), TOML).expect("write");
    root
}

/// Runs `salver tune wine`.
fn tune(root: &Path, flags: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_salver"));
    command.env_clear().args(["tune", "wine", "--model-repository"]).arg(root);
    command.args(flags).output().expect("it runs")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

fn with(flags: &[&'static str]) -> Vec<&'static str> {
    SMALL.iter().chain(flags).copied().collect()
}

/// The file now.
fn file(root: &Path) -> String {
    fs::read_to_string(root.join("wine/model.toml")).expect("text")
}

#[test]
fn a_search_ends_in_a_table_a_picture_and_a_file() {
    let root = wine();
    let picture = root.path().join("wine.svg");
    let mut flags = with(&["--goal-p99-ms", "60000", "--write", "--picture"]);
    flags.push(picture.to_str().expect("text"));
    let done = tune(root.path(), &flags);
    let (shown, told) = (text(&done.stdout), text(&done.stderr));
    assert_eq!(done.status.code(), Some(0), "{shown}{told}");
    let bound = "wine version 2: up to 4 points of 2 settings, at most 0 s and the time to load";
    assert!(told.starts_with(bound), "{told}");

    let head: Vec<&str> = shown.lines().next().expect("a table").split_whitespace().collect();
    let columns =
        ["ENGINE", "INSTANCES", "THREADS", "BATCH", "CALLERS", "ROWS/S", "P50", "MS", "P99", "MS"];
    assert_eq!(head, columns);
    assert_eq!(
        shown.lines().filter(|it| it.starts_with("* ") || it.starts_with("   tract")).count(),
        2
    );
    let best = |it: &&str| it.starts_with('*') && it.contains(" best");
    assert_eq!(shown.lines().filter(best).count(), 1, "{shown}");
    assert!(shown.contains("This changes what model.toml says:\n  max_batch_size: 16 becomes "));

    let texts = plot::check::texts(&fs::read_to_string(&picture).expect("a picture"));
    let expected = ["wine version 2: p99 over throughput", "goal 60000 ms", "best"];
    for expected in expected {
        assert!(texts.iter().any(|it| it == expected), "{expected:?} is not in {texts:?}");
    }

    let written = file(root.path());
    let lines: Vec<&str> = written.lines().collect();
    assert!(lines[0].starts_with("# tuned: 20") && lines[0].contains(" by salver "), "{written}");
    assert_eq!(lines[1], "# tuned: version 2, goal p99 up to 60000 ms");
    assert!(lines[2].starts_with("# tuned: measured "), "{written}");
    assert_eq!(lines[3..5], ["# Both are served.", "version_policy = \"all\""], "{written}");
    assert!(lines[5].ends_with(" # for now"), "{written}");
    assert!(lines.contains(&"engine = \"tract\"") && lines.contains(&"count = 1"), "{written}");
    assert!(shown.contains(&format!("model.toml:\n\n{}", written.trim_end())), "{shown}");
    server_loads(root.path(), &written);

    // A second run reads what the first wrote, and replaces its head.
    let again =
        tune(root.path(), &with(&["--goal-p99-ms", "60000", "--write", "--output", "json"]));
    assert_eq!(again.status.code(), Some(0), "{}", text(&again.stderr));
    let found: Value = serde_json::from_slice(&again.stdout).expect("JSON");
    let points = found["points"].as_array().expect("points");
    assert!((2..=4).contains(&points.len()), "{found}");
    for point in points {
        assert!(point["rows_per_s"].is_number() && point["p99_ms"].is_number(), "{point}");
        assert_eq!(point["engine"], "tract");
    }
    assert_eq!(found["model_toml"].as_str(), Some(file(root.path()).as_str()));
    assert_eq!(found["best"]["meets_goal"], true);
    assert_eq!(file(root.path()).matches("# tuned: ").count(), 3);
    assert!(file(root.path()).contains(&lines[6..].join("\n")), "the rest stays");
}

/// A server takes the file for both versions.
fn server_loads(root: &Path, written: &str) {
    let rows = if written.contains("max_batch_size = 4") { 4 } else { 8 };
    let args = ServeArgs {
        model_repository: Some(root.to_path_buf()),
        host: Some([127, 0, 0, 1].into()),
        http_port: Some(0),
        grpc_port: Some(0),
        metrics_port: Some(0),
        rest_ms: Some(0),
        ..ServeArgs::default()
    };
    let settings = Settings::new(args, None).expect("no faults");
    let engines = Engines::new(vec![Arc::new(Tract)], Vec::new());
    let server = Server::start(&settings, engines, metrics()).expect("starts");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let mut changes = server.lifecycle().changes();
        while !server.lifecycle().readiness().is_ready() {
            changes.changed().await.expect("the lifecycle lives");
        }
    });
    let table = server.serving().table();
    let plans: Vec<_> = table.servables().map(|it| it.plan()).collect();
    assert_eq!(plans.len(), 2);
    for plan in plans {
        assert_eq!((plan.batching.rows_max, plan.instances), (rows, 1));
    }
    assert!(server.stop(PATIENCE));
}

#[test]
fn without_write_nothing_is_written() {
    let root = wine();
    let done = tune(root.path(), &with(&["--goal-p99-ms", "60000"]));
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    let shown = text(&done.stdout);
    assert!(shown.contains("model.toml would be (--write writes it):\n\n# tuned: "), "{shown}");
    assert!(shown.contains("This would change what model.toml says:"), "{shown}");
    assert_eq!(file(root.path()), TOML);
    // Nor if nothing is good enough.
    let done = tune(root.path(), &with(&["--goal-p99-ms", "0.001", "--write"]));
    let shown = text(&done.stdout);
    assert_eq!(done.status.code(), Some(1), "{shown}{}", text(&done.stderr));
    assert!(shown.contains("Nothing is within p99 0.001 ms. Closest comes tract, "), "{shown}");
    assert_eq!(file(root.path()), TOML);
    // Nor if nothing is measured.
    let done = tune(root.path(), &with(&["--dry-run"]));
    let choice = "To choose from:\n  tract, 1 instance of 1 thread, batch 4\n  \
                  tract, 1 instance of 1 thread, batch 8\n";
    assert_eq!((done.status.code(), text(&done.stdout)), (Some(0), choice));
    assert_eq!(file(root.path()), TOML);
}

#[test]
fn what_cannot_be_is_refused_with_all_reasons_and_a_code() {
    let root = wine();
    let refused = |flags: &[&str], code: i32, expect: &[&str]| {
        let done = tune(root.path(), flags);
        let told = text(&done.stderr);
        assert_eq!(done.status.code(), Some(code), "{flags:?}: {told}");
        for expect in expect {
            assert!(told.contains(expect), "{expect:?} is not in {told}");
        }
        assert_eq!(text(&done.stdout), "");
    };
    let all = [
        "--goal-p99-ms",
        "0",
        "--batch-sizes",
        "",
        "--engines",
        "tensorflow",
        "--concurrency",
        "0",
        "--version",
        "9",
        "--dry-run",
        "--write",
        "--picture",
        "/no/such/folder/x.svg",
    ];
    let faults = [
        "this cannot be measured:\n",
        "\n  --batch-sizes: the list is empty\n",
        "\n  --concurrency: \"0\" is not a whole number from 1 to 4096\n",
        "\n  --engines: \"tensorflow\" is none of ",
        "\n  --goal-p99-ms: 0 is not a number above 0, up to 60000\n",
        "\n  --write: --dry-run measures nothing",
        "\n  --picture: there is no folder /no/such/folder\n",
        "\n  --version: wine has no version 9; it has 1, 2\n",
    ];
    refused(&all, 2, &faults);
    let cores = available_parallelism().map_or(1, usize::from);
    let many = (cores + 1).to_string();
    let busy = "--instances, --threads: every combination is left out: ";
    refused(&["--engines", "tract", "--threads", "1", "--instances", &many], 2, &[busy]);
    let threads = "nothing is left to compare of tract: instances.intra_op_threads: engine tract ";
    refused(&["--engines", "tract", "--threads", "2"], 2, &[threads]);
    refused(&["--axis", "S=3", "--engines", "tract"], 2, &["the inputs have no free axis S"]);
    fs::write(root.path().join("wine/model.toml"), "max_batchsize = 1\n").expect("write");
    refused(&[], 78, &["the configuration has faults:\n", "max_batchsize: unknown key"]);
}
