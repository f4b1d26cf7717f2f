//! Which settings can be tried, and why the others cannot.

use std::collections::BTreeSet;

use server_lifecycle::{Defaults, Engines, ModelConfig, Single};

use crate::file;
use crate::setting::Setting;
use crate::wishes::Checked;

/// Batch sizes that are compared where nothing else is said: alone, one vector register of floats,
/// and what a server takes by itself.
const BATCH_SIZES: [usize; 3] = [1, 8, 32];

/// A setting and what it means for the server.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Which.
    pub setting: Setting,
    /// The `model.toml` that says it.
    pub text: String,
    /// The same as the server reads it.
    pub config: ModelConfig,
}

/// Settings that are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Of which engine.
    pub engine: &'static str,
    /// How many.
    pub count: usize,
    /// Why.
    pub reason: String,
}

/// Batch sizes to compare; `None` for a model whose requests are never joined.
pub(crate) fn batches(
    checked: &Checked,
    rows: usize,
    config: &ModelConfig,
    faults: &mut Vec<String>,
) -> Vec<Option<usize>> {
    if config.batching.rows_max == 0 {
        if checked.batch_sizes.is_some() {
            let text = "--batch-sizes: model.toml says max_batch_size = 0, never to join requests";
            faults.push(text.to_owned());
        }
        return vec![None];
    }
    let sizes = match &checked.batch_sizes {
        Some(sizes) => sizes.clone(),
        None => {
            let mut sizes = BATCH_SIZES.to_vec();
            sizes.extend([config.batching.rows_max, rows]);
            sizes.sort_unstable();
            sizes.dedup();
            sizes
        }
    };
    let largest = sizes.iter().copied().max().unwrap_or(0);
    if rows > largest {
        let text =
            format!("--rows: {rows} rows of a request fit in no batch, the largest is {largest}");
        faults.push(text);
    }
    sizes.into_iter().filter(|it| *it >= rows).map(Some).collect()
}

/// Every combination, in the order of the lists.
pub(crate) fn product(
    checked: &Checked,
    engines: &Engines,
    config: &ModelConfig,
    batches: &[Option<usize>],
) -> Vec<Setting> {
    let names = checked.engines.clone().unwrap_or_else(|| {
        // Another engine may give other answers: only one that the model has, or would get.
        let mut names: Vec<&'static str> = engines.automatic().map(|it| it.name()).collect();
        let own = engines.available().map(|it| it.name());
        let mut own = own.filter(|it| config.engine.as_deref() == Some(it));
        names.extend(own.next().filter(|it| !names.contains(it)));
        names
    });
    let counts = |asked: &Option<Vec<usize>>, own: usize| {
        asked.clone().unwrap_or_else(|| doublings(checked.cores, own))
    };
    let instances = counts(&checked.instances, config.instances);
    let threads = counts(&checked.threads, config.options.intra_op_threads);
    let mut product = Vec::new();
    for &engine in &names {
        for &instances in &instances {
            for &threads in &threads {
                let setting = |&batch| Setting { engine, instances, threads, batch };
                product.extend(batches.iter().map(setting));
            }
        }
    }
    product
}

/// 1, 2, 4, … up to `cores`, which is always among them, and so is what the model has now.
fn doublings(cores: usize, own: usize) -> Vec<usize> {
    let mut counts: Vec<usize> =
        (0..usize::BITS).map(|it| 1 << it).take_while(|&it: &usize| it < cores).collect();
    counts.extend([cores, own]);
    counts.sort_unstable();
    counts.dedup();
    counts
}

/// What can be tried, and what cannot: what the server's own reader refuses, and what would only
/// measure how threads wait for a core.
pub(crate) fn sift(
    settings: &[Setting],
    single: &Single,
    defaults: &Defaults,
) -> (Vec<Candidate>, Vec<Skipped>) {
    let (mut candidates, mut skipped) = (Vec::new(), Vec::<Skipped>::new());
    for &setting in settings {
        let candidate = file::merged(single.text(), &setting).and_then(|text| {
            let config = ModelConfig::parse(&text, defaults).map_err(|it| it.join("; "))?;
            if config.cores_wanted() > defaults.instances {
                return Err(too_many(defaults.instances));
            }
            Ok(Candidate { setting, text, config })
        });
        match candidate {
            Ok(candidate) => candidates.push(candidate),
            Err(reason) => {
                let engine = setting.engine;
                let alike = |it: &&mut Skipped| it.engine == engine && it.reason == reason;
                match skipped.iter_mut().find(alike) {
                    Some(skipped) => skipped.count += 1,
                    None => skipped.push(Skipped { engine, count: 1, reason }),
                }
            }
        }
    }
    (candidates, skipped)
}

fn too_many(cores: usize) -> String {
    format!("instances times threads is more than the cores ({cores})")
}

/// Says why there is nothing to try, or nothing of an engine that was asked for.
pub(crate) fn explain(
    checked: &Checked,
    (candidates, skipped): (&[Candidate], &[Skipped]),
    faults: &mut Vec<String>,
) {
    let many = too_many(checked.cores);
    if candidates.is_empty() && skipped.iter().all(|it| it.reason == many) {
        faults.push(format!("--instances, --threads: every combination is left out: {many}"));
        return;
    }
    let mut lost: Vec<&'static str> = checked.engines.clone().unwrap_or_default();
    lost.retain(|engine| !candidates.iter().any(|it| it.setting.engine == *engine));
    if candidates.is_empty() {
        lost.extend(
            skipped
                .iter()
                .map(|it| it.engine)
                .filter(|it| !lost.contains(it))
                .collect::<BTreeSet<_>>(),
        );
    }
    for engine in lost {
        let reasons = skipped.iter().filter(|it| it.engine == engine).map(|it| it.reason.as_str());
        let reasons: Vec<&str> = reasons.collect();
        faults.push(format!("nothing is left to compare of {engine}: {}", reasons.join("; ")));
    }
}
