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
    let named = |index, memory: Option<u64>| Gpu {
        index,
        name: Some("G".to_owned()),
        memory: memory.map(|free| Memory { total: 100, used: 100 - free, free }),
        fault: memory.is_none().then(fault),
        ..Gpu::default()
    };
    let gpus = [named(0, Some(60)), named(1, None), named(2, Some(5))];
    let place = |number, free: Result<u64, &str>| {
        let free = free.map_err(str::to_owned);
        server_lifecycle::Gpu { number, name: "G".to_owned(), free }
    };
    let lost = Err("nvmlInit: GPU is lost (NVML error 15)");
    let all = vec![place(0, Ok(60)), place(1, lost), place(2, Ok(5))];
    assert_eq!(places(&gpus, &Visible::default()), Some(all));
    let visible = Visible { devices: Some("2,1".to_owned()), ..Visible::default() };
    assert_eq!(places(&gpus, &visible), Some(vec![place(0, Ok(5)), place(1, lost)]));
    let visible = Visible { devices: Some("MIG-x".to_owned()), ..Visible::default() };
    assert_eq!(places(&gpus, &visible), None);
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
