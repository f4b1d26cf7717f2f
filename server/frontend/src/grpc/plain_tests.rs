use super::*;

use proptest::prelude::*;
use prost::Message as _;
use proto::inference::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use proto::inference::{InferParameter, InferTensorContents, ModelInferRequest};

use crate::grpc::decode;
use crate::memory::Memory;

const PATIENCE: Option<Duration> = Some(Duration::from_secs(1));

/// What the generated decoder reads.
fn generated<'a>(message: &Bytes) -> Option<(String, InferRequest<'a>)> {
    let message = ModelInferRequest::decode(message.clone()).ok()?;
    let (id, version) = (message.id.clone(), VersionChoice::parse(&message.model_version).ok()?);
    Some((id, decode::request(message, version, PATIENCE, &mut Memory::off()).ok()?.0))
}

/// Both read the same, or the plain reader leaves it. Tells whether it was read.
fn check(message: &[u8]) -> bool {
    let message = Bytes::copy_from_slice(message);
    let Some(Plain { request, id }) = read(&message, PATIENCE) else { return false };
    let id = String::from_utf8(id.to_vec()).expect("text");
    assert_eq!(Some((id, request)), generated(&message), "{message:?}");
    true
}

fn input(name: String, shape: Vec<i64>) -> InferInputTensor {
    InferInputTensor { name, datatype: "UINT8".to_owned(), shape, ..Default::default() }
}

/// A message that clients send.
fn message() -> impl Strategy<Value = ModelInferRequest> {
    let text = || ".{0,3}";
    let tensors = prop::collection::vec((text(), prop::collection::vec(0_i64..200, 0..3)), 1..4);
    let outputs = prop::collection::vec(text(), 0..3);
    let version = prop::sample::select(vec!["", "3", "stable"]);
    (text(), version, text(), tensors, outputs).prop_map(
        |(model, version, id, tensors, outputs)| {
            let raw = |(_, shape): &(String, Vec<i64>)| {
                let elements: i64 = shape.iter().product();
                vec![7_u8; elements.try_into().expect("small")].into()
            };
            let wanted = |name| InferRequestedOutputTensor { name, ..Default::default() };
            ModelInferRequest {
                model_name: model,
                model_version: version.to_owned(),
                id,
                raw_input_contents: tensors.iter().map(raw).collect(),
                inputs: tensors.into_iter().map(|(name, shape)| input(name, shape)).collect(),
                outputs: outputs.into_iter().map(wanted).collect(),
                ..Default::default()
            }
        },
    )
}

/// Pieces that may stand in any order between the fields of a message.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let part = |it: ModelInferRequest| it.encode_to_vec();
    let named =
        |name: &str| ModelInferRequest { model_name: name.to_owned(), ..Default::default() };
    let parameters = [("timeout".to_owned(), InferParameter::default())].into();
    let contents = Some(InferTensorContents { uint_contents: vec![1], ..Default::default() });
    let typed = InferInputTensor { contents, ..input("t".to_owned(), vec![1]) };
    prop::sample::select(vec![
        part(named("again")),
        part(ModelInferRequest { model_version: "1".to_owned(), ..Default::default() }),
        part(ModelInferRequest { id: "again".to_owned(), ..Default::default() }),
        part(ModelInferRequest { parameters, ..Default::default() }),
        part(ModelInferRequest { inputs: vec![typed], ..Default::default() }),
        part(ModelInferRequest { raw_input_contents: vec![Bytes::new()], ..Default::default() }),
        // An input with its shape one by one, packed and one by one again, then its elements.
        b"\x2a\x10\x0a\x01u\x12\x05UINT8\x18\x02\x1a\x00\x18\x01\x3a\x02ab".to_vec(),
        // The same number in more bytes than it needs.
        b"\x8a\x00\x01w".to_vec(),
        b"\x0a\x81\x00w".to_vec(),
        // Unknown fields of every wire type, a group among them.
        b"\xb0\x06\x96\x01".to_vec(),
        b"\xb1\x0612345678".to_vec(),
        b"\xb2\x06\x03abc".to_vec(),
        b"\xb3\x06\xb0\x06\x01\xb4\x06".to_vec(),
        b"\xb5\x061234".to_vec(),
        // Known fields of a wrong one, and none at all.
        b"\x08\x01".to_vec(),
        b"\x2d1234".to_vec(),
        b"\x02\x00".to_vec(),
        b"\x0a\x02\xff\xfe".to_vec(),
    ])
}

proptest! {
    #[test]
    fn what_clients_send_is_read(message in message()) {
        prop_assert!(check(&message.encode_to_vec()), "{message:?}");
    }

    #[test]
    fn in_pieces_it_is_the_same_or_left(
        message in message(),
        before in prop::collection::vec(piece(), 0..3),
        after in prop::collection::vec(piece(), 0..3),
    ) {
        let message = message.encode_to_vec();
        check(&[before.concat(), message, after.concat()].concat());
    }

    #[test]
    fn damaged_it_is_the_same_or_left(
        message in message(),
        at in 0_usize..60,
        length in 0_usize..4,
        noise in prop::collection::vec(any::<u8>(), 0..4),
    ) {
        let mut bytes = message.encode_to_vec();
        let at = at.min(bytes.len());
        let end = (at + length).min(bytes.len());
        bytes.splice(at..end, noise);
        check(&bytes);
    }
}

#[test]
fn what_is_unknown_is_skipped_and_the_last_value_counts() {
    let input = b"\x2a\x10\x0a\x01u\x12\x05UINT8\x18\x02\x1a\x00\x18\x01\x3a\x02ab";
    let message = [&b"\xb0\x06\x96\x01\x0a\x01m"[..], input, b"\xb5\x061234\x0a\x01n"].concat();
    assert!(check(&message));
    assert_eq!(
        read(&Bytes::from(message), None).map(|it| it.request.model.into_owned()),
        Some("n".to_owned())
    );
}

#[test]
fn nothing_is_copied() {
    let inputs = vec![self::input("x".to_owned(), vec![3])];
    let raw_input_contents = vec![Bytes::from_static(b"abc")];
    let message = ModelInferRequest { inputs, raw_input_contents, ..Default::default() };
    let message = Bytes::from(message.encode_to_vec());
    let plain = read(&message, None).expect("plain");
    let inside = |it: *const u8| message.as_ptr_range().contains(&it);
    assert!(inside(plain.request.inputs[0].tensor.data().as_ptr()));
    assert!(inside(plain.request.inputs[0].name.as_ptr()));
}
