//! The reference that a version carries.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use server_drift::profile::{FORMAT, distinct_rows};
use server_drift::{Feature, Origin, Profile, Role, Source};

/// Where a reference is looked for if nothing says where: as `salver profile` writes it, and where
/// training code logs it as an artifact of the model.
const PLACES: [&str; 3] =
    ["profile.json", "monitoring/profile.json", "monitoring/reference.parquet"];

/// A profile of 512 features has at most so many bytes.
const PROFILE_BYTES_MAX: u64 = 64 << 20;

/// Reads it; `None`: it is to be learned. `outputs`: names of the log's output columns.
pub(crate) fn read(
    origin: &Origin,
    folder: &Path,
    (model, outputs): (&str, &[&str]),
) -> Result<Option<Profile>, String> {
    let place = match origin {
        Origin::Learned(_) => return Ok(None),
        Origin::File(path) => path.as_str(),
        Origin::Carried => {
            let found = PLACES.into_iter().find(|it| folder.join(it).is_file());
            found.ok_or_else(|| {
                format!(
                    "the version carries no reference: expected one of {}, or learn_rows",
                    PLACES.join(", ")
                )
            })?
        }
    };
    let path = folder.join(place);
    let profile = if Path::new(place).extension().is_some_and(|it| it == "json") {
        profile(&path)
    } else {
        table(&path, model, outputs)
    };
    profile.map(Some).map_err(|it| format!("{place}: {it}"))
}

fn profile(path: &Path) -> Result<Profile, String> {
    let file = File::open(path).map_err(|it| it.to_string())?;
    let mut text = Vec::new();
    let read = file.take(PROFILE_BYTES_MAX + 1).read_to_end(&mut text);
    read.map_err(|it| it.to_string())?;
    if text.len() as u64 > PROFILE_BYTES_MAX {
        return Err(format!("it has more than {PROFILE_BYTES_MAX} bytes"));
    }
    let profile: Profile = serde_json::from_slice(&text).map_err(|it| it.to_string())?;
    profile.check().map_err(|it| it.to_string())?;
    Ok(profile)
}

/// The data itself.
fn table(path: &Path, model: &str, outputs: &[&str]) -> Result<Profile, String> {
    fs::metadata(path).map_err(|it| it.to_string())?;
    let table = server_dataset::read(path).map_err(|it| it.to_string())?;
    let (mut features, mut columns) = (Vec::new(), Vec::new());
    for (name, values) in &table.columns {
        let role = if outputs.contains(&name.as_str()) { Role::Output } else { Role::Input };
        if let Some(it) = Feature::of(name, role, values, None).map_err(|it| it.to_string())? {
            features.push(it);
            columns.push(values);
        }
    }
    Ok(Profile {
        format: FORMAT,
        model: model.to_owned(),
        source: Source::Data,
        rows: table.rows as u64,
        distinct_rows: distinct_rows(&columns),
        features,
    })
}
