//! What the tests of judging share: a log of predictions and labels of two replicas.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use arrow_array::{
    ArrayRef, Float32Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt32Array,
};
use arrow_schema::{DataType, Field, Schema};
use server_base::{Finding, FindingKind, Version};
use server_feedback::{
    Keep, LabelFiles, LabelRow, LabelValue, ParquetSink, Position, Rows, Sink as _, label_hour,
};

use super::super::topic::{Topic, labels_sent, sent_as};
use super::super::{FolderSource, Object};
use super::*;
use crate::fixture::Heard;

pub(in super::super) const SECOND: i64 = 1_000_000;
pub(in super::super) const WINDOW_S: i64 = 1_000;
pub(in super::super) const HORIZON_S: i64 = 500;
pub(in super::super) const LATENESS_S: i64 = 300;
/// How long after its prediction a label comes.
pub(in super::super) const DELAY_S: i64 = 200;
/// Rows come into the log all at once for so long.
pub(in super::super) const ROLL_S: i64 = 500;

/// A request a second from 1970 on, at either of two replicas. From the fourth window on four answers in ten
/// are wrong, until then one.
pub(in super::super) struct Scene {
    /// Of predictions and of labels, in place of folders.
    pub(in super::super) topics: Option<(Topic, Topic)>,
    root: tempfile::TempDir,
    pub(in super::super) now: Arc<AtomicI64>,
    pub(in super::super) heard: Arc<Heard>,
    files: u64,
    pub(in super::super) truth_bytes_max: usize,
    judging: Option<Judging>,
}

pub(in super::super) fn is_wrong(at_s: i64) -> bool {
    (at_s * 7) % 10 < if at_s < 3 * WINDOW_S { 1 } else { 4 }
}

/// What is right of a window, as anybody can count.
pub(in super::super) fn accuracy(window: i64) -> f64 {
    let rows = window * WINDOW_S..(window + 1) * WINDOW_S;
    rows.filter(|it| !is_wrong(*it)).count() as f64 / WINDOW_S as f64
}

pub(in super::super) fn model() -> ModelName {
    ModelName::new("m").expect("a name")
}

/// Two numbers for two classes, of which the second is always larger.
pub(in super::super) fn predictions(seconds: &[i64]) -> RecordBatch {
    let about = [("tensor", "p"), ("datatype", "FP32"), ("shape", "rows,2")];
    let about = about.map(|(key, it)| (key.to_owned(), it.to_owned()));
    let score = |name| {
        Field::new(name, DataType::Float32, true).with_metadata(HashMap::from(about.clone()))
    };
    let text = |of: &dyn Fn(&i64) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(seconds.iter().map(of)))
    };
    let times = TimestampMicrosecondArray::from_iter_values(seconds.iter().map(|it| it * SECOND));
    let times = times.with_timezone("+00:00");
    let rows = seconds.len();
    let plain = |name, kind| Field::new(name, kind, false);
    let columns: Vec<(Field, ArrayRef)> = vec![
        (plain("event_id", DataType::Utf8), text(&|it| format!("event {it}"))),
        (plain("request_id", DataType::Utf8), text(&|it| format!("request {it}"))),
        (plain("row_index", DataType::UInt32), Arc::new(UInt32Array::from(vec![0; rows]))),
        (plain("event_time", arrow_array::Array::data_type(&times).clone()), Arc::new(times)),
        (plain("status", DataType::Utf8), text(&|_| "OK".to_owned())),
        (plain("sample_reason", DataType::Utf8), text(&|_| "uniform".to_owned())),
        (plain("route", DataType::Utf8), text(&|_| "direct".to_owned())),
        (score("out.p.0"), Arc::new(Float32Array::from(vec![0.2; rows]))),
        (score("out.p.1"), Arc::new(Float32Array::from(vec![0.8; rows]))),
    ];
    let (fields, columns): (Vec<Field>, Vec<ArrayRef>) = columns.into_iter().unzip();
    let of = [("salver.model", "m"), ("salver.version", "1")];
    let of = HashMap::from(of.map(|(key, it)| (key.to_owned(), it.to_owned())));
    let schema = Arc::new(Schema::new_with_metadata(fields, of));
    RecordBatch::try_new(schema, columns).expect("columns of one length")
}

