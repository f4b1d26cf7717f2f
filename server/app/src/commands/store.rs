//! `salver models pull|verify|lock`: models of registries, on this machine's disk.

use std::future::Future;
use std::path::{Path, PathBuf};

use serde_json::json;
use server_registry::{Digest, Fault, Lock, Pinned, Pulled, Puller, RegistryError, Uri};
use server_supply::Stock;

use super::meter::Meter;
use crate::cli::{OutputFormat, PullArgs, StoreArgs};
use crate::stock;

/// What the commands need of a stock.
pub(crate) fn puller<'a>(stock: &'a Stock, lock: &'a Lock, meter: &'a Meter) -> Puller<'a> {
    let Stock { registries, cache, signatures, .. } = stock;
    Puller { registries, cache, lock, signatures, progress: meter }
}

/// Fetches a model, or finds that it is there.
pub(crate) fn pull(args: &PullArgs) -> Result<String, RegistryError> {
    // Parsed here and not by clap, which would quote it, passwords and all.
    let uri: Uri = args.uri.parse()?;
    let place = &args.store.place;
    let stock = stock::open(place, Vec::new())?;
    stock::pinned(place, &stock, &uri)?;
    let meter = Meter::default();
    let puller = puller(&stock, &stock.lock, &meter);
    let pulled = block_on(async {
        match args.offline {
            true => puller.offline(&uri).await,
            false => puller.pull(&uri).await,
        }
    });
    meter.done();
    let pulled = pulled?;
    let folder = match &args.to {
        Some(to) => {
            pulled.lease.copy_to(to)?;
            to.clone()
        }
        None => pulled.lease.folder().to_owned(),
    };
    Ok(match args.store.output {
        OutputFormat::Text => told(&uri, &pulled, &folder),
        OutputFormat::Json => object(&pulled, &folder).to_string(),
    })
}

/// Hashes everything.
pub(crate) fn verify(args: &StoreArgs) -> Result<String, RegistryError> {
    let stock = stock::open(&args.place, Vec::new())?;
    let (whole, faults) = stock.cache.verify()?;
    let pinned = stock.lock.iter().map(|(uri, it)| (uri, it.listing.digest()));
    let missing: Vec<(&str, Digest)> = pinned.filter(|(_, it)| !whole.contains(it)).collect();
    let damaged = |it: &Fault| format!("damaged and removed: {}", it.why);
    let absent = |(uri, tree): &(&str, Digest)| format!("pinned, but not here: {uri} ({tree})");
    let wrong: Vec<String> = faults.iter().map(damaged).chain(missing.iter().map(absent)).collect();
    if !wrong.is_empty() {
        return Err(RegistryError::Corrupt(wrong.join("\n")));
    }
    Ok(match args.output {
        OutputFormat::Text => format!("{} models are whole", whole.len()),
        OutputFormat::Json => {
            let trees: Vec<String> = whole.iter().map(ToString::to_string).collect();
            json!({ "whole": trees }).to_string()
        }
    })
}

/// Pins addresses. Either all are written, or none.
pub(crate) fn lock(uris: &[String], args: &StoreArgs) -> Result<String, RegistryError> {
    let mut uris: Vec<Uri> = uris.iter().map(|it| it.parse()).collect::<Result<_, _>>()?;
    let path = args.place.lock.clone().unwrap_or_else(|| PathBuf::from("models.lock"));
    let stock = stock::with(&args.place, Lock::read_or_new(&path)?, Vec::new())?;
    if uris.is_empty() {
        let known: Result<Vec<Uri>, _> = stock.lock.iter().map(|(uri, _)| uri.parse()).collect();
        uris = known?;
    }
    if uris.is_empty() {
        let words = format!("nothing to pin: {} names no model; name an address", path.display());
        return Err(RegistryError::Invalid(words));
    }
    let meter = Meter::default();
    let (unpinned, mut pins) = (Lock::default(), Vec::new());
    let mut lines = Vec::new();
    for uri in &uris {
        let pulled = block_on(puller(&stock, &unpinned, &meter).pull(uri));
        meter.done();
        let pulled = pulled?;
        let (identity, listing) = (pulled.record.identity.clone(), pulled.lease.listing().clone());
        lines.push(match args.output {
            OutputFormat::Text => told(uri, &pulled, pulled.lease.folder()),
            OutputFormat::Json => object(&pulled, pulled.lease.folder()).to_string(),
        });
        pins.push((uri.clone(), Pinned { identity, listing }));
    }
    // Not into what was read above: the pulls took their time, and someone may have pinned others meanwhile.
    block_on(Lock::add(&path, pins))?;
    Ok(lines.join("\n"))
}

fn told(uri: &Uri, pulled: &Pulled, folder: &Path) -> String {
    let (files, bytes) = (pulled.lease.listing().iter().count(), pulled.lease.listing().bytes());
    let version = pulled.record.version.map(|it| format!(" version {it}")).unwrap_or_default();
    let how = if pulled.fetched { "fetched" } else { "was here" };
    let (tree, folder) = (pulled.lease.digest(), folder.display());
    format!("{uri}{version} {how}: {files} files, {bytes} bytes\n  {tree}\n  {folder}")
}

fn object(pulled: &Pulled, folder: &Path) -> serde_json::Value {
    let file = |(path, fact): (&server_registry::RelativePath, &server_registry::Fact)| json!({ "path": path.as_str(), "size": fact.size, "digest": fact.digest.to_string() });
    let files: Vec<_> = pulled.lease.listing().iter().map(file).collect();
    json!({
        "uri": pulled.record.uri,
        "identity": pulled.record.identity,
        "version": pulled.record.version,
        "tree": pulled.lease.digest().to_string(),
        "folder": folder,
        "fetched": pulled.fetched,
        "files": files,
        "tags": pulled.record.tags,
        "provenance": pulled.record.provenance,
    })
}

pub(crate) fn block_on<T>(
    work: impl Future<Output = Result<T, RegistryError>>,
) -> Result<T, RegistryError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let failed = |error| RegistryError::Local("cannot start a runtime".to_owned(), error);
    runtime.map_err(failed)?.block_on(work)
}
