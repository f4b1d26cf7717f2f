//! In place of `rollouts` in a build without them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use server_base::settings::Section;
use server_base::{Journal, ModelName, Series};
use server_frontend::{Conductor, Truth};
use server_lifecycle::{Direction, Lifecycle};
use server_serving::Serving;
use server_supply::Prepared;

use crate::built;
use crate::settings::Settings;

/// None.
pub(crate) const SERIES: [&[Series]; 0] = [];

/// There is nowhere to meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meeting {}

impl Meeting {
    /// None, whatever is written: that is refused where all such settings are.
    pub(crate) fn read(_: &str, _: &mut Section<'_>) -> Option<Meeting> {
        None
    }
}

/// Nothing is under way.
pub(crate) struct Kept;

impl Kept {
    /// Nobody directs a model.
    pub(crate) fn directions(&self) -> BTreeMap<ModelName, Direction> {
        BTreeMap::new()
    }
}

/// Refuses to start over what another build has begun: a version that was rolled back would serve again.
pub(crate) fn read(settings: &Settings, _: Option<Arc<Journal>>) -> anyhow::Result<Kept> {
    let Some(folder) = &settings.state else { return Ok(Kept) };
    let found = left(folder).with_context(|| format!("state folder {}", folder.display()))?;
    let missing = built::ROLLOUTS.missing();
    let (names, folder) = (found.join(", "), folder.display());
    anyhow::ensure!(
        found.is_empty(),
        "state folder {folder} has rollouts ({names}), and {missing}; what was rolled back would serve again: \
         move these files away if it may"
    );
    Ok(Kept)
}

/// What a build with rollouts has written down: one file for each model. Nothing else lies there under such a name.
fn left(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|it| it == "json") {
            names.extend(path.file_name().map(|it| it.to_string_lossy().into_owned()));
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// There is nothing to drive.
// It can fail where there is.
#[expect(clippy::unnecessary_wraps, reason = "as above")]
pub(crate) fn start(
    _: Kept,
    _: (Lifecycle, Arc<Serving>),
    _: Option<&Prepared>,
    _: Option<Arc<Truth>>,
) -> io::Result<Conductor> {
    Ok(Conductor)
}
