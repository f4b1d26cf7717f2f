use std::time::{Duration, SystemTime};

use backend_api::{Dim, Shape, Signature, Tensor};
use proptest::prelude::*;
use server_base::{Record, Timing};
use smallvec::{SmallVec, smallvec};

use super::*;
use crate::fixture::{form, hour, lists, record, spec, subject};
use crate::parcel::PACKED_BYTES_MAX;
use crate::rows::Form;

/// A version of two inputs, of which the second is logged whole, and two outputs.
fn mixed() -> Form {
    let mut subject = subject("m");
    let rows = |more: &[Dim]| [&[Dim::Rows], more].concat();
    subject.signature = Signature {
        inputs: vec![
            spec("x", DType::Uint8, &rows(&[Dim::Fixed(3)])),
            spec("kept back", DType::Uint8, &rows(&[])),
            spec("t", DType::Uint8, &rows(&[Dim::Free("T".into()), Dim::Free("U".into())])),
        ],
        outputs: vec![
            spec("y", DType::Bytes, &rows(&[])),
            spec("z", DType::Uint8, &[Dim::Free("Z".into())]),
        ],
    };
    subject.config.inputs = Some(vec!["x".to_owned(), "t".to_owned()]);
    form(subject)
}

/// The same, but errors are logged.
fn open() -> Form {
    let mut subject = mixed().subject;
    subject.config.inputs = None;
    form(subject)
}

fn bytes(dims: &[usize]) -> impl Strategy<Value = Tensor> + use<> {
    let (shape, dims) = (Shape::new(dims).expect("a shape"), dims.to_vec());
    prop::collection::vec(any::<u8>(), shape.elements())
        .prop_map(move |it| Tensor::from_elements(&dims, &it).expect("fits"))
}

fn texts(rows: usize) -> impl Strategy<Value = Tensor> {
    prop::collection::vec("[a-zé]{0,9}", rows)
        .prop_map(move |it| Tensor::from_strings(&[rows], &it).expect("fits"))
}

type Sides = (SmallVec<[Tensor; 2]>, SmallVec<[Tensor; 2]>);

/// Inputs and outputs of so many rows, some short, some longer than what is packed, some of them missing.
fn sides(rows: usize) -> impl Strategy<Value = Sides> {
    let long = PACKED_BYTES_MAX / 3;
    let whole = (prop_oneof![0..5_usize, Just(long)], 0..3_usize);
    let whole = whole.prop_flat_map(move |(t, u)| bytes(&[rows, t, u]));
    let inputs = (bytes(&[rows, 3]), bytes(&[rows]), whole);
    let outputs = (texts(rows), (0..4_usize).prop_flat_map(|it| bytes(&[it])));
    (inputs, outputs, 0..4_usize, 0..3_usize).prop_map(|((x, k, t), (y, z), ins, outs)| {
        let (mut inputs, mut outputs): Sides = (smallvec![x, k, t], smallvec![y, z]);
        inputs.truncate(ins);
        outputs.truncate(outs);
        (inputs, outputs)
    })
}

fn failure() -> impl Strategy<Value = Option<(Kind, String)>> {
    let text = prop_oneof!["[a-zé]{0,20}", Just("é".repeat(PACKED_BYTES_MAX))];
    prop::option::of((prop::sample::select(&Kind::ALL[..]), text))
}

