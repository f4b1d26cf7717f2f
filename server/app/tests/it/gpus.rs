//! GPUs as a driver's library of a few lines of C has them: two, the second of which is lost.

use std::path::{Path, PathBuf};
use std::process::Command;

use http::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::house::{DOUBLE, House, PATIENCE};

/// The library, and the folder that it lies in.
fn driver() -> (TempDir, PathBuf) {
    built("libnvidia-ml.so", "nvml/tests/fake_nvml.c", "-O0")
}

fn built(name: &str, source: &str, flag: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("scratch");
    let library = folder.path().join(name);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../backends").join(source);
    let mut cc = Command::new("cc");
    let made = cc.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).arg(flag).status();
    assert!(made.expect("a C compiler").success());
    (folder, library)
}

/// What `salver devices` prints, and whether all went well.
fn devices(arguments: &[&str]) -> (bool, String) {
    let (folder, _) = built("libcuda.so.1", "cuda/tests/fake_cuda.c", "-O0");
    devices_with(folder.path(), arguments)
}

/// The same, with CUDA's part of the driver from that folder.
fn devices_with(cuda: &Path, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_salver"));
    let output = command
        .env_remove("CUDA_VISIBLE_DEVICES")
        .env("LD_LIBRARY_PATH", cuda)
        .arg("devices")
        .args(arguments)
        .output()
        .expect("runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).expect("text"))
}

/// Waits until the metrics show that; gives all of them.
async fn until_shown(house: &House, line: &str) -> String {
    let mut client = house.metrics().await;
    let shown = async {
        loop {
            let (_, text) = client.get("/metrics").await;
            if text.contains(line) {
                return text;
            }
        }
    };
    tokio::time::timeout(PATIENCE, shown).await.expect("they come to show it")
}

#[test]
fn devices_lists_every_gpu() {
    let (_folder, library) = driver();
    let library = library.display().to_string();
    let (done, text) = devices(&["--nvml-library", &library, "--output", "json"]);
    // Engines' libraries may write lines of their own behind it.
    let line = text.lines().next().expect("a line");
    let seen: Value = serde_json::from_str(line).expect("JSON");
    assert!(done, "{text}");
    let gib = |it: u64| it << 30;
    let expect = json!({
        "driver_version": "580.65.06",
        "devices": [
            {
                "index": 0, "device": "cuda:0", "name": "NVIDIA Scripted", "uuid": "GPU-11111111",
                "memory_total_bytes": gib(80), "memory_used_bytes": gib(16),
                "memory_free_bytes": gib(64), "compute_capability": "9.0",
            },
            {
                "index": 1, "device": "cuda:1", "name": "NVIDIA Scripted", "uuid": "GPU-22222222",
                "memory_total_bytes": null, "memory_used_bytes": null,
                "memory_free_bytes": null, "compute_capability": "9.0",
                "reason": "nvmlDeviceGetMemoryInfo: GPU is lost (NVML error 15)",
                "fix": "the GPU has fallen off the bus: `dmesg | grep Xid` says why; reset it, or \
                        restart the machine",
            },
        ],
        "cuda": {"version": "13.0", "gpus": 2},
    });
    assert_eq!(seen["gpus"], expect);
    let (_, text) = devices(&["--nvml-library", &library]);
    for line in [
        "\ngpus 2, driver 580.65.06\n",
        "\ncuda 13.0, GPUs to compute on: 2\n",
        "\ngpu 0 NVIDIA Scripted, cuda:0, GPU-11111111, 81920 MiB in all, 16384 MiB used, 65536 MiB free, \
         compute capability 9.0\n",
        "\n  fault: nvmlDeviceGetMemoryInfo: GPU is lost (NVML error 15)\n",
    ] {
        assert!(text.contains(line), "{line} {text}");
    }
}

/// As in a container that was given the GPUs' names and not their use.
#[test]
fn gpus_that_cannot_be_computed_on_are_said_with_the_fix() {
    let (_folder, library) = driver();
    let (cuda, _) = built("libcuda.so.1", "cuda/tests/fake_cuda.c", "-DCOUNT=0");
    let library = library.display().to_string();
    let (done, text) = devices_with(cuda.path(), &["--nvml-library", &library]);
    let says = "\ncuda none: the driver shows no GPU to this process\n  fix: look at `nvidia-smi`";
    assert!(done && text.contains(says), "{text}");
}

#[test]
fn a_library_that_is_no_driver_is_said_with_the_fix() {
    let folder = tempfile::tempdir().expect("scratch");
    let library = folder.path().join("libnvidia-ml.so");
    let shown = library.display().to_string();
    let (done, text) = devices(&["--nvml-library", &shown]);
    assert!(!done && text.contains(&format!("nvml_library: there is no file {shown}")), "{text}");
    std::fs::write(&library, "no library").expect("write");
    let (done, text) = devices(&["--nvml-library", &shown]);
    assert!(
        done && text.contains("\ngpus none: ") && text.contains("--nvml-library FILE"),
        "{text}"
    );
}

#[tokio::test]
async fn metrics_show_every_gpu() {
    let (_folder, library) = driver();
    let house = House::with(&[("m/1/model.fake", DOUBLE)], |args| {
        args.libraries.nvml_library = Some(library);
    })
    .await;
    let expect = [
        "salver_gpu_up{gpu=\"0\",uuid=\"GPU-11111111\"} 1\n",
        "salver_gpu_up{gpu=\"1\",uuid=\"GPU-22222222\"} 0\n",
        "salver_gpu_utilization_ratio{gpu=\"0\",uuid=\"GPU-11111111\"} 0.37\n",
        "salver_gpu_utilization_ratio{gpu=\"1\",uuid=\"GPU-22222222\"} NaN\n",
        "salver_gpu_memory_used_bytes{gpu=\"0\",uuid=\"GPU-11111111\"} 17179869184\n",
        "salver_gpu_memory_total_bytes{gpu=\"0\",uuid=\"GPU-11111111\"} 85899345920\n",
        "salver_gpu_power_watts{gpu=\"0\",uuid=\"GPU-11111111\"} 212.5\n",
        "salver_gpu_temperature_celsius{gpu=\"0\",uuid=\"GPU-11111111\"} 61\n",
        "\nsalver_gpu_sample_timestamp_seconds ",
    ];
    // The last that a sample sets.
    let text = until_shown(&house, expect[expect.len() - 1]).await;
    for line in expect {
        assert!(text.contains(line), "{line} is not in {text}");
    }
}

/// The engine is scripted, and so is the failure: all above the seam is as it would be.
#[tokio::test]
async fn a_device_that_fails_costs_its_model_a_reload_and_nobody_else_anything() {
    let fragile = "input x FP32 rows,2\noutput y FP32 rows,2 = double x\non 14 lose\n";
    let files = [("fragile/1/model.fake", fragile), ("sound/1/model.fake", DOUBLE)];
    let house = House::new(&files).await;
    let mut client = house.http().await;
    let (status, text) = client.infer("fragile", &[[14.0, 0.0]]).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{text}");
    assert!(text.contains("the device that it runs on has failed"), "{text}");
    let (status, text) = client.infer("sound", &[[1.0, 2.0]]).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    let count = "salver_device_losses_total{model=\"fragile\",device=\"cpu\"} 1\n";
    until_shown(&house, count).await;
    let again = async {
        while house.fake.loads_begun() < 3 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, again).await.expect("it is loaded again");
    house.shows("fragile/1:AVAILABLE sound/1:AVAILABLE").await;
    let (status, text) = client.infer("fragile", &[[1.0, 2.0]]).await;
    assert_eq!(status, StatusCode::OK, "{text}");
}
