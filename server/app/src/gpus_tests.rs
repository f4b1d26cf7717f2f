use backend_nvml::Memory;

use super::*;
use crate::recorder::Recorded;

fn gpu() -> Gpu {
    Gpu {
        uuid: Some("GPU-1".to_owned()),
        memory: Some(Memory { total: 100, used: 40, free: 60 }),
        utilization: Some(37),
        power_milliwatts: Some(212_500),
        celsius: Some(61),
        ecc_errors: Some(3),
        ..Gpu::default()
    }
}

fn fault() -> NvmlError {
    NvmlError::Call { call: "nvmlInit", code: 15, words: "GPU is lost".to_owned() }
}

#[test]
fn models_are_placed_by_the_numbers_of_engines() {
    let named = |index, memory: Option<u64>, fault| Gpu {
        index,
        name: Some("G".to_owned()),
        memory: memory.map(|free| Memory { total: 100, used: 100 - free, free }),
        fault,
        ..Gpu::default()
    };
    let words = "Insufficient Permissions".to_owned();
    let barred = NvmlError::Call { call: "nvmlDeviceGetMemoryInfo", code: 4, words };
    let gpus = [
        named(0, Some(60), None),
        named(1, None, Some(fault())),
        named(2, Some(5), None),
        named(3, None, None),
        named(4, None, Some(barred)),
    ];
    let place = |number, free: Free| server_lifecycle::Gpu { number, name: "G".to_owned(), free };
    let lost = Free::Failed("nvmlInit: GPU is lost (NVML error 15)".to_owned());
    let all = vec![
        place(0, Free::Bytes(60)),
        place(1, lost.clone()),
        place(2, Free::Bytes(5)),
        place(3, Free::Unsaid),
        place(4, Free::Unsaid),
    ];
    assert_eq!(places(&gpus, &Visible::default()), Some(all));
    let visible = Visible { devices: Some("2,1".to_owned()), ..Visible::default() };
    let two = vec![place(0, Free::Bytes(5)), place(1, lost)];
    assert_eq!(places(&gpus, &visible), Some(two));
    let visible = Visible { devices: Some("MIG-x".to_owned()), ..Visible::default() };
    assert_eq!(places(&gpus, &visible), None);
}

/// A driver that keeps its callers waiting, until it is let go.
#[test]
fn who_asks_gets_a_new_sample_or_none_in_time() {
    let ((asking, asked), (go, gate)) = (sync_channel(ASKING_MAX), sync_channel(0));
    let mut samples = 0;
    let driver = thread::spawn(move || {
        sample_all(&asked, || {
            let _ = gate.recv();
            samples += 1;
            Ok(vec![Gpu { index: samples, ..Gpu::default() }])
        });
    });
    assert_eq!(ask(&asking, Duration::ZERO), None, "the driver hangs");
    let asker = asking.clone();
    let answer = thread::spawn(move || ask(&asker, Duration::from_secs(20)));
    while !answer.is_finished() {
        let _ = go.try_send(());
        thread::yield_now();
    }
    let sample = answer.join().expect("lives").expect("in time").expect("GPUs");
    assert!(sample.first().is_some_and(|it| it.index > 1), "{sample:?} was begun before");
    for _ in 0..ASKING_MAX {
        assert_eq!(ask(&asking, Duration::ZERO), None);
    }
    drop((asking, go));
    driver.join().expect("it ends with those who might ask");
}

/// The lines that are shown after these samples, without heads and without the time.
#[track_caller]
fn check(samples: &[Result<Vec<Gpu>, NvmlError>], expect: &[&str]) {
    let recorded = Recorded::new(SERIES);
    metrics::with_local_recorder(&recorded, || {
        let mut shown = Shown::default();
        samples.iter().for_each(|it| shown.show(it));
    });
    let text = recorded.render();
    let lines = text.lines().filter(|it| !it.is_empty() && !it.starts_with('#'));
    let lines: Vec<&str> = lines.filter(|it| !it.starts_with(SAMPLED)).collect();
    assert_eq!(lines, expect);
}

const LOST: [&str; 8] = [
    "salver_gpu_ecc_uncorrected_errors_total{gpu=\"0\",uuid=\"GPU-1\"} 3",
    "salver_gpu_memory_total_bytes{gpu=\"0\",uuid=\"GPU-1\"} NaN",
    "salver_gpu_memory_used_bytes{gpu=\"0\",uuid=\"GPU-1\"} NaN",
    "salver_gpu_power_limit_watts{gpu=\"0\",uuid=\"GPU-1\"} NaN",
    "salver_gpu_power_watts{gpu=\"0\",uuid=\"GPU-1\"} NaN",
    "salver_gpu_temperature_celsius{gpu=\"0\",uuid=\"GPU-1\"} NaN",
    "salver_gpu_up{gpu=\"0\",uuid=\"GPU-1\"} 0",
    "salver_gpu_utilization_ratio{gpu=\"0\",uuid=\"GPU-1\"} NaN",
];

#[test]
fn a_gpu_shows_what_it_says() {
    let expect = [
        "salver_gpu_ecc_uncorrected_errors_total{gpu=\"0\",uuid=\"GPU-1\"} 3",
        "salver_gpu_memory_total_bytes{gpu=\"0\",uuid=\"GPU-1\"} 100",
        "salver_gpu_memory_used_bytes{gpu=\"0\",uuid=\"GPU-1\"} 40",
        "salver_gpu_power_limit_watts{gpu=\"0\",uuid=\"GPU-1\"} NaN",
        "salver_gpu_power_watts{gpu=\"0\",uuid=\"GPU-1\"} 212.5",
        "salver_gpu_temperature_celsius{gpu=\"0\",uuid=\"GPU-1\"} 61",
        "salver_gpu_up{gpu=\"0\",uuid=\"GPU-1\"} 1",
        "salver_gpu_utilization_ratio{gpu=\"0\",uuid=\"GPU-1\"} 0.37",
    ];
    check(&[Ok(vec![gpu()])], &expect);
    let lost = Gpu { fault: Some(fault()), ..Gpu::default() };
    check(
        &[Ok(vec![lost]), Ok(vec![])],
        &[
            "salver_gpu_memory_total_bytes{gpu=\"0\",uuid=\"unknown\"} NaN",
            "salver_gpu_memory_used_bytes{gpu=\"0\",uuid=\"unknown\"} NaN",
            "salver_gpu_power_limit_watts{gpu=\"0\",uuid=\"unknown\"} NaN",
            "salver_gpu_power_watts{gpu=\"0\",uuid=\"unknown\"} NaN",
            "salver_gpu_temperature_celsius{gpu=\"0\",uuid=\"unknown\"} NaN",
            "salver_gpu_up{gpu=\"0\",uuid=\"unknown\"} 0",
            "salver_gpu_utilization_ratio{gpu=\"0\",uuid=\"unknown\"} NaN",
        ],
    );
}

#[test]
fn one_that_is_lost_keeps_its_series_and_no_old_numbers() {
    let lost = Gpu { fault: Some(fault()), ..Gpu::default() };
    check(&[Ok(vec![gpu()]), Ok(vec![lost])], &LOST);
    check(&[Ok(vec![gpu()]), Err(fault())], &LOST);
    check(&[Err(fault())], &[]);
}
