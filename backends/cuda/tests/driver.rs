//! Against a library of a few lines of C, as `cc` makes it: no GPU is needed.

#![expect(unsafe_code, reason = "the fake's GPU memory is the test's own")]
#![expect(clippy::disallowed_methods, reason = "whether there is a GPU is said by the environment")]

mod fake;

use std::path::Path;
use std::process::Command;

use backend_cuda::{CudaError, DeviceAddress, Driver, HANDLE_BYTES};

use fake::{built, foreign};

fn address(memory: &mut [u8]) -> DeviceAddress {
    memory.as_mut_ptr() as DeviceAddress
}

/// Says that this machine has a GPU, and that a driver which shows none is a failure.
const GPU: &str = "SALVER_TEST_GPU";

#[test]
fn the_driver_of_this_machine_opens() {
    if std::env::var_os(GPU).is_none() {
        eprintln!("skipped: {GPU} is not set; `make test-gpu` sets it, on a machine with a GPU");
        return;
    }
    let driver = Driver::open(None).unwrap_or_else(|it| panic!("{it}; {}", it.fix()));
    eprintln!("CUDA {:?}, {} GPUs", driver.version(), driver.count());
    // SAFETY: nothing is copied.
    unsafe { driver.stream(0).expect("a stream").upload([].into_iter()) }.expect("waits");
}

#[test]
fn bytes_go_there_and_back() {
    let (_folder, library) = built(&[]);
    let driver = Driver::open(Some(&library)).expect("opens");
    assert_eq!((driver.version(), driver.count()), ((13, 0), 2));
    let mut stream = driver.stream(1).expect("a stream");
    let (mut first, mut second) = ([0_u8; 4], [0_u8; 3]);
    let there = [address(&mut first), address(&mut second)];
    let given: [&[u8]; 2] = [&[1, 2, 3, 4], &[5, 6, 7]];
    // SAFETY: the arrays are as long as what is copied, and looked at after the call.
    unsafe { stream.upload(there.into_iter().zip(given)) }.expect("copies");
    assert_eq!((first, second), ([1, 2, 3, 4], [5, 6, 7]), "they are there when the call is over");
    let mut back = [0_u8; 3];
    // From another thread: the context has to be made its own.
    let mut fetch = || {
        // SAFETY: as above.
        unsafe { stream.download([(&mut back[..], there[1])].into_iter()) }.expect("copies");
    };
    std::thread::scope(|it| {
        it.spawn(&mut fetch);
    });
    assert_eq!(back, [5, 6, 7]);
    drop(stream);
    assert_eq!(left(&library), 0, "stream and context are given back");
}

#[test]
fn a_copy_that_is_refused_is_an_error_after_those_before_it() {
    let (_folder, library) = built(&[]);
    let mut stream = Driver::open(Some(&library)).expect("opens").stream(0).expect("a stream");
    let mut there = [0_u8; 17];
    let places: Vec<DeviceAddress> = (0..17).map(|it| address(&mut there[it..])).collect();
    // SAFETY: one byte each, all within the array. The fake takes 16.
    let error = unsafe { stream.upload(places.into_iter().map(|it| (it, &[9_u8][..]))) };
    let error = error.expect_err("one too many").to_string();
    assert_eq!(error, "CUDA error: cuMemcpyHtoDAsync: CUDA_ERROR_OUT_OF_MEMORY (2)");
    assert_eq!((there[15], there[16]), (9, 0), "none is under way when the call is over");
}

/// Contexts, streams and handles that have not been given back.
fn left(library: &Path) -> i32 {
    // SAFETY: the function takes nothing and touches nothing.
    unsafe {
        let library = libloading::Library::new(library).expect("is open");
        let left: libloading::Symbol<'_, unsafe extern "C" fn() -> i32> =
            library.get("fake_left\0").expect("there");
        left()
    }
}

