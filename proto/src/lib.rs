//! Wire types of Salver's gRPC surfaces, generated from the `.proto` files beside this crate.
//!
//! Used by `server-frontend`, the command line client and `loadtest`; uses nothing of ours.
//! The generated code is committed, so that building needs no protobuf compiler;
//! `tests/generated.rs` fails when it is older than its source and rewrites it on request.

/// The Open Inference Protocol (package `inference`).
#[allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated code")]
#[rustfmt::skip]
pub mod inference {
    include!("generated/inference.rs");
}

/// The encoded `FileDescriptorSet` of [`inference`], for server reflection.
pub const INFERENCE_DESCRIPTOR_SET: &[u8] = include_bytes!("generated/inference.bin");

/// Ground truth (package `salver.v1`).
#[allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated code")]
#[rustfmt::skip]
pub mod salver {
    include!("generated/labels.rs");
}

/// The encoded `FileDescriptorSet` of [`salver`].
pub const LABELS_DESCRIPTOR_SET: &[u8] = include_bytes!("generated/labels.bin");
