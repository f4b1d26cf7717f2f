use super::*;

/// The devices that are found among these files of `/dev`.
#[track_caller]
fn check(files: &[&str], expect: &[(&str, &str)]) {
    let dev = tempfile::tempdir().expect("scratch");
    for name in files {
        let path = dev.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        // A file of the USB list holds what stands behind the equals sign.
        let (path, text) = name
            .split_once('=')
            .map_or((path.clone(), ""), |(path, text)| (dev.path().join(path), text));
        fs::write(path, text).expect("write");
    }
    let found = accelerators(dev.path(), &dev.path().join("usb"));
    let shown = |it: &Accelerator| {
        let path = Path::new(&it.device);
        (path.strip_prefix(dev.path()).expect("inside").display().to_string(), it.kind)
    };
    let expect: Vec<_> = expect.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect();
    assert_eq!(found.iter().map(shown).collect::<Vec<_>>(), expect);
}

#[test]
fn accelerators_are_known_by_their_files() {
    check(&["null", "tty0", "nvidiactl", "nvidia-uvm", "nvidia-caps/1"], &[]);
    check(&["nvidia1", "nvidia0"], &[("nvidia0", "NVIDIA GPU"), ("nvidia1", "NVIDIA GPU")]);
    check(&["accel0", "apex_0"], &[("accel0", "Google TPU"), ("apex_0", "Edge TPU")]);
    check(&["accel/accel3"], &[("accel/accel3", "Google TPU")]);
    let keyboard = ["usb/1-1/idVendor=046d\n", "usb/1-1/idProduct=c31c\n"];
    check(&keyboard, &[]);
    let stick = ["usb/1-2/idVendor=18d1\n", "usb/1-2/idProduct=9302\n"];
    check(&stick, &[("usb/1-2", "Edge TPU")]);
}

#[test]
fn the_processor_is_what_the_system_says() {
    let info = "processor\t: 0\nmodel name\t: A Processor\nflags\t\t: sse avx2 avx512f\n";
    let got = processor((info, "MemTotal:       1024 kB\n"), 2);
    let expect = Processor {
        model: "A Processor".to_owned(),
        architecture: std::env::consts::ARCH,
        cores: 2,
        memory_bytes: Some(1 << 20),
        instructions: vec!["avx2", "avx512f"],
    };
    assert_eq!(got, expect);
    assert_eq!(processor(("", ""), 1).model, "unknown");
}

#[test]
fn what_lacks_says_how_it_is_had() {
    for engine in ["onnxruntime", "openvino", "litert", "pjrt"] {
        let line = lacking(engine, None, "nothing there".to_owned());
        let fix = line.fix.expect("a fix");
        assert!(!line.available && fix.contains(&format!("`make {engine}`")), "{engine}: {fix}");
    }
}

/// candle looks for itself: that it was built for GPUs does not mean that there is one.
#[test]
fn what_was_looked_at_counts_for_more_than_what_was_built() {
    let built = || vec![Device::Cpu, Device::Cuda(0)];
    let none =
        "device cuda: built for CUDA 13.0, not available: the driver shows no GPU".to_owned();
    assert_eq!(described(vec![none.clone()], built()), [none]);
    assert_eq!(described(Vec::new(), built()), ["device cuda:0, as far as the library says"]);
    assert!(described(Vec::new(), vec![Device::Cpu]).is_empty());
}
