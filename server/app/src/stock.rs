//! Opens what registries, their cache and their rules are on this machine.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use server_registry::{
    AddressPolicy, Cache, Environment, Limits, Lock, PublicKey, Registries, RegistryError,
    SignaturePolicy, Uri,
};
use server_supply::Stock;

use crate::cli::PlaceArgs;

/// What the cache may take, unless somebody says otherwise: some models of the largest kind.
const CACHE_BYTES_MAX: u64 = 100 << 30;

/// Opens all of it, with the pins of the file that is named. `artifacts` are files that engines read.
pub(crate) fn open(
    place: &PlaceArgs,
    artifacts: Vec<&'static str>,
) -> Result<Stock, RegistryError> {
    let lock = place.lock.as_deref().map(Lock::read).transpose()?.unwrap_or_default();
    with(place, lock, artifacts)
}

/// The same, with these pins.
pub(crate) fn with(
    place: &PlaceArgs,
    lock: Lock,
    artifacts: Vec<&'static str>,
) -> Result<Stock, RegistryError> {
    let nowhere = "there is no home for a cache: name a folder with --cache";
    let default = || user_cache().map(|it| it.join("salver/models"));
    let folder = place.cache.clone().or_else(default);
    let folder = folder.ok_or_else(|| RegistryError::Invalid(nowhere.to_owned()))?;
    let policy = AddressPolicy { allow_private: place.allow_private_addresses.unwrap_or(false) };
    Ok(Stock {
        registries: Registries::new(environment(), docker_config(), policy, Limits::default()),
        cache: Cache::open(&folder, place.cache_bytes_max.unwrap_or(CACHE_BYTES_MAX))?,
        lock,
        signatures: signatures(&place.signer)?,
        artifacts,
    })
}

/// For what is sent: addresses that an operator wrote, with credentials as for models.
pub(crate) fn registries(limits: Limits) -> Registries {
    let policy = AddressPolicy { allow_private: true };
    Registries::new(environment(), docker_config(), policy, limits)
}

/// Whoever names a file of pins wants nothing else.
pub(crate) fn pinned(place: &PlaceArgs, stock: &Stock, uri: &Uri) -> Result<(), RegistryError> {
    if place.lock.is_some() && stock.lock.get(uri).is_none() {
        let words = format!("{uri} is not pinned: add it by `salver models lock`");
        return Err(RegistryError::Policy(words));
    }
    Ok(())
}

/// Models must be signed as soon as someone may sign them.
fn signatures(signers: &[PathBuf]) -> Result<SignaturePolicy, RegistryError> {
    if signers.is_empty() {
        return Ok(SignaturePolicy::Ignored);
    }
    let key = |path: &PathBuf| {
        let named = |why: String| RegistryError::Invalid(format!("{}: {why}", path.display()));
        let pem = fs::read_to_string(path).map_err(|error| named(error.to_string()))?;
        PublicKey::from_pem(&pem).map_err(|error| named(error.to_string()))
    };
    Ok(SignaturePolicy::Required(signers.iter().map(key).collect::<Result<_, _>>()?))
}

/// What registries' own tools read. Text only: nothing of it is a path that could be otherwise.
pub(crate) fn environment() -> Environment {
    let text = env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    text.collect()
}

/// The value of a variable that names a folder.
fn folder(name: &str) -> Option<PathBuf> {
    let found = env::vars_os().find(|(it, _)| it.to_str() == Some(name));
    found.map(|(_, value)| PathBuf::from(value)).filter(|it| it.is_absolute())
}

fn user_cache() -> Option<PathBuf> {
    folder("XDG_CACHE_HOME").or_else(|| home(".cache"))
}

fn docker_config() -> Option<PathBuf> {
    folder("DOCKER_CONFIG").or_else(|| home(".docker")).map(|it| it.join("config.json"))
}

fn home(name: impl AsRef<Path>) -> Option<PathBuf> {
    env::home_dir().map(|it| it.join(name))
}
