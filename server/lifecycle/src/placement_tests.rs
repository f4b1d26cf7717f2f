use super::*;
use crate::fault::Fault;

const MIB: u64 = 1 << 20;

fn gpu(number: u32, free: Result<u64, &str>) -> Gpu {
    let free = free.map_or_else(|it| Free::Failed(it.to_owned()), |it| Free::Bytes(it * MIB));
    Gpu { number, name: "G".to_owned(), free }
}

fn unsaid(number: u32) -> Gpu {
    Gpu { number, name: "G".to_owned(), free: Free::Unsaid }
}

/// The order, or the fault and its reason, of a model that takes 100 MiB.
#[track_caller]
fn check(wish: &str, gpus: &[Gpu], expect: Result<&[u32], (Fault, &str)>) {
    let need = Need { bytes: 100 * MIB, avoid: None };
    let order = choose(&wish.parse().expect("a wish"), need, gpus);
    let order = order.as_deref().map_err(|it| (it.fault, it.reason.as_str()));
    assert_eq!(order, expect, "{wish} of {gpus:?}");
}

#[test]
fn auto_takes_the_emptiest_that_has_room() {
    check("auto", &[], Ok(&[]));
    check("auto", &[gpu(0, Ok(99)), gpu(1, Err("lost"))], Ok(&[]));
    let gpus = [gpu(0, Ok(200)), gpu(1, Ok(99)), gpu(2, Ok(300)), gpu(3, Ok(200))];
    check("auto", &gpus, Ok(&[2, 0, 3]));
    let need = Need { bytes: MIB, avoid: Some(2) };
    assert_eq!(choose(&DeviceWish::Auto, need, &gpus), Ok(vec![0, 3, 1]));
    check("cpu", &gpus, Ok(&[]));
}

#[test]
fn what_does_not_say_its_memory_is_taken_last_and_not_refused() {
    check("auto", &[unsaid(0), gpu(1, Ok(100)), gpu(2, Err("lost")), gpu(3, Ok(99))], Ok(&[1, 0]));
    check("auto", &[unsaid(1), unsaid(0)], Ok(&[0, 1]));
    check("cuda:0", &[unsaid(0)], Ok(&[0]));
    let failed = "device cuda:0 has failed (lost): there is room on cuda:1 (G, does not say what is \
                  free); or device = \"auto\" or \"cpu\"";
    check("cuda:0", &[gpu(0, Err("lost")), unsaid(1)], Err((Fault::Doubtful, failed)));
}

#[test]
fn what_was_asked_for_is_had_or_refused_with_what_there_is() {
    let gpus = [gpu(0, Ok(50)), gpu(1, Ok(100)), gpu(2, Err("GPU is lost"))];
    check("cuda:1", &gpus, Ok(&[1]));
    let full = "device cuda:0 has 50.0 MiB of memory free, and the model is estimated to take 100.0 MiB: \
                there is room on cuda:1 (G, 100.0 MiB free); or device = \"auto\" or \"cpu\"";
    check("cuda:0", &gpus, Err((Fault::Doubtful, full)));
    let failed = "device cuda:2 has failed (GPU is lost): there is room on cuda:1 (G, 100.0 MiB free); \
                  or device = \"auto\" or \"cpu\"";
    check("cuda:2", &gpus, Err((Fault::Doubtful, failed)));
    let none = "device cuda:7: this machine has no such GPU, it has cuda:0 (G, 50.0 MiB free), \
                cuda:1 (G, 100.0 MiB free), cuda:2 (G, failed); device = \"auto\" takes one with room or \
                the processor, \"cpu\" the processor";
    check("cuda:7", &gpus, Err((Fault::Lasting, none)));
    let bare = "device cuda:0: this machine has no such GPU, it has no GPU; device = \"auto\" takes one \
                with room or the processor, \"cpu\" the processor";
    check("cuda:0", &[], Err((Fault::Lasting, bare)));
}

/// Two that are loaded at a time do not both count on the same memory.
#[test]
fn what_is_promised_is_not_promised_twice() {
    let placement =
        Placement::new(Gpus::new(|| Survey::Gpus(vec![gpu(0, Ok(150)), gpu(1, Ok(120))])));
    let need = Need { bytes: 100 * MIB, avoid: None };
    let place = || placement.place(&DeviceWish::Auto, (need, 1));
    let (first, promise) = place().expect("room");
    assert_eq!(first, Some(vec![0, 1]));
    let (second, other) = place().expect("room");
    assert_eq!(second, Some(vec![1]));
    let (third, none) = place().expect("the processor");
    assert_eq!(third, Some(vec![]));
    drop((promise, other, none));
    assert_eq!(place().expect("room").0, Some(vec![0, 1]));
}

/// Instances on several GPUs, as one engine spreads them: each GPU gets the weights.
#[test]
fn what_is_spread_is_promised_on_each_gpu() {
    let seen = [gpu(0, Ok(150)), gpu(1, Ok(300)), gpu(2, Ok(250))];
    let placement = Placement::new(Gpus::new(move || Survey::Gpus(seen.to_vec())));
    let need = Need { bytes: 100 * MIB, avoid: None };
    let place = |spread: usize| placement.place(&DeviceWish::Auto, (need, spread)).expect("room");
    let (all, spread) = place(2);
    assert_eq!(all, Some(vec![1, 2, 0]));
    // 150, 200 and 150 MiB are left.
    let (next, one) = place(1);
    assert_eq!(next, Some(vec![1, 0, 2]));
    // 150, 100 and 150.
    let (rest, more) = place(9);
    assert_eq!(rest, Some(vec![0, 2, 1]), "as many as there are");
    assert_eq!(place(1).0, Some(vec![]));
    drop((one, more));
    assert_eq!(place(1).0, Some(vec![1, 0, 2]));
    drop(spread);
    assert_eq!(place(1).0, Some(vec![1, 2, 0]), "nothing is promised any more");
}

#[test]
fn a_driver_that_does_not_answer_is_not_waited_for_by_an_engine() {
    let placement = Placement::new(Gpus::new(|| Survey::Silent));
    let need = Need { bytes: 1, avoid: None };
    let place = |wish: &str| {
        let placed = placement.place(&wish.parse().expect("a wish"), (need, 1));
        placed.map(|it| it.0).map_err(|it| (it.fault, it.reason))
    };
    assert_eq!((place("auto"), place("cpu")), (Ok(Some(vec![])), Ok(None)));
    let silent = "device cuda:1: NVIDIA's driver does not answer; device = \"auto\" or \"cpu\" takes the \
                  processor";
    assert_eq!(place("cuda:1"), Err((Fault::Doubtful, silent.to_owned())));
}

#[test]
fn where_nobody_knows_the_engine_decides() {
    let placement = Placement::default();
    let place = |wish: &str, avoid| {
        let need = Need { bytes: u64::MAX, avoid };
        placement.place(&wish.parse().expect("a wish"), (need, 1)).expect("not refused").0
    };
    assert_eq!(
        (place("auto", None), place("cuda:3", None), place("cpu", None)),
        (None, None, None)
    );
    assert_eq!((place("auto", Some(0)), place("auto", Some(1))), (Some(vec![]), Some(vec![0])));
}