pub(in super::super) fn label(at_s: i64, recorded_s: i64, is_right: bool) -> LabelRow {
    LabelRow {
        label_id: format!("label {at_s} {recorded_s}"),
        inference_id: format!("request {at_s}"),
        row_index: 0,
        value: LabelValue::Number(f64::from(u8::from(is_right))),
        label_time: None,
        recorded_time: recorded_s * SECOND,
    }
}

impl Scene {
    pub(in super::super) fn new() -> Scene {
        let root = tempfile::tempdir().expect("scratch");
        let path = |it: &str| root.path().join(it);
        for name in ["one", "two", "models/m/1"] {
            fs::create_dir_all(path(name)).expect("made");
        }
        let text = format!(
            "[log]\n[truth]\ntask = 'classification'\nwindow_s = {WINDOW_S}\nhorizon_s = {HORIZON_S}\n\
             accuracy_min = 0.8\nreference_rows = 2000\n"
        );
        fs::write(path("models/m/model.toml"), text).expect("written");
        Scene {
            topics: None,
            root,
            now: Arc::default(),
            heard: Arc::default(),
            files: 0,
            truth_bytes_max: 64 << 20,
            judging: None,
        }
    }

    pub(in super::super) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// The same over topics of so many partitions.
    pub(in super::super) fn of_topics(partitions: usize) -> Scene {
        let labels = Topic::named("rows.labels", partitions);
        Scene { topics: Some((Topic::new(partitions), labels)), ..Scene::new() }
    }

    /// Writes rows as a replica does.
    pub(in super::super) fn put(&mut self, replica: &str, seconds: &[i64]) {
        if let Some((rows, _)) = &self.topics {
            let batch = predictions(seconds);
            return rows.send_all(sent_as("m", &batch, batch.clone()));
        }
        let mut sink = ParquetSink::new(self.path(replica), "log").expect("a folder");
        for rows in seconds.chunk_by(|a, b| a / 3_600 == b / 3_600) {
            let hour = label_hour(rows[0] * SECOND);
            let batch = predictions(rows);
            sink.write(&Rows { model: model(), version: Version(1), hour, batch }).expect("rows");
        }
        self.files += 1;
        sink.flush(Position { segment: self.files, offset: 0 }, replica).expect("files");
    }

    pub(in super::super) fn put_labels(&mut self, replica: &str, rows: &[LabelRow]) {
        if let Some((_, labels)) = &self.topics {
            return labels.send_all(labels_sent("m", rows));
        }
        let folder = self.path(&format!("{replica}-labels"));
        let mut files = LabelFiles::keeping(folder, "log", Keep::default()).expect("a folder");
        self.files += 1;
        files.put(&model(), &format!("{replica}-{}", self.files), rows).expect("labels");
    }

    /// The replicas were killed before they had written down that the last files are there: what they write next
    /// takes the places of so many.
    pub(in super::super) fn forget(&mut self, files: u64) {
        self.files -= files;
    }

    /// Of six windows, up to then: the replica that has answered is read later than the one that was told the truth,
    /// and each label counts.
    #[track_caller]
    pub(in super::super) fn labels_come_first(&mut self, end_s: i64) {
        for at in (0..end_s).step_by(500) {
            let seconds: Vec<i64> = (at..at + ROLL_S).collect();
            let labels = seconds.iter().map(|it| label(*it, it + DELAY_S, true));
            self.put_labels("two", &labels.collect::<Vec<_>>());
            self.round(at + ROLL_S);
            self.put("one", &seconds);
            self.round(at + ROLL_S);
        }
        self.round(end_s);
        let shown = lock(self.judging().judge()).shown("m", None).expect("it is judged");
        let windows = shown["versions"][0]["windows"].as_array().expect("windows");
        let labelled: Vec<_> = windows.iter().map(|it| it["labelled"].as_i64()).collect();
        assert_eq!(labelled, [Some(WINDOW_S); 6], "{shown:#}");
    }

