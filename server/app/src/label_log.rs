//! Labels beside the predictions of the log: where these lie as Parquet files, labels do as well, in a
//! folder of their own; receivers of CloudEvents get them as events of another type, and Kafka in a topic
//! beside that of the predictions.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use server_base::ModelName;
use server_feedback::{
    LABELS_SUFFIX, LabelEvents, LabelFiles, LabelMessages, LabelRow, LabelValue, Post, Produce,
};
use server_truth::{Delivered, Given, LabelSink, Outbox, Sent};

use crate::log_stores;
use crate::prediction_log::{LogSettings, SinkName};

/// What delivers labels.
pub(crate) struct LabelLog(Vec<Outbox>);

/// Starts it: one for each sink that takes labels. `log` is the log's name.
pub(crate) fn start(settings: &LogSettings, log: &str) -> anyhow::Result<LabelLog> {
    let sinks = settings.sinks.iter().filter_map(|it| sink(settings, it, log));
    let start = |sink: io::Result<Box<dyn LabelSink>>| {
        let delivered = Delivered {
            folder: settings.folder.clone(),
            log: log.to_owned(),
            roll: settings.roll,
            give_way: server_serving::give_way,
        };
        Outbox::start(delivered, sink?)
    };
    let started = sinks.map(start).collect::<io::Result<Vec<Outbox>>>();
    started.map(LabelLog).with_context(|| format!("labels of {}", settings.folder.display()))
}

impl LabelLog {
    /// Delivers what has come. True: all of it.
    pub(crate) fn stop(self, by: Instant) -> bool {
        Outbox::stop_all(self.0, by)
    }
}

/// `None`: nothing but predictions goes there.
fn sink(
    settings: &LogSettings,
    sink: &SinkName,
    log: &str,
) -> Option<io::Result<Box<dyn LabelSink>>> {
    let files = |files: io::Result<LabelFiles>| -> io::Result<Box<dyn LabelSink>> {
        Ok(Box::new(Files(files?)))
    };
    match sink {
        SinkName::Parquet => {
            let keep = settings.keep_labels;
            let keep = server_feedback::Keep { age: keep.age, bytes: keep.bytes };
            let folder = beside(&settings.folder.join("parquet"));
            Some(files(LabelFiles::keeping(folder, log, keep)))
        }
        SinkName::Remote(remote) => match remote.store() {
            Some(it) => Some(files(log_stores::labels(it, &settings.folder))),
            None => remote.label_events().map(|it| -> io::Result<Box<dyn LabelSink>> {
                Ok(Box::new(Posted(LabelEvents::new(it?))))
            }),
        },
        SinkName::Kafka(topic) => Some(
            topic
                .labels()
                .map(|it| -> Box<dyn LabelSink> { Box::new(Produced(LabelMessages::new(it))) }),
        ),
        SinkName::Stdout => None,
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

    fn put(&mut self, model: &ModelName, name: &str, labels: &[Sent]) -> io::Result<usize> {
        let rows: Vec<LabelRow> = labels.iter().map(row).collect();
        self.0.put(model, name, &rows).map(|()| rows.len())
    }

    fn idle(&mut self) {
        self.0.idle();
    }
}

struct Posted<P>(LabelEvents<P>);

impl<P: Post> LabelSink for Posted<P> {
    fn name(&self) -> &'static str {
        LabelEvents::<P>::NAME
    }

    fn put(&mut self, model: &ModelName, name: &str, labels: &[Sent]) -> io::Result<usize> {
        let rows: Vec<LabelRow> = labels.iter().map(row).collect();
        self.0.put(model, name, &rows)
    }

    fn idle(&mut self) {}
}

struct Produced<P>(LabelMessages<P>);

impl<P: Produce> LabelSink for Produced<P> {
    fn name(&self) -> &'static str {
        LabelMessages::<P>::NAME
    }

    fn put(&mut self, model: &ModelName, _: &str, labels: &[Sent]) -> io::Result<usize> {
        let rows: Vec<LabelRow> = labels.iter().map(row).collect();
        self.0.put(model, &rows).map(|()| rows.len())
    }

    fn idle(&mut self) {}
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
