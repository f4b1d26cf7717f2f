//! Against the driver's library of a few lines of C that `backends/cuda` is tested with.

use super::*;

#[path = "../../../backends/cuda/tests/fake/mod.rs"]
mod fake;

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use crate::{Limits, Place, RegionKind, Regions};

use fake::{built, foreign};

/// What takes longer has come to a stop.
const PATIENCE: Duration = Duration::from_secs(20);

fn regions(library: &Path) -> Regions {
    let limits = Limits { regions_max: 4, bytes_max: 100 };
    Regions::new(limits).with_gpus(Some(Gpus::open(Some(library))))
}

/// A pipe at which the fake holds calls, as if the driver hung.
struct Pipe {
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Pipe {
    fn new() -> Pipe {
        let folder = tempfile::tempdir().expect("scratch");
        let path = folder.path().join("pipe");
        let made = Command::new("mkfifo").arg(&path).status();
        assert!(made.expect("there is such a program").success());
        Pipe { path, _folder: folder }
    }

    /// Has it hold calls of that kind.
    fn flag(&self, kind: &str) -> String {
        format!("-D{kind}_PIPE=\"{}\"", self.path.display())
    }

    /// Waits for a call. It goes on when what this gives is dropped, as do all that come after it.
    fn held(&self) -> File {
        let held = File::options().write(true).open(&self.path).expect("opens");
        fs::remove_file(&self.path).expect("removed");
        held
    }
}

#[test]
fn a_copy_that_hangs_holds_up_nobody_else() {
    let pipe = Pipe::new();
    let (_folder, library) = built(&[&pipe.flag("COPY")]);
    let (regions, (_file, handle)) = (regions(&library), foreign(b"0123456789"));
    regions.register_cuda("r", (0, &handle), 4).expect("registered");
    let aside = |errand: Box<dyn FnOnce() + Send>| regions.aside(DriverWork::Copies, errand);
    let ((told, done), span) = (sync_channel(1), regions.span("r", 0, 4).expect("within"));
    let _ticket = aside(Box::new(move || drop(told.send(span.read())))).expect("room");
    let held = pipe.held();
    regions.register_cuda("s", (0, &handle), 4).expect("another thread does that");
    let kept = Arc::new(());
    let also = Arc::clone(&kept);
    drop(aside(Box::new(move || drop(also))).expect("room"));
    assert_eq!(Arc::strong_count(&kept), 1, "nothing is kept for who has gone");
    let waiting = (0..=WAITING_MAX).map_while(|_| aside(Box::new(|| ())).ok()).count();
    assert_eq!(waiting, WAITING_MAX - 1, "with the one that was withdrawn");
    let error = aside(Box::new(|| ())).err().expect("too many");
    assert_eq!(error.kind(), server_base::Kind::Unavailable);
    assert!(error.to_string().contains("does not answer, 1024 calls wait"), "{error}");
    drop(held);
    assert_eq!(done.recv_timeout(PATIENCE).expect("goes on").expect("read"), "0123");
}

#[test]
fn one_at_a_time_is_opened_also_when_its_caller_has_gone() {
    let pipe = Pipe::new();
    let (_folder, library) = built(&[&pipe.flag("OPEN")]);
    let (regions, (_file, handle)) = (Arc::new(regions(&library)), foreign(b"0123456789"));
    let register = |name: &'static str| {
        let (with, (told, done)) = (Arc::clone(&regions), sync_channel(1));
        let errand = move || drop(told.send(with.register_cuda(name, (0, &handle), 4)));
        (regions.aside(DriverWork::Opens, errand).expect("room"), done)
    };
    let (ticket, _) = register("r");
    let held = pipe.held();
    drop(ticket);
    let (_ticket, done) = register("s");
    assert!(done.try_recv().is_err(), "the driver is still at the first");
    drop(held);
    done.recv_timeout(PATIENCE).expect("its turn").expect("registered");
    regions.span("r", 0, 4).expect("what had begun came to its end before");
}