    /// What comes between these times: predictions at either replica, and labels at the second alone.
    pub(in super::super) fn come(&mut self, from_s: i64, to_s: i64) {
        for (replica, first) in [("one", 0), ("two", 1)] {
            let own: Vec<i64> = (from_s..to_s).filter(|it| it % 2 == first).collect();
            self.put(replica, &own);
        }
        let known = (from_s - DELAY_S).max(0)..to_s - DELAY_S;
        let labels: Vec<LabelRow> =
            known.map(|it| label(it, it + DELAY_S, !is_wrong(it))).collect();
        self.put_labels("two", &labels);
    }

    /// The process begins, or the next does after that one was killed.
    pub(in super::super) fn start(&mut self) {
        self.judging = None;
        let now = Arc::clone(&self.now);
        let roots = ["one", "two"].map(|it| self.path(it)).to_vec();
        let labels = ["one", "two"].map(|it| (self.path(it), self.path(&format!("{it}-labels"))));
        let options = Judged {
            logs: match &self.topics {
                None => Both::Files {
                    predictions: Box::new(FolderSource::new(roots)),
                    labels: Box::new(FolderSource::labels(labels.to_vec())),
                },
                Some((rows, labels)) => {
                    Both::Streams { predictions: rows.stream(), labels: labels.stream() }
                }
            },
            repository: Repository::judged(vec![self.path("models")], BTreeMap::new()),
            folder: self.path("state"),
            findings: Arc::<Heard>::clone(&self.heard),
            bounds: Bounds {
                lateness: Duration::from_secs(LATENESS_S.unsigned_abs()),
                waiting_bytes_max: 0,
                object_bytes_max: 64 << 20,
                from: Some(0),
            },
            truth_bytes_max: self.truth_bytes_max,
            now: Box::new(move || now.load(Ordering::Relaxed)),
        };
        self.judging = Some(Judging::open(options, Arc::default()).expect("it begins"));
    }

    pub(in super::super) fn judging(&mut self) -> &mut Judging {
        self.judging.as_mut().expect("it was started")
    }

    /// All files that are there were written by then, by the clock of their store.
    pub(in super::super) fn written(&self, at_s: i64) {
        let time = UNIX_EPOCH + Duration::from_secs(at_s.unsigned_abs());
        let mut folders: Vec<PathBuf> =
            ["one", "two", "one-labels", "two-labels"].iter().map(|it| self.path(it)).collect();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten() {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else if fs::metadata(&path).expect("there").modified().expect("a time") > real() {
                    let file = fs::File::options().write(true).open(path).expect("ours");
                    file.set_modified(time).expect("set");
                }
            }
        }
    }

    pub(in super::super) fn round(&mut self, at_s: i64) {
        self.now.store(at_s * SECOND, Ordering::Relaxed);
        assert_eq!(self.judging().round().expect("folders"), Round::Whole);
    }

    /// So many files are read, and the process is killed.
    pub(in super::super) fn killed_after(&mut self, at_s: i64, files: usize) {
        self.now.store(at_s * SECOND, Ordering::Relaxed);
        let judging = self.judging();
        judging.look();
        let turns = judging.list().expect("folders");
        let objects: Vec<(usize, Object)> = turns
            .iter()
            .enumerate()
            .flat_map(|(log, it)| it.objects.iter().map(move |object| (log, object.clone())))
            .take(files)
            .collect();
        objects.iter().for_each(|(log, object)| judging.take(*log, object).expect("a file"));
        self.start();
    }

    /// Accuracies of windows that were told, by when they began, and which of them are alarms.
    pub(in super::super) fn told(&self) -> Vec<(i64, f64, bool)> {
        let told = self.heard.take();
        told.iter().filter(|it| it.kind == FindingKind::Performance).map(of_window).collect()
    }
}

/// Long after the times of these tests, and before today.
pub(in super::super) fn real() -> std::time::SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_000_000_000)
}

pub(in super::super) fn of_window(finding: &Finding) -> (i64, f64, bool) {
    let from = finding.from.duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let evidence: serde_json::Value = serde_json::from_str(&finding.evidence).expect("JSON");
    let accuracy = evidence["metrics"]["accuracy"].as_f64().unwrap_or(f64::NAN);
    (i64::try_from(from).expect("soon"), accuracy, finding.is_alarm)
}