#[test]
fn memory_of_another_process_is_read_and_written() {
    let (_folder, library) = built(&[]);
    let driver = Driver::open(Some(&library)).expect("opens");
    let (memory, handle) = foreign(b"0123456789");
    let shared = driver.shared(1, handle).expect("opens");
    assert_eq!(shared.bytes(), 10, "what lies in front of it in its owner's memory is not its own");
    let mut read = [0; 4];
    // From another thread: the context has to be made its own.
    std::thread::scope(|it| {
        it.spawn(|| shared.read(6, &mut read).expect("copies"));
    });
    assert_eq!(&read, b"6789");
    shared.write(2, b"ab").expect("copies");
    let memory = std::fs::read(memory.path()).expect("read");
    assert_eq!(memory, b"01ab456789", "it is there when the call is over");
    drop(shared);
    assert_eq!(left(&library), 0, "handle and context are given back");
}

#[test]
#[should_panic(expected = "7 + 4 of 10 bytes")]
fn memory_of_another_process_has_an_end() {
    let (_folder, library) = built(&[]);
    let driver = Driver::open(Some(&library)).expect("opens");
    let (_memory, handle) = foreign(&[0; 10]);
    let shared = driver.shared(0, handle).expect("opens");
    let _ = shared.read(7, &mut [0; 4]); // never returns
}

#[test]
fn a_handle_that_is_none_leaves_nothing_behind() {
    let (_folder, library) = built(&[]);
    let driver = Driver::open(Some(&library)).expect("opens");
    let error = driver.shared(0, [0; HANDLE_BYTES]).err().expect("none").to_string();
    assert_eq!(error, "CUDA error: cuIpcOpenMemHandle: CUDA_ERROR_INVALID_HANDLE (400)");
    let error = driver.shared(2, [0; HANDLE_BYTES]).err();
    assert_eq!(error, Some(CudaError::Absent { wanted: 2, count: 2 }));
    assert_eq!(left(&library), 0);
    let (_folder, library) = built(&["-DRANGE_STATUS=700"]);
    let driver = Driver::open(Some(&library)).expect("opens");
    let (_memory, handle) = foreign(&[0; 4]);
    let error = driver.shared(0, handle).err().expect("no size").to_string();
    assert!(error.contains("cuMemGetAddressRange"), "{error}");
    assert_eq!(left(&library), 0);
}

#[track_caller]
fn check(flags: &[&str], (says, fix): (&str, &str)) {
    let (_folder, library) = built(flags);
    let made = Driver::open(Some(&library)).and_then(|it| it.stream(0)).and_then(|mut it| {
        // SAFETY: nothing is copied.
        unsafe { it.upload([].into_iter()) }
    });
    let error = made.expect_err("an error");
    assert!(error.to_string().contains(says), "{error}");
    assert!(error.fix().contains(fix), "{}", error.fix());
}

#[test]
fn what_is_missing_is_said_with_its_fix() {
    check(&["-DINIT_STATUS=100"], ("no GPU", "CUDA_VISIBLE_DEVICES"));
    check(&["-DCOUNT=0"], ("no GPU", "nvidia-smi"));
    check(&["-DINIT_STATUS=803"], ("cuInit: CUDA_ERROR_SYSTEM_DRIVER_MISMATCH (803)", "restart"));
    check(&["-DINIT_STATUS=77"], ("cuInit: unknown error (77)", "dmesg"));
    let old = ("for CUDA 10.2, at least 11.0 is needed", "newer driver");
    check(&["-DVERSION=10020", "-DINIT_STATUS=100"], old);
    check(&["-DWAIT_STATUS=700"], ("cuStreamSynchronize: CUDA_ERROR_ILLEGAL_ADDRESS (700)", "Xid"));
    let (folder, library) = built(&[]);
    let driver = Driver::open(Some(&library)).expect("opens");
    let error = driver.stream(2).err();
    assert_eq!(error, Some(CudaError::Absent { wanted: 2, count: 2 }));
    let absent = Driver::open(Some(&folder.path().join("libabsent.so"))).err().expect("not there");
    assert!(absent.to_string().contains("libabsent.so"), "{absent}");
    assert!(absent.fix().contains("NVIDIA's driver"), "{}", absent.fix());
    // A library that is none of NVIDIA's.
    let source = folder.path().join("other.c");
    std::fs::write(&source, "int other(void) { return 0; }\n").expect("write");
    let other = folder.path().join("libother.so");
    let made = Command::new("cc").args(["-shared", "-o"]).arg(&other).arg(&source).status();
    assert!(made.expect("a C compiler").success());
    let error = Driver::open(Some(&other)).err().expect("another library").to_string();
    assert!(error.contains("cuInit"), "{error}");
}
