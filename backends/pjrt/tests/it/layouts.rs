//! Results that a program does not lay out row after row.

use std::fs;

use backend_api::{Backend as _, Options, Output, Tensor};

use super::pjrt;

/// As exporters write it where a result is to be laid out otherwise.
const COLUMNS: &str = r#"module @columns attributes {mhlo.num_partitions = 1 : i32, mhlo.num_replicas = 1 : i32} {
  func.func public @main(%arg0: tensor<2x3xf32>) -> (tensor<2x3xf32> {mhlo.layout_mode = "{0,1}"}) {
    %0 = stablehlo.add %arg0, %arg0 : tensor<2x3xf32>
    return %0 : tensor<2x3xf32>
  }
}"#;

const MANIFEST: &str = r#"
inputs = [{ name = "x", datatype = "FP32", shape = [2, 3] }]
outputs = [{ name = "y", datatype = "FP32", shape = [2, 3] }]
"#;

#[test]
fn columns_come_out_as_rows() {
    let Some(pjrt) = pjrt() else { return };
    let folder = tempfile::tempdir().expect("scratch");
    let path = folder.path().join("model.stablehlo");
    fs::write(&path, COLUMNS).expect("write");
    fs::write(path.with_extension("stablehlo.toml"), MANIFEST).expect("write");
    let model = pjrt.load(&path, &Options::default()).expect("loads");
    let mut instance = model.instance(&model.devices()[0]).expect("an instance");
    let x = Tensor::from_elements(&[2, 3], &[1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0]).expect("fits");
    let mut outputs = vec![Output::prepare(&model.signature().outputs[0], 2)];
    instance.run(&[x], &mut outputs).expect("runs");
    let y = outputs.remove(0).into_tensor().expect("an output");
    assert_eq!(y.view::<f32>(), Some(&[2.0, 4.0, 6.0, 8.0, 10.0, 12.0][..]));
}
