//! From an address to a model in use.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::archive::{Files, Unpack};
use crate::cache::{Cache, Fact, Flock, Lease, Listing, Record, Staging};
use crate::digest::Digest;
use crate::download::{self, Job};
use crate::error::RegistryError;
use crate::limits::Limits;
use crate::lock::Lock;
use crate::path::{RelativePath, check_together};
use crate::progress::Progress;
use crate::signature::{SignaturePolicy, Vouching, may_be_signed_within};
use crate::source::{self, Form, Manifest, Remote, Resolution, Source};
use crate::sources::Registries;
use crate::thread;
use crate::uri::Uri;
use crate::vouch::keeps_signatures;

/// Files of one model that are fetched at a time. Several hide the latency of small files; one is enough
/// for the bandwidth of a large one. Each takes 4 MiB at most.
const FETCHES_MAX: usize = 4;

/// What a pull works with.
#[derive(Clone, Copy)]
pub struct Puller<'a> {
    /// Where models come from.
    pub registries: &'a Registries,
    /// Where they go.
    pub cache: &'a Cache,
    /// What they must be: an address that is pinned is that or nothing.
    pub lock: &'a Lock,
    /// Who must have signed them.
    pub signatures: &'a SignaturePolicy,
    /// Who wants to know.
    pub progress: &'a dyn Progress,
}

/// A model that was pulled, or was there.
#[derive(Debug)]
pub struct Pulled {
    /// It, in use.
    pub lease: Lease,
    /// What is known of it.
    pub record: Record,
    /// Did any of it have to be fetched?
    pub fetched: bool,
}