/// Any record.
fn any_record() -> impl Strategy<Value = Record> {
    use {Reason as R, Route as W};
    let routes = [W::Direct, W::Shared, W::Shadow, W::Replay];
    let reasons = [R::Uniform, R::Error, R::Slow, R::LowConfidence, R::Disagreement];
    let words = (
        prop::sample::select(&Protocol::ALL[..]),
        prop::sample::select(routes.to_vec()),
        prop::sample::select(reasons.to_vec()),
    );
    let trace = prop::option::of((any::<u128>(), any::<u64>()));
    let names = (any::<u128>(), prop::collection::vec(any::<u8>(), 0..300), trace);
    let times = (any::<u32>(), any::<[u32; 3]>(), 0..99_usize, 0.0..1.0_f32);
    let drawn = prop::option::of((any::<f32>(), prop::option::of("[a-z]{1,4}")));
    let pair = prop::option::of(any::<u128>());
    let tensors = (1..4_usize).prop_flat_map(|rows| (Just(rows), sides(rows)));
    (words, names, times, (pair, drawn), failure(), tensors).prop_map(
        |(words, names, (time, took, batch_rows, probability), links, failure, tensors)| {
            let (rows, (inputs, outputs)) = tensors;
            let micros = |it: u32| Duration::from_micros(it.into());
            let [latency, queue, compute_infer] = took.map(micros);
            Record {
                event: EventId(names.0),
                request_id: SmallVec::from_vec(names.1),
                trace: names.2.map(|(trace, span)| Trace { trace, span }),
                time: SystemTime::UNIX_EPOCH + micros(time),
                protocol: words.0,
                route: words.1,
                inputs: inputs.into_iter().collect(),
                held: 0,
                outputs: outputs.into_iter().collect(),
                rows,
                failure,
                timing: Timing { queue, compute_infer, batch_rows, ..Timing::default() },
                latency,
                probability,
                reason: words.2,
                pair: links.0.map(EventId),
                drawn: links
                    .1
                    .map(|(weight, rollout)| Drawn { weight, rollout: rollout.map(Arc::from) }),
            }
        },
    )
}

