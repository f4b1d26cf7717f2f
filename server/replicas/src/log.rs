//! A model's log: numbered records, each made once.

use std::io;

use server_base::ModelName;

use crate::record::{FORMAT, Record};
use crate::store::Store;

/// Older records are taken away.
const RECORDS_KEPT: u64 = 64;

/// Why replicas do not agree.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
    /// The store does not answer.
    #[error("the shared state cannot be reached")]
    Store(#[from] io::Error),
    /// What another replica says of itself: records can be read, and are enough to load by.
    #[error("what other replicas report cannot be read")]
    Reports(#[source] io::Error),
    /// Nobody writes over it: it may be of a newer release.
    #[error("record {number} of {model} cannot be read, so nothing is decided on it: {reason}")]
    Unreadable {
        /// Whose.
        model: ModelName,
        /// Which.
        number: u64,
        /// Why.
        reason: String,
    },
    /// Such as a folder that was restored from a backup.
    #[error("record {number} of {model} has term {term}, and term {known} was seen before")]
    Backwards {
        /// Whose.
        model: ModelName,
        /// Which.
        number: u64,
        /// Its own.
        term: u64,
        /// The one before.
        known: u64,
    },
}

fn folder(model: &ModelName) -> String {
    format!("rollouts/{model}")
}

/// Twenty digits: every number has them, and names sort as numbers do.
fn name(model: &ModelName, number: u64) -> String {
    format!("{}/{number:020}.json", folder(model))
}

fn numbers(store: &dyn Store, model: &ModelName) -> io::Result<Vec<u64>> {
    let names = store.list(&folder(model))?;
    let number = |it: &String| it.strip_suffix(".json")?.parse().ok();
    Ok(names.iter().filter_map(number).collect())
}

/// Whose logs there are. Names that are none of ours are passed over.
pub(crate) fn models(store: &dyn Store) -> io::Result<Vec<ModelName>> {
    let names = store.list("rollouts")?;
    Ok(names.iter().filter_map(|it| ModelName::new(it).ok()).collect())
}

/// The last record, unless it is the one that is known: then `None`, as for a log without any.
pub(crate) fn after(
    store: &dyn Store,
    model: &ModelName,
    known: Option<&Record>,
) -> Result<Option<Record>, ShareError> {
    let last = numbers(store, model)?.into_iter().max();
    let Some(number) = last.filter(|it| known.is_none_or(|known| known.number < *it)) else {
        return Ok(None);
    };
    // One that was taken away meanwhile has successors, which the next turn finds.
    let Some(bytes) = store.read(&name(model, number))? else { return Ok(None) };
    let record = parse(&bytes, model, number).map_err(|reason| ShareError::Unreadable {
        model: model.clone(),
        number,
        reason,
    })?;
    match known {
        Some(known) if record.term < known.term => Err(ShareError::Backwards {
            model: model.clone(),
            number,
            term: record.term,
            known: known.term,
        }),
        _ => Ok(Some(record)),
    }
}

/// Record `number`, if it is there, can be read and says something.
pub(crate) fn at(store: &dyn Store, model: &ModelName, number: u64) -> io::Result<Option<Record>> {
    let mut numbers = numbers(store, model)?;
    numbers.sort_unstable();
    if numbers.binary_search(&number).is_err() || comes_late(&numbers, number) {
        return Ok(None);
    }
    let bytes = store.read(&name(model, number))?;
    Ok(bytes.and_then(|it| parse(&it, model, number).ok()))
}

/// Who slept for long may have written where a record was taken away: the one before it went first.
fn comes_late(numbers: &[u64], number: u64) -> bool {
    let last = numbers.last().is_some_and(|it| *it > number);
    let before = number.checked_sub(1).filter(|it| *it > 0);
    last && before.is_some_and(|it| numbers.binary_search(&it).is_err())
}

fn parse(bytes: &[u8], model: &ModelName, number: u64) -> Result<Record, String> {
    let record: Record = serde_json::from_slice(bytes).map_err(|it| it.to_string())?;
    if record.format != FORMAT {
        return Err(format!("format {}, expected {FORMAT}", record.format));
    }
    let its = record.saved.rollout.subject().model();
    if record.number != number || its != model {
        return Err(format!("it says that it is record {} of {its}", record.number));
    }
    Ok(record)
}

/// Writes the record that follows. `false`: another has written one there, and this one says nothing.
pub(crate) fn append(store: &dyn Store, record: &Record) -> io::Result<bool> {
    let model = record.saved.rollout.subject().model();
    let bytes = serde_json::to_vec(record).map_err(io::Error::other)?;
    let name = name(model, record.number);
    match store.create(&name, &bytes) {
        Ok(true) => {}
        // What failed may have been done nevertheless.
        made => {
            if store.read(&name)?.as_deref() != Some(&bytes[..]) {
                return made;
            }
        }
    }
    let mut numbers = numbers(store, model)?;
    numbers.sort_unstable();
    if comes_late(&numbers, record.number) {
        return Ok(false);
    }
    for old in numbers.into_iter().filter(|it| it.saturating_add(RECORDS_KEPT) <= record.number) {
        if let Err(error) = store.remove(&self::name(model, old)) {
            tracing::debug!(%model, %error, "an old record stays");
            break;
        }
    }
    Ok(true)
}
