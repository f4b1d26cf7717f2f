//! The client's own ceiling, measured against an echo of what the server answers.

use super::report::plan;
use super::server::{Echo, Nobody};
use super::{floats, signature};
use crate::ceiling::{Ceiling, settle};

#[test]
fn outputs_get_the_lengths_of_a_real_answer() {
    // port, rows vary, shape of the answer: settled shape
    let table: [(&str, bool, &[usize], &[i64]); 4] = [
        ("y:FP32:-1x-1x2", true, &[1, 3, 2], &[-1, 3, 2]),
        ("y:FP32:-1x2", false, &[3, 2], &[3, 2]),
        ("y:FP32:3x-1", true, &[3, 2], &[3, 2]),
        ("other:FP32:-1x2", true, &[3, 2], &[-1, 2]),
    ];
    for (definition, batched, shape, expected) in table {
        let mut port = signature(&[], &[definition]).outputs.remove(0);
        settle(&mut port, batched, &[floats(shape, &vec![0.0; shape.iter().product()])]);
        assert_eq!(port.shape, expected, "{definition}");
    }
}

#[test]
fn every_protocol_has_a_ceiling() {
    let echo = Echo::start(&["x:FP32:-1x4"], &["y:FP32:-1x3"]);
    let (grpc, http) = (echo.grpc, echo.http);
    // Long enough for an answer on a machine that is busy with other tests.
    for url in [format!("grpc://{grpc}"), format!("http://{http}"), format!("tfs://{http}")] {
        for load in ["--concurrency 1", "--rate 10"] {
            let ceiling = Ceiling::measure(&plan(&format!("--url {url} --ceiling 250ms {load}")));
            let ceiling = ceiling.expect("an echo answers");
            assert!(ceiling.requests_per_s >= ceiling.echo_per_s, "{url}: {ceiling:?}");
            assert!(ceiling.echo_per_s > 0.0 && ceiling.us_per_request > 0.0, "{url}: {ceiling:?}");
        }
    }
    assert_eq!(Ceiling::measure(&plan(&format!("--url {grpc} --ceiling 0s"))), None);
    drop(echo);
    let nobody = Nobody::at(0).unwrap();
    let plan = plan(&format!("--url {}", nobody.address));
    assert_eq!(Ceiling::measure(&plan), None, "nobody answers");
}