/// What is in the list is what was in the record.
fn check(entry: &Entry<'_>, record: &Record, form: &Form) {
    let head = entry.head;
    assert_eq!((head.event, entry.request_id()), (record.event, &record.request_id[..]));
    assert_eq!((entry.trace(), entry.pair()), (record.trace, record.pair));
    assert_eq!(entry.drawn(), record.drawn.as_ref());
    assert_eq!(head.time, record.time);
    assert_eq!((head.protocol, head.route), (record.protocol, record.route));
    assert_eq!((head.reason, head.probability), (record.reason, record.probability));
    assert_eq!((entry.rows(), head.batch_rows as usize), (record.rows, record.timing.batch_rows));
    let took = [record.latency, record.timing.queue, record.timing.compute_infer];
    assert_eq!([head.latency_us, head.queue_us, head.infer_us], took.map(duration));
    assert_eq!(head.failure, record.failure.as_ref().map(|it| it.0));
    let error = record.failure.as_ref().map(|it| &it.1[..]);
    assert_eq!(entry.error(), error.filter(|_| !form.subject.config.redacts()));
    let [inputs, outputs] = form.sides(record).map(|(tensors, logged)| {
        logged.iter().map(|it| (it, tensors.get(it.place))).collect::<Vec<_>>()
    });
    for (number, (logged, tensor)) in inputs.into_iter().chain(outputs).enumerate() {
        let is_whole = logged.layout == Layout::Whole;
        let expect = tensor.map(|it| View {
            dtype: it.dtype,
            elements: it.elements,
            dims: if is_whole { it.dims } else { &[] },
            data: it.data,
        });
        assert_eq!(entry.tensor(number), expect, "tensor {number}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_comes_out_is_what_went_in(
        records in prop::collection::vec(any_record(), 0..20),
        keeps_back in any::<bool>(),
    ) {
        let version = Version::new(if keeps_back { mixed() } else { open() });
        let mut lists = lists(&version, &records);
        // Once more into the same memory.
        for _ in 0..2 {
            let entries: Vec<_> = lists.iter().flat_map(List::entries).collect();
            prop_assert_eq!(entries.len(), records.len());
            for (entry, record) in entries.iter().zip(&records) {
                check(entry, record, &version.form);
            }
            let mut emptied = std::mem::take(&mut lists);
            emptied.iter_mut().for_each(List::clear);
            lists = crate::fixture::lists_in(emptied, &version, &records);
        }
    }
}

#[test]
fn what_is_not_logged_is_not_in_memory() {
    let version = Version::new(mixed());
    let mut of = record(hour(1), 1);
    let secret = Tensor::from_elements(&[1], &[7_u8]).expect("fits");
    let whole = Tensor::from_elements(&[1, 1, 1], &[3_u8]).expect("fits");
    let x = Tensor::from_elements(&[1, 3], &[0_u8, 1, 2]).expect("fits");
    of.inputs = [x, secret, whole].into();
    of.outputs.clear();
    of.failure = Some((Kind::Invalid, "it quotes a 7".to_owned()));
    let lists = lists(&version, &[of]);
    assert_eq!(lists[0].values, [0, 1, 2, 3]);
    assert_eq!(lists[0].held.len(), 0);
}

/// Numbers of records in the lists that are filled by `records` of so many bytes each, and how many of
/// these are held.
fn filled(records: usize, length: usize) -> (Vec<usize>, usize) {
    let mut subject = subject("m");
    subject.signature.inputs = vec![spec("x", DType::Uint8, &[Dim::Rows, Dim::Free("T".into())])];
    let mut one = record(hour(1), 1);
    one.inputs = [Tensor::from_elements(&[1, length], &vec![1_u8; length]).expect("fits")].into();
    one.outputs.clear();
    let records = vec![one; records];
    let lists = lists(&Version::new(form(subject)), &records);
    for entry in lists.iter().flat_map(List::entries) {
        assert_eq!(entry.tensor(0).map(|it| it.data.len()), Some(length));
    }
    let room =
        |it: &List| it.heads.capacity() == LIST_RECORDS && it.values.capacity() == LIST_BYTES;
    assert!(lists.iter().all(room), "none has grown");
    (lists.iter().map(List::len).collect(), lists.iter().map(|it| it.held.len()).sum())
}

#[test]
fn a_list_is_full_when_any_of_its_rooms_is() {
    assert_eq!(filled(LIST_RECORDS + 1, 10), (vec![LIST_RECORDS, 1], 0));
    // To the last byte, and one more than that.
    assert_eq!(filled(LIST_RECORDS + 1, 256), (vec![LIST_RECORDS, 1], 0));
    assert_eq!(filled(LIST_RECORDS, 257), (vec![LIST_BYTES / 257, 1], 0));
    assert_eq!(filled(17, PACKED_BYTES_MAX), (vec![16, 1], 0));
    // The text and the value of each.
    assert_eq!(filled(17, PACKED_BYTES_MAX + 1), (vec![17], 34));
    let weigh = LIST_WEIGHT_MAX / 3;
    assert_eq!(filled(4, weigh).0, [2, 2], "each weighs more than its value alone");
}

#[test]
fn a_record_of_more_tensors_than_a_list_has_room_for_has_one_to_itself() {
    let mut subject = subject("m");
    let x = |it: usize| spec(&format!("x{it}"), DType::Uint8, &[Dim::Rows]);
    subject.signature.inputs = (0..=LIST_TENSORS).map(x).collect();
    let version = Version::new(form(subject));
    let records = [record(hour(1), 1), record(hour(1), 1)];
    let mut lists = lists(&version, &records);
    assert_eq!(lists.iter().map(List::len).collect::<Vec<_>>(), [1, 1]);
    lists[0].clear();
    assert!(lists[0].slots.capacity() <= 2 * LIST_TENSORS);
    assert_eq!((lists[0].len(), lists[0].bytes(), lists[0].versions.len()), (0, 0, 0));
}

#[test]
fn versions_are_told_apart() {
    let versions = [0, 1].map(|_| Version::new(form(subject("m"))));
    let (of, mut list) = (record(hour(1), 1), List::with_room());
    for place in [0, 1, 0, 0, 1] {
        list.put(&mut Parcel::new(&of, &versions[place]).expect("can be a row"), None);
    }
    let got: Vec<u64> = list.entries().map(|it| it.version.id).collect();
    let [first, second] = [versions[0].id, versions[1].id];
    assert_eq!(got, [first, second, first, first, second]);
    assert_eq!(list.versions.len(), 2);
    list.clear();
    assert_eq!(Arc::strong_count(&versions[0]), 1);
}

#[test]
fn whoever_waits_is_known_by_the_place() {
    let version = Version::new(form(subject("m")));
    let (of, mut list) = (record(hour(1), 1), List::with_room());
    for waits in [false, true, false, true] {
        let told: Option<Told> = waits.then(|| Box::new(|_| ()) as Told);
        list.put(&mut Parcel::new(&of, &version).expect("can be a row"), told);
    }
    let places = |it: Vec<(usize, Told)>| it.iter().map(|it| it.0).collect::<Vec<_>>();
    assert_eq!(places(list.take_told()), [1, 3]);
    assert!(list.take_told().is_empty());
}
