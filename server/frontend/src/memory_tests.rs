use super::*;

use std::fs;

use backend_api::{Shape, Tensor};
use server_regions::Limits;

/// Sixteen bytes of an object under the name `r`; the object goes with the test.
struct Shared16 {
    regions: Regions,
    path: String,
}

impl Shared16 {
    fn new(test: &str) -> Shared16 {
        let key = format!("test_frontend_{test}_{}", std::process::id());
        let path = format!("/dev/shm/{key}");
        fs::write(&path, b"0123456789abcdef").expect("an object");
        let regions = Regions::new(Limits::default());
        regions.register_system("r", &key, (0, 16)).expect("registered");
        Shared16 { regions, path }
    }
}

impl Drop for Shared16 {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path); // nobody else does
    }
}

fn at(offset: u64, bytes: u64) -> At<'static> {
    At { region: "r", offset, bytes }
}

#[test]
fn parameters_name_a_region_and_its_bytes() {
    let check = |given, expect: Result<Option<At<'_>>, &str>| {
        let got = At::new("x", given).map_err(|it| it.to_string());
        assert_eq!(got, expect.map_err(str::to_owned));
    };
    check((None, None, None), Ok(None));
    check((Some("r"), None, Some(4)), Ok(Some(at(0, 4))));
    check((Some("r"), Some(8), Some(4)), Ok(Some(at(8, 4))));
    check((Some("r"), Some(8), None), Err("'x' lacks the parameter 'shared_memory_byte_size'"));
    check((None, None, Some(4)), Err("'x' lacks the parameter 'shared_memory_region'"));
    check((None, Some(4), None), Err("'x' lacks the parameter 'shared_memory_region'"));
}

#[test]
fn all_inputs_of_a_request_share_its_limit() {
    let shared = Shared16::new("limit");
    let mut memory = Memory::over(&shared.regions, 12);
    assert_eq!(memory.input("x", at(4, 8)).expect("room"), "456789ab");
    let error = memory.input("x", at(0, 5)).expect_err("thirteen of twelve");
    assert_eq!(error, InferError::TooLarge { bytes_max: 12 });
    assert_eq!(memory.input("x", at(0, 4)).expect("room"), "0123");
    let error = memory.input("x", at(12, 5)).expect_err("outside").to_string();
    assert!(error.contains("12 + 5, the region has 16 bytes"), "{error}");
}

#[test]
fn outputs_go_where_they_are_wanted() {
    let shared = Shared16::new("outputs");
    let memory = Memory::over(&shared.regions, 12);
    let output = |name: &'static str, data: &[u8]| {
        let shape = Shape::new(&[data.len()]).expect("small");
        let data = Bytes::copy_from_slice(data);
        let tensor = Tensor::new(backend_api::DType::Uint8, shape, data).expect("exact");
        NamedTensor { name: name.into(), tensor }
    };
    let mut targets = Targets::default();
    targets.push(1, memory.output("b", at(2, 4)).expect("within"));
    targets.push(3, memory.output("d", at(8, 2)).expect("within"));
    assert!(targets.at(0).is_none() && targets.at(2).is_none() && targets.at(4).is_none());
    assert_eq!(targets.at(3).map(Span::offset), Some(8));
    let small = [output("a", b"AAA"), output("b", b"BBB"), output("c", b"C"), output("d", b"DD")];
    targets.write(&small).expect("fits");
    assert_eq!(fs::read(&shared.path).expect("read"), b"01BBB567DDabcdef");
    let error =
        targets.write(&[output("a", b""), output("b", b"BBBBB")]).expect_err("five of four");
    assert_eq!(error.kind(), server_base::Kind::Internal);
    assert!(error.to_string().contains("'b' (4 bytes) should be at least 5 bytes"), "{error}");
}
