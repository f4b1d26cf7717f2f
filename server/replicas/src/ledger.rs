//! What a replica knows of all logs, and what of it is still to be told and acted by.

use std::collections::BTreeMap;
use std::mem;
use std::time::Duration;

use server_base::ModelName;
use server_rollout::Evidence;

use crate::id::ReplicaId;
use crate::log::{self, ShareError};
use crate::record::{Record, Telling};
use crate::store::Store;

/// What has become of a model's rollout.
#[derive(Clone, Debug, PartialEq)]
pub struct News {
    /// What this replica has decided since it was asked before, or has taken over from one that is gone, in order: to
    /// be told.
    pub decided: Vec<(Telling, Evidence)>,
    /// The last record: to be acted by.
    pub record: Record,
}

/// The last record of each model that is known.
#[derive(Debug)]
pub(crate) struct Ledger {
    me: ReplicaId,
    /// With when it came to be known.
    known: BTreeMap<ModelName, (Record, Duration)>,
    /// Models whose last record was not handed out yet, with what is to be told here of it and those before. To know a record is
    /// not to act by it.
    news: BTreeMap<ModelName, Vec<(Telling, Evidence)>>,
    /// Numbers of records that this replica could not write, or did without being told so.
    doubts: BTreeMap<ModelName, u64>,
}

impl Ledger {
    pub(crate) fn new(me: ReplicaId) -> Ledger {
        let (known, news, doubts) = Default::default();
        Ledger { me, known, news, doubts }
    }

    pub(crate) fn get(&self, model: &str) -> Option<&(Record, Duration)> {
        self.known.get(model)
    }

    pub(crate) fn record(&self, model: &str) -> Option<&Record> {
        self.get(model).map(|(record, _)| record)
    }

    /// Is the last record acted by?
    pub(crate) fn is_followed(&self, model: &str) -> bool {
        !self.news.contains_key(model)
    }

    pub(crate) fn news(&mut self) -> Vec<News> {
        let news = mem::take(&mut self.news).into_iter();
        let with = |(model, decided): (ModelName, Vec<(Telling, Evidence)>)| {
            Some(News { decided, record: self.record(model.as_str())?.clone() })
        };
        news.filter_map(with).collect()
    }

    /// Reads what others have written. Is there anything?
    pub(crate) fn catch_up(
        &mut self,
        store: &dyn Store,
        model: &ModelName,
        now: Duration,
    ) -> Result<bool, ShareError> {
        let mut is_new = false;
        // Others may have written after it by now, and it is to be told all the same.
        if let Some(number) = self.doubts.get(model)
            && let Some(mine) = log::at(store, model, *number)?.filter(|it| it.by == self.me)
        {
            self.adopt(mine, now);
            is_new = true;
        }
        if let Some(record) = log::after(store, model, self.record(model.as_str()))? {
            self.adopt(record, now);
            is_new = true;
        }
        Ok(is_new)
    }

    /// Writes the record that follows. `false`: another has written one there. An error: it may be written, and is
    /// told of when it is found.
    pub(crate) fn write(
        &mut self,
        store: &dyn Store,
        record: Record,
        now: Duration,
    ) -> Result<bool, ShareError> {
        match log::append(store, &record) {
            Ok(true) => self.adopt(record, now),
            Ok(false) => return Ok(false),
            Err(error) => {
                let model = record.saved.rollout.subject().model().clone();
                self.doubts.insert(model, record.number);
                return Err(error.into());
            }
        }
        Ok(true)
    }

    /// The only way to a record, whoever wrote it.
    fn adopt(&mut self, record: Record, now: Duration) {
        let model = record.saved.rollout.subject().model().clone();
        let before = self.record(model.as_str());
        let led = before.is_some_and(|it| it.leader == self.me);
        if record.leader == self.me && !led {
            tracing::info!(%model, term = record.term, leader = %record.leader, "this replica leads a rollout");
        }
        // What is one's own comes here once.
        let mine = record.told().filter(|_| record.by == self.me);
        let decided: Vec<_> = mine.map(|(telling, it)| (telling, it.clone())).collect();
        if self.doubts.get(&model).is_some_and(|it| *it <= record.number) {
            self.doubts.remove(&model);
        }
        self.news.entry(model.clone()).or_default().extend(decided);
        self.known.insert(model, (record, now));
    }
}
