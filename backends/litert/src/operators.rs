//! Operators that the library has not, as it says it.
//!
//! Pure. There is no status of its own for them: a graph that cannot be laid out may just want other lengths.

/// How the library begins to name one: unknown to the format, of a version that it does not know, TensorFlow's own.
const BEGINNINGS: [&str; 3] = [
    "Encountered unresolved custom op: ",
    "Didn't find op for builtin opcode ",
    "Select TensorFlow op(s)",
];

/// What `edgetpu_compiler` writes: the part of the graph that an Edge TPU computes.
const EDGETPU: &str = "edgetpu-custom-op";

/// Why nothing of the model can run, if the library's words say that it lacks an operator.
pub(crate) fn lacking(words: &str) -> Option<String> {
    BEGINNINGS.iter().find(|it| words.contains(**it))?;
    if words.contains(EDGETPU) {
        return Some(format!(
            "the file was compiled for an Edge TPU ('{EDGETPU}'), which computes it with device = \"edgetpu\"; for \
             the processor take the file that edgetpu_compiler was given"
        ));
    }
    Some(format!(
        "{words}: an operator that LiteRT lacks. A delegate may have it ([litert] delegate = \"FILE\"); else convert \
         the model with the format's own operators, or to ONNX, StableHLO or safetensors for another engine"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_operator_that_is_lacking_is_one() {
        let of = |words: &str| lacking(words).unwrap_or_default();
        let custom =
            of("Encountered unresolved custom op: AcmeFrob.; Node number 0 failed to prepare.");
        assert!(custom.starts_with("Encountered unresolved custom op: AcmeFrob."), "{custom}");
        assert!(custom.contains("delegate"), "{custom}");
        assert!(of("Didn't find op for builtin opcode 'ADD' version '99'").contains("'ADD'"));
        let compiled = of("Encountered unresolved custom op: edgetpu-custom-op.");
        assert!(compiled.contains("device = \"edgetpu\""), "{compiled}");
        assert_eq!(lacking("tensorflow/lite/kernels/reshape.cc:92 num_input_elements != 8"), None);
    }
}
