use super::*;

fn args() -> ServeArgs {
    ServeArgs { model_repository: Some("models".into()), ..ServeArgs::default() }
}

#[test]
fn flags_win_over_the_file_and_the_file_over_defaults() {
    let file = "http_port = 9000\ngrpc_port = 9001\nlog_format = \"json\"\nhost = \"127.0.0.1\"\n";
    let flags = ServeArgs { http_port: Some(7000), ..args() };
    let settings = Settings::new(flags, Some(file)).expect("no faults");
    assert_eq!((settings.http_port, settings.grpc_port, settings.metrics_port), (7000, 9001, 8002));
    assert_eq!(settings.log_format, LogFormat::Json);
    assert_eq!(settings.host.to_string(), "127.0.0.1");
}

#[test]
fn the_repository_may_come_from_the_file() {
    let file = "model_repository = \"/models\"";
    let settings = Settings::new(ServeArgs::default(), Some(file)).expect("no faults");
    assert_eq!(settings.model_repository, PathBuf::from("/models"));
}

#[test]
fn every_fault_is_reported_with_its_key() {
    let file = "http_port = 70000\nhots = \"x\"\ndrain_timeout_s = \"long\"\n";
    let faults = Settings::new(ServeArgs::default(), Some(file)).expect_err("faults");
    assert_eq!(faults.len(), 4, "{faults:?}");
    assert_eq!(faults[0], "http_port: 70000 is not a whole number from 0 to 65535");
    assert_eq!(faults[1], "drain_timeout_s: \"long\" is not a whole number from 0 to 86400");
    assert_eq!(
        faults[2],
        "model_repository: is not set: name the folder that holds the models, or a --model of a registry"
    );
    assert!(
        faults[3].starts_with("hots: unknown key; known are allow_client_cuda_shm, "),
        "{faults:?}"
    );
}

#[test]
fn settings_that_contradict_each_other_are_faults() {
    let flags = ServeArgs {
        metrics_port: Some(8000),
        in_flight_bytes_max: Some(10),
        instances: Some(0),
        ..args()
    };
    let faults = Settings::new(flags, None).expect_err("faults");
    assert_eq!(
        faults,
        [
            "instances: 0 is not a whole number from 1 to 256",
            "metrics_port: 8000 is the http_port too",
            "in_flight_bytes_max: 10 is less than request_bytes_max, 67108864",
        ]
    );
}

#[test]
fn one_port_for_both_protocols_is_fine() {
    let flags = ServeArgs { http_port: Some(8080), grpc_port: Some(8080), ..args() };
    Settings::new(flags, None).expect("either port speaks both");
}

#[test]
fn flags_keep_to_the_ranges_of_the_file() {
    let huge = u64::MAX;
    let flags = ServeArgs {
        worker_threads: Some(0),
        loader_threads: Some(257),
        scan_interval_ms: Some(0),
        rest_ms: Some(huge),
        request_bytes_max: Some(0),
        in_flight_requests_max: Some(0),
        in_flight_bytes_max: Some(usize::MAX),
        connections_max: Some(1 << 21),
        client_shm_bytes_max: Some(0),
        drain_timeout_s: Some(huge),
        log_level: Some("info=loud".to_owned()),
        ..args()
    };
    let faults = Settings::new(flags, Some("http_port = 70000")).expect_err("faults");
    let expect = [
        "http_port: 70000 is not a whole number from 0 to 65535",
        "worker_threads: 0 is not a whole number from 1 to 256",
        "loader_threads: 257 is not a whole number from 1 to 256",
        "scan_interval_ms: 0 is not a whole number from 10 to 86400000",
        "rest_ms: 18446744073709551615 is not a whole number from 0 to 86400000",
        "request_bytes_max: 0 is not a whole number from 1 to 2147483647",
        "in_flight_requests_max: 0 is not a whole number from 1 to 9223372036854775807",
        "in_flight_bytes_max: 18446744073709551615 is not a whole number from 1 to 9223372036854775807",
        "connections_max: 2097152 is not a whole number from 1 to 1048576",
        "client_shm_bytes_max: 0 is not a whole number from 1 to 9223372036854775807",
        "drain_timeout_s: 18446744073709551615 is not a whole number from 0 to 86400",
        "log_level: \"info=loud\": error parsing level filter: expected one of \"off\", \"error\", \"warn\", \"info\", \"debug\", \"trace\", or a number 0-5",
    ];
    assert_eq!(faults, expect);
}

#[test]
fn more_threads_than_cores_are_doubted() {
    let check = |instances: usize, worker_threads: usize, expect: &[&str]| {
        let flags = ServeArgs {
            instances: Some(instances),
            worker_threads: Some(worker_threads),
            ..args()
        };
        let mut settings = Settings::new(flags, None).expect("allowed");
        settings.cores = 4;
        assert_eq!(settings.doubts(), expect);
    };
    check(4, 4, &[]);
    check(5, 4, &["instances: 5, and there are 4 cores"]);
    check(1, 9, &["worker_threads: 9, and there are 4 cores"]);
}

#[test]
fn clients_share_no_memory_unless_they_may() {
    let check = |file: &str, expect: Option<u64>| {
        let settings = Settings::new(args(), Some(file)).expect("no faults");
        assert_eq!(settings.regions.map(|it| it.bytes_max), expect, "{file}");
    };
    check("", None);
    check("client_shm_bytes_max = 9", None);
    check("allow_client_shm = true", Some(4 << 30));
    check("allow_client_shm = true\nclient_shm_bytes_max = 9", Some(9));
    let flags = ServeArgs { allow_client_shm: Some(false), ..args() };
    let settings = Settings::new(flags, Some("allow_client_shm = true")).expect("no faults");
    assert_eq!(settings.regions, None, "the flag counts");
    let faults = Settings::new(args(), Some("allow_client_cuda_shm = true")).expect_err("a fault");
    let says = "allow_client_cuda_shm: true needs allow_client_shm, which is false";
    assert!(faults.contains(&says.to_owned()), "{faults:?}");
}

#[test]
#[cfg(not(feature = "rollouts"))]
fn settings_of_rollouts_are_faults_where_there_are_none() {
    let file = "rollout_share = 'file:/mnt/share'\n";
    let flags = ServeArgs { rollout_interval_ms: Some(1_000), ..args() };
    let faults = Settings::new(flags, Some(file)).expect_err("nobody would act on them");
    let missing = "this build is without rollouts, which `--features rollouts` adds";
    let expect = ["rollout_share", "rollout_interval_ms"].map(|it| format!("{it}: {missing}"));
    assert_eq!(faults, expect);
    assert!(Settings::new(args(), None).is_ok());
}
