//! Delegates, by a library of a few lines of C, as `cc` makes it: no accelerator is needed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use backend_api::{
    Backend as _, BackendError, DelegateOptions, Device, Model, Options, Output, Tensor,
};
use backend_litert::LiteRt;

use super::{fixtures, litert};

/// A library, and the folder that it lies in.
pub(super) struct Built {
    folder: tempfile::TempDir,
    pub(super) library: PathBuf,
}

pub(super) fn built(source: &Path, flags: &[&str]) -> Built {
    let folder = tempfile::tempdir().expect("scratch");
    let library = folder.path().join("libdelegate.so");
    let mut cc = Command::new("cc");
    let made = cc.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).args(flags).status();
    assert!(made.expect("a C compiler").success());
    Built { folder, library }
}

impl Built {
    fn fake(flags: &[&str]) -> Built {
        built(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fake_delegate.c"), flags)
    }

    /// What has happened to its delegates.
    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn happened(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default().lines().collect::<Vec<_>>().join(" ")
    }

    /// How a model is loaded with it.
    fn options(&self, pairs: &[(&str, &str)], device: &str) -> Options {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let log = ("log".to_owned(), self.log().display().to_string());
        let options = std::iter::once(log).chain(pairs).collect();
        Options {
            device: device.parse().expect("a device"),
            delegate: Some(DelegateOptions { library: self.library.clone(), options }),
            ..Options::default()
        }
    }
}

fn load(litert: &LiteRt, options: &Options) -> Result<Box<dyn Model>, BackendError> {
    litert.load(&fixtures().join("double.tflite"), options)
}

/// What `double` makes of 1 and so on, in so many rows.
fn answer(model: &dyn Model, rows: u16) -> Vec<f32> {
    let mut instance = model.instance(&model.devices()[0]).expect("an instance");
    let numbers: Vec<f32> = (1..=rows * 4).map(f32::from).collect();
    let input = Tensor::from_elements(&[rows.into(), 4], &numbers).expect("fits");
    let mut outputs = vec![Output::prepare(&model.signature().outputs[0], rows.into())];
    instance.run(&[input], &mut outputs).expect("runs");
    outputs.remove(0).into_tensor().expect("an output").view::<f32>().expect("floats").to_vec()
}

#[test]
fn a_delegate_computes_and_is_freed_after_its_operators() {
    let Some(litert) = litert() else { return };
    // One as older libraries have it: without the last field of today's structure.
    for flags in [&[][..], &["-DOLD"]] {
        let fake = Built::fake(flags);
        let model = load(&litert, &fake.options(&[("factor", "3")], "auto")).expect("loads");
        assert_eq!(model.devices(), [Device::Cpu]);
        assert_eq!(answer(&*model, 1), [3.0, 6.0, 9.0, 12.0], "not the double: it computed");
        // Another number of rows shows it the graph again.
        assert_eq!(answer(&*model, 2).last(), Some(&24.0));
        drop(model);
        let happened = fake.happened();
        let first = "create prepare init";
        assert!(happened.starts_with(first), "{happened}");
        assert!(happened.ends_with("free destroy"), "{happened}");
        let count = |word| happened.split(' ').filter(|it| *it == word).count();
        assert_eq!((count("create"), count("init")), (count("destroy"), count("free")));
        let mut operators = 0_i32;
        for word in happened.split(' ') {
            operators += match word {
                "init" => 1,
                "free" => -1,
                "destroy" => {
                    assert_eq!(operators, 0, "freed before its operators: {happened}");
                    0
                }
                _ => 0,
            };
        }
    }
}

#[test]
fn models_with_and_without_live_side_by_side() {
    let Some(litert) = litert() else { return };
    let fake = Built::fake(&[]);
    let with = load(&litert, &fake.options(&[("factor", "5")], "auto")).expect("loads");
    let without = load(&litert, &Options::default()).expect("loads");
    let other = load(&litert, &fake.options(&[("factor", "7")], "auto")).expect("loads");
    let answers = [&with, &without, &other, &with].map(|it| answer(&**it, 1)[0]);
    assert_eq!(answers, [5.0, 2.0, 7.0, 5.0]);
}

#[test]
fn the_operators_that_it_leaves_are_the_processors() {
    let Some(litert) = litert() else { return };
    let fake = Built::fake(&[]);
    // It takes none: said in the log, served all the same.
    let model = load(&litert, &fake.options(&[], "auto")).expect("loads");
    assert_eq!(answer(&*model, 1), [2.0, 4.0, 6.0, 8.0]);
}

/// What is said of a model with such a delegate.
#[track_caller]
fn check(options: &Options, expect: &[&str]) {
    let Some(litert) = litert() else { return };
    let error = load(&litert, options).err().expect("refused");
    assert!(matches!(error, BackendError::Unsupported { .. }), "{error}");
    for it in expect {
        assert!(error.to_string().contains(it), "{error} lacks {it}");
    }
}

#[test]
fn what_cannot_be_had_is_refused_in_words() {
    let fake = Built::fake(&[]);
    let words = "libdelegate.so: option 'speed' is not known";
    check(&fake.options(&[("speed", "9")], "auto"), &[words]);
    check(&fake.options(&[("refuses", "yes")], "auto"), &["libdelegate.so: ", "status"]);
    let foreign = "it gave a delegate of another interface";
    check(&fake.options(&[("foreign", "yes")], "auto"), &[foreign]);
    assert!(fake.happened().ends_with("create destroy"), "freed all the same");
    let absent = Built { library: "/nowhere/libdelegate.so".into(), ..Built::fake(&[]) };
    check(&absent.options(&[], "auto"), &["delegate /nowhere/libdelegate.so: ", "cannot open"]);
    let source = absent.folder.path().join("other.c");
    fs::write(&source, "int other(void) { return 0; }\n").expect("write");
    let other = built(&source, &[]);
    check(&other.options(&[], "auto"), &["libdelegate.so: ", "tflite_plugin_create_delegate"]);
    check(&fake.options(&[], "cuda:0"), &["computes on the processor alone"]);
}

#[test]
fn an_edge_tpu_is_had_or_refused() {
    let Some(litert) = litert() else { return };
    let fake = Built::fake(&[]);
    let model = load(&litert, &fake.options(&[("factor", "3")], "edgetpu")).expect("loads");
    assert_eq!(model.devices(), [Device::EdgeTpu]);
    assert_eq!(answer(&*model, 1)[0], 3.0);
    assert!(model.instance(&Device::Cpu).is_err(), "it is elsewhere");
    let idle = "device edgetpu: delegate ";
    let fix = "needed are libedgetpu.so.1";
    check(&fake.options(&[], "edgetpu"), &[idle, "takes no operator of the model; ", fix]);
    // The one that the server found, without settings of the model's own.
    let wish = |options| {
        let delegate = Some(DelegateOptions { library: PathBuf::new(), options });
        Options { device: "edgetpu".parse().expect("a device"), delegate, ..Options::default() }
    };
    let factor = vec![("factor".to_owned(), "4".to_owned())];
    let litert = litert.with_edgetpu(&fake.library);
    assert_eq!(answer(&*load(&litert, &wish(factor)).expect("loads"), 1)[0], 4.0);
    let absent = litert.with_edgetpu(Path::new("/nowhere/libedgetpu.so.1"));
    let error = load(&absent, &wish(Vec::new())).err().expect("refused").to_string();
    assert!(error.contains("device edgetpu: delegate /nowhere/libedgetpu.so.1: "), "{error}");
    assert!(error.contains(fix), "{error}");
}