impl Puller<'_> {
    /// Brings what the address names now into the cache and into use.
    ///
    /// A pinned model that is in the cache is taken from there without asking anyone. Dropped before it
    /// ends, it leaves what the next pull can go on with. Small files are read, and locks tried, by the
    /// thread that drives it: give it one of its own, not one that answers requests.
    pub async fn pull(&self, uri: &Uri) -> Result<Pulled, RegistryError> {
        match self.pinned(uri).await {
            Ok(Some(pulled)) => return Ok(pulled),
            // The cache knows nobody who vouches for it; its registry may, by now.
            Err(RegistryError::Policy(_)) if keeps_signatures(uri) => {}
            Ok(None) => {}
            Err(other) => return Err(other),
        }
        let limits = self.registries.limits();
        let name = Digest::of(format!("pull {}", uri.as_str()).as_bytes()).hex();
        let _flight = Flock::wait(&self.cache.lock(&name), limits.lock_max).await?;
        let source = self.registries.source(uri)?;
        let known = self.known(uri)?;
        let identity = known.as_ref().map(|it| it.identity.as_str());
        let mut resolution = self.look(uri, source.as_ref(), identity).await?;
        if let Some(record) = self.here(uri, &resolution, known)? {
            // What is in the cache may be damaged; then it is gone now, and is fetched once more.
            match self.lease_or_ask(uri, source.as_ref(), &record).await {
                Ok(Some(lease)) => {
                    let record = self.said(uri, (record, &resolution)).await?;
                    return self.judged(uri, Pulled { lease, record, fetched: false });
                }
                Ok(None) | Err(RegistryError::Corrupt(_)) => {
                    if resolution == Resolution::Unchanged {
                        resolution = self.look(uri, source.as_ref(), None).await?;
                    }
                }
                Err(other) => return Err(other),
            }
        }
        let Resolution::Manifest(manifest) = resolution else {
            let words = format!("{uri}: unchanged, but since when it does not say");
            return Err(RegistryError::Answer(words));
        };
        self.fetch(uri, source.as_ref(), manifest).await
    }

    /// What the cache has for an address, without asking its registry.
    pub async fn offline(&self, uri: &Uri) -> Result<Pulled, RegistryError> {
        if let Some(pulled) = self.pinned(uri).await? {
            return Ok(pulled);
        }
        let missing = || RegistryError::NotFound(format!("{uri} is not in the cache"));
        let record = self.cache.record(uri)?.ok_or_else(missing)?;
        let lease = self.lease(uri, &record).await?.ok_or_else(missing)?;
        self.judged(uri, Pulled { lease, record, fetched: false })
    }

    /// What an address has named before, by its digest, if the cache has it still. Asks no registry.
    pub async fn recall(&self, uri: &Uri, tree: Digest) -> Result<Option<Lease>, RegistryError> {
        let record = Record { tree: tree.to_string(), ..Record::default() };
        let lease = match self.lease(uri, &record).await {
            Err(RegistryError::Corrupt(_)) => None, // gone now
            leased => leased?,
        };
        if let (Some(lease), Some(pinned)) = (&lease, self.lock.get(uri)) {
            pinned.check(uri, lease.listing())?;
        }
        Ok(lease)
    }

    async fn pinned(&self, uri: &Uri) -> Result<Option<Pulled>, RegistryError> {
        let Some(pinned) = self.lock.get(uri) else { return Ok(None) };
        let tree = pinned.listing.digest();
        let (name, identity) = (uri.to_string(), pinned.identity.clone());
        let fresh = Record { uri: name, identity, tree: tree.to_string(), ..Record::default() };
        let seen = self.cache.record(uri)?.filter(|it| it.tree() == Some(tree));
        let record = seen.unwrap_or(fresh);
        match self.lease(uri, &record).await {
            Ok(Some(lease)) => Ok(Some(Pulled { lease, record, fetched: false })),
            Ok(None) | Err(RegistryError::Corrupt(_)) => Ok(None),
            Err(other) => Err(other),
        }
    }

    async fn look(
        &self,
        uri: &Uri,
        source: &dyn Source,
        known: Option<&str>,
    ) -> Result<Resolution, RegistryError> {
        source::look(uri, source, known, self.registries.limits().look_max).await
    }

    /// The last look, if what it found is still there and can be told from another.
    fn known(&self, uri: &Uri) -> Result<Option<Record>, RegistryError> {
        let there = |it: &Record| it.tree().is_some_and(|it| self.cache.has(it));
        Ok(self.cache.record(uri)?.filter(|it| !it.identity.is_empty() && there(it)))
    }

    /// What the cache has of what was found: the same as at the last look, or as at one before it.
    fn here(
        &self,
        uri: &Uri,
        found: &Resolution,
        known: Option<Record>,
    ) -> Result<Option<Record>, RegistryError> {
        let Resolution::Manifest(found) = found else { return Ok(known) };
        let seen = self.cache.seen(uri, &found.identity)?;
        let there = seen.filter(|it| it.tree().is_some_and(|it| self.cache.has(it)));
        // What people say of it may have changed since.
        let (tags, provenance) = (found.tags.clone(), found.provenance.clone());
        Ok(there.map(|it| Record { tags, provenance, ..it }))
    }

    /// With what people say of it now, which is kept.
    async fn said(
        &self,
        uri: &Uri,
        (mut record, found): (Record, &Resolution),
    ) -> Result<Record, RegistryError> {
        if *found == Resolution::Unchanged {
            let known = (record.identity.as_str(), &record.tags);
            match self.registries.said(uri, known).await? {
                Some(tags) if tags != record.tags => record.tags = tags,
                Some(_) | None => return Ok(record),
            }
        }
        self.cache.remember(uri, &record)?;
        Ok(record)
    }

    /// Takes a model of the cache into use: every byte hashed, and signed by whom the policy wants.
    pub(crate) async fn lease(
        &self,
        uri: &Uri,
        record: &Record,
    ) -> Result<Option<Lease>, RegistryError> {
        let Some(tree) = record.tree() else { return Ok(None) };
        let (cache, uri) = (self.cache.clone(), uri.clone());
        let signatures = self.signatures.clone();
        let lease = move || {
            let Some(lease) = cache.lease(tree)? else { return Ok(None) };
            let beside = match signatures.is_asking() {
                true => cache.vouched(tree)?,
                false => None,
            };
            let judge = beside.and_then(|it| Some((signatures.judge(it.of)?, it.voucher)));
            let beside = match judge {
                Some((mut judge, voucher)) => {
                    judge.hears(voucher);
                    judge.verdict()?
                }
                None => Vouching::None,
            };
            signatures.check(&uri, (lease.folder(), lease.listing()), &beside)?;
            Ok(Some(lease))
        };
        thread::run("registry/hash", lease).await
    }

    fn judged(&self, uri: &Uri, pulled: Pulled) -> Result<Pulled, RegistryError> {
        if let Some(pinned) = self.lock.get(uri) {
            pinned.check(uri, pulled.lease.listing())?;
        }
        Ok(pulled)
    }

    async fn fetch(
        &self,
        uri: &Uri,
        source: &dyn Source,
        manifest: Manifest,
    ) -> Result<Pulled, RegistryError> {
        let limits = self.registries.limits();
        let declared = declared(uri, &manifest, limits)?;
        let beside = self.beside(uri, source, &manifest.identity).await?;
        if !may_be_signed_within(&manifest.files) {
            self.signatures.settled(uri, &beside)?; // nothing of it need come
        }
        self.progress.expects(declared);
        self.make_room(uri, declared).await?;
        let most = limits.model_bytes_max.min(self.cache.bytes_max());
        let room = AtomicU64::new(most.saturating_sub(declared));
        let staging = Staging::new(self.cache)?;
        let jobs = manifest.files.iter().enumerate().map(|(n, file)| {
            let job = self.job((uri, &manifest), source, (n, file), (&staging, &room));
            async move {
                let job = job?;
                let to = job.to.clone();
                let (digest, size) = job.run().await?;
                Ok::<_, RegistryError>((file, to, Fact { digest, size }))
            }
        });
        let arrived: Vec<_> = stream::iter(jobs).buffered(FETCHES_MAX).try_collect().await?;
        let (staging, listing) = self.publishable((uri, &beside), staging, arrived).await?;
        let record = Record {
            uri: uri.to_string(),
            identity: manifest.identity,
            version: manifest.version,
            tree: listing.digest().to_string(),
            tags: manifest.tags,
            provenance: manifest.provenance,
        };
        let (cache, uri, keep) = (self.cache.clone(), uri.clone(), self.pinned_trees());
        thread::run("registry/write", move || {
            let lease = staging.publish(&cache, &listing)?;
            if let Vouching::Good(vouched) = &beside {
                cache.vouch(lease.digest(), vouched)?;
            }
            cache.remember(&uri, &record)?;
            if listing.bytes() > declared {
                // More came than room was made for.
                cache.sweep(0, &keep)?;
            }
            Ok(Pulled { lease, record, fetched: true })
        })
        .await
    }

    fn job<'a>(
        &'a self,
        (uri, manifest): (&Uri, &Manifest),
        source: &'a dyn Source,
        (n, file): (usize, &'a Remote),
        (staging, room): (&Staging, &'a AtomicU64),
    ) -> Result<Job<'a>, RegistryError> {
        let pinned = self.lock.get(uri).filter(|_| file.form == Form::Plain);
        let pinned = pinned.and_then(|it| it.listing.get(&file.path)).map(|it| it.digest);
        if let (Some(pinned), Some(declared)) = (pinned, file.digest)
            && pinned != declared
        {
            let words = format!("{uri}: {} is pinned to {pinned} and is {declared}", file.path);
            return Err(RegistryError::Policy(words));
        }
        let to = match file.form {
            Form::Plain => staging.place(&file.path)?,
            Form::Tar { .. } => staging.aside(&format!("archive-{n}")),
        };
        let digest = file.digest.or(pinned);
        let origin = format!("{}\n{}", uri.as_str(), manifest.identity);
        Ok(Job {
            cache: self.cache,
            source,
            file,
            key: download::key(file, digest, &origin),
            lasting: digest.is_some() || !manifest.identity.is_empty(),
            digest,
            to,
            room,
            limits: self.registries.limits(),
            progress: self.progress,
        })
    }

    /// Unpacks archives and checks what must hold before anyone may see the model.
    async fn publishable(
        &self,
        (uri, beside): (&Uri, &Vouching),
        staging: Staging,
        arrived: Vec<(&Remote, PathBuf, Fact)>,
    ) -> Result<(Staging, Listing), RegistryError> {
        let arrived: Vec<(RelativePath, Form, PathBuf, Fact)> = arrived
            .into_iter()
            .map(|(file, to, fact)| (file.path.clone(), file.form.clone(), to, fact))
            .collect();
        let (cache, limits) = (self.cache.clone(), self.registries.limits().clone());
        let (pinned, signatures) = (self.lock.get(uri).cloned(), self.signatures.clone());
        let (uri, beside) = (uri.clone(), beside.clone());
        let work = move || {
            let mut files = Files::new();
            let plain = arrived.iter().filter(|(_, form, ..)| *form == Form::Plain);
            let plain = plain.fold(0, |all: u64, (.., fact)| all.saturating_add(fact.size));
            let left = limits.model_bytes_max.min(cache.bytes_max()).saturating_sub(plain);
            let mut unpack = Unpack { cache: &cache, staging: &staging, limits: &limits, left };
            for (path, form, at, fact) in arrived {
                match form {
                    Form::Plain => drop(files.insert(path, fact)),
                    Form::Tar { gzip, folder } => unpack.run(&at, (gzip, &folder), &mut files)?,
                }
            }
            let listing = Listing::new(files)?;
            if listing.iter().next().is_none() {
                return Err(RegistryError::NotFound(format!("{uri} has no files")));
            }
            if let Some(pinned) = pinned {
                pinned.check(&uri, &listing)?;
            }
            signatures.check(&uri, (&staging.aside("tree/files"), &listing), &beside)?;
            Ok((staging, listing))
        };
        thread::run("registry/unpack", work).await
    }

    async fn make_room(&self, uri: &Uri, bytes: u64) -> Result<(), RegistryError> {
        let most = self.cache.bytes_max();
        if bytes > most {
            let words = format!("{uri} has {bytes} bytes, the cache holds {most}");
            return Err(RegistryError::TooLarge(words));
        }
        let (cache, keep) = (self.cache.clone(), self.pinned_trees());
        thread::run("registry/sweep", move || cache.sweep(bytes, &keep)).await.map(drop)
    }

    /// What no sweep takes.
    fn pinned_trees(&self) -> BTreeSet<Digest> {
        self.lock.iter().map(|(_, it)| it.listing.digest()).collect()
    }
}

/// Bytes that are declared, if files, names and sizes are such as may be.
fn declared(uri: &Uri, manifest: &Manifest, limits: &Limits) -> Result<u64, RegistryError> {
    let too_large = |words: String| Err(RegistryError::TooLarge(format!("{uri}: {words}")));
    let most = limits.files_max;
    if manifest.files.len() > most {
        return too_large(format!("{} files, at most {most}", manifest.files.len()));
    }
    let plain = manifest.files.iter().filter(|it| it.form == Form::Plain);
    check_together(plain.map(|it| &it.path))?;
    let sizes = manifest.files.iter().filter_map(|it| it.size);
    let bytes = sizes.fold(0, u64::saturating_add);
    match bytes > limits.model_bytes_max {
        true => too_large(format!("{bytes} bytes, at most {}", limits.model_bytes_max)),
        false => Ok(bytes),
    }
}
