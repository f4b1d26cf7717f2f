//! Tests of the parts that decide, and one of the whole against the echo server.
//! Nothing sleeps and nothing asserts a time.

mod arrivals;
mod bracket;
mod ceiling;
mod check;
mod compare;
mod deadline;
mod end_to_end;
mod faults;
mod json;
mod mix;
mod options;
mod payload;
mod picture;
mod recorded;
mod report;
mod search;
mod server;
mod sweep;
mod tfs;
mod window;

use crate::signature::{Port, Signature};
use crate::tensor::{Datatype, Tensor};

/// A signature from definitions such as `x:FP32:-1x4`.
fn signature(inputs: &[&str], outputs: &[&str]) -> Signature {
    let ports = |texts: &[&str]| texts.iter().map(|it| Port::parse(it).unwrap()).collect();
    Signature {
        model: "m".to_owned(),
        versions: vec!["1".to_owned()],
        inputs: ports(inputs),
        outputs: ports(outputs),
    }
}

/// An FP32 tensor named `y`.
fn floats(shape: &[usize], values: &[f32]) -> Tensor {
    let data: Vec<u8> = values.iter().flat_map(|it| it.to_le_bytes()).collect();
    Tensor::new("y".to_owned(), Datatype::Fp32, shape.to_vec(), data.into()).unwrap()
}

/// The whole chain of an error, as users see it.
fn shown<T>(result: anyhow::Result<T>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(error) => format!("{error:#}"),
    }
}