#[test]
fn memory_is_closed_by_the_drivers_thread() {
    let pipe = Pipe::new();
    let (_folder, library) = built(&[&pipe.flag("CLOSE")]);
    let (regions, (_file, handle)) = (regions(&library), foreign(b"0123456789"));
    regions.register_cuda("r", (0, &handle), 4).expect("registered");
    let (told, done) = sync_channel(1);
    thread::spawn(move || {
        regions.unregister(RegionKind::Cuda, None);
        drop(told.send(regions));
    });
    let regions = done.recv_timeout(PATIENCE).expect("it does not wait for the driver");
    let held = pipe.held();
    let (told, done) = sync_channel(1);
    let next = move || told.send(()).expect("it is waited for");
    let _ticket = regions.aside(DriverWork::Opens, next).expect("room");
    assert!(done.try_recv().is_err(), "nothing is opened before it is closed");
    drop(held);
    done.recv_timeout(PATIENCE).expect("goes on");
}

#[test]
fn memory_of_a_gpu_is_read_and_written() {
    let (_folder, library) = built(&[]);
    let (regions, (file, handle)) = (regions(&library), foreign(b"0123456789"));
    assert_eq!(regions.gpus_lack(), None);
    regions.register_cuda("r", (1, &handle), 8).expect("registered");
    let span = regions.span("r", 2, 4).expect("within");
    assert_eq!(span.read().expect("read"), "2345");
    span.write("y", b"ab").expect("written");
    assert_eq!(std::fs::read(file.path()).expect("read"), b"01ab456789");
    regions.span("r", 5, 4).expect_err("beyond what was registered, though it is there");
    let found = regions.status(RegionKind::Cuda, Some("r")).expect("there");
    assert_eq!((found[0].place(), found[0].bytes()), (&Place::Cuda { device: 1 }, 8));
    // Names are common to all kinds; what is done to one kind is not done to another.
    assert!(regions.status(RegionKind::System, None).expect("all").is_empty());
    regions.unregister(RegionKind::System, None);
    regions.span("r", 0, 8).expect("still there");
    regions.unregister(RegionKind::Cuda, Some("r"));
    regions.span("r", 0, 8).expect_err("gone");
}

#[test]
fn what_is_wrong_is_said() {
    let (_folder, library) = built(&[]);
    let (regions, (_file, handle)) = (regions(&library), foreign(&[0; 64]));
    let check = |given: (i64, &[u8]), bytes, says: &str| {
        let error = regions.register_cuda("r", given, bytes).expect_err(says);
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(error.kind(), server_base::Kind::Invalid);
    };
    check((0, &handle[1..]), 1, "raw_handle has 63 bytes, expected 64");
    check((0, &[0; 64]), 1, "cuIpcOpenMemHandle: CUDA_ERROR_INVALID_HANDLE");
    check((-1, &handle), 1, "there is no GPU -1");
    check((2, &handle), 1, "there is no GPU 2");
    check((0, &handle), 65, "the memory's 64");
    check((0, &handle), 0, "at least one byte");
    regions.register_cuda("r", (0, &handle), 1).expect("a part of it, which keeps all");
    let error = regions.register_cuda("s", (0, &handle), 36).expect_err("128 of 100 bytes");
    assert!(error.to_string().contains("(100 bytes)"), "{error}");
}

#[test]
fn without_a_driver_the_reason_is_said() {
    let (_folder, library) = built(&["-DCOUNT=0"]);
    let regions = regions(&library);
    let error = regions.register_cuda("r", (0, &[0; 64]), 1).expect_err("no GPU");
    assert_eq!(error.kind(), server_base::Kind::Unimplemented);
    let text = error.to_string();
    assert!(text.contains("no GPU") && text.contains("nvidia-smi"), "{text}");
    assert!(regions.gpus_lack().is_some());
}
