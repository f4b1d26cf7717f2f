//! Labels beside the predictions of the log: where these lie as Parquet files, labels do as well, in a
//! folder of their own.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use server_base::ModelName;
use server_feedback::{LABELS_SUFFIX, LabelFiles, LabelRow, LabelValue};
use server_truth::{Delivered, Given, LabelSink, Outbox, Sent};

use crate::log_stores;
use crate::prediction_log::{LogSettings, SinkName};

/// What delivers labels.
pub(crate) struct LabelLog(Vec<Outbox>);

/// Starts it: one for each sink that writes files. `log` is the log's name.
pub(crate) fn start(settings: &LogSettings, log: &str) -> anyhow::Result<LabelLog> {
    let files = settings.sinks.iter().filter_map(|it| files(settings, it, log));
    let start = |files: io::Result<LabelFiles>| {
        let delivered = Delivered {
            folder: settings.folder.clone(),
            log: log.to_owned(),
            roll: settings.roll,
            give_way: server_serving::give_way,
        };
        Outbox::start(delivered, Box::new(Files(files?)))
    };
    let started = files.map(start).collect::<io::Result<Vec<Outbox>>>();
    started.map(LabelLog).with_context(|| format!("labels of {}", settings.folder.display()))
}

impl LabelLog {
    /// Delivers what has come. True: all of it.
    pub(crate) fn stop(self, by: Instant) -> bool {
        // Each is told, whatever has become of the one before.
        let stopped: Vec<bool> = self.0.into_iter().map(|it| it.stop(by)).collect();
        stopped.into_iter().all(|it| it)
    }
}

/// `None`: no files go there.
fn files(settings: &LogSettings, sink: &SinkName, log: &str) -> Option<io::Result<LabelFiles>> {
    match sink {
        SinkName::Parquet => {
            let keep = settings.keep_labels;
            let keep = server_feedback::Keep { age: keep.age, bytes: keep.bytes };
            Some(LabelFiles::keeping(beside(&settings.folder.join("parquet")), log, keep))
        }
        SinkName::Remote(remote) => {
            remote.store().map(|it| log_stores::labels(it, &settings.folder))
        }
        SinkName::Stdout | SinkName::Kafka(_) => None,
    }
}

/// Where the labels of predictions in that folder lie.
pub(crate) fn beside(folder: &Path) -> PathBuf {
    let mut name = folder.file_name().unwrap_or_default().to_owned();
    name.push(LABELS_SUFFIX);
    folder.with_file_name(name)
}

struct Files(LabelFiles);

impl LabelSink for Files {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn put(&mut self, model: &ModelName, name: &str, labels: &[Sent]) -> io::Result<()> {
        let rows: Vec<LabelRow> = labels.iter().map(row).collect();
        self.0.put(model, name, &rows)
    }

    fn idle(&mut self) {
        self.0.idle();
    }
}

fn row(sent: &Sent) -> LabelRow {
    let Sent { id, label, recorded_us } = sent;
    LabelRow {
        label_id: id.clone(),
        inference_id: label.id.to_string(),
        row_index: label.row,
        value: match &label.value {
            Given::Bool(it) => LabelValue::Bool(*it),
            Given::Number(it) => LabelValue::Number(*it),
            Given::Text(it) => LabelValue::Text(it.to_string()),
        },
        label_time: label.time_us,
        recorded_time: *recorded_us,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_lie_beside_predictions() {
        for (folder, expect) in
            [("/log/parquet", "/log/parquet-labels"), ("log/x/", "log/x-labels")]
        {
            assert_eq!(beside(Path::new(folder)), Path::new(expect));
        }
    }
}
