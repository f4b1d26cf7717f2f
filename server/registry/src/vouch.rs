//! A pull asks who vouches for what it brings: before the bytes come, and again of what the cache has.

use crate::cache::{Lease, Record};
use crate::error::RegistryError;
use crate::pull::Puller;
use crate::signature::Vouching;
use crate::source::Source;
use crate::thread;
use crate::uri::{Place, Uri};

/// May a registry of this kind keep signatures beside its models?
pub(crate) fn keeps_signatures(uri: &Uri) -> bool {
    matches!(uri.place, Place::Oci { .. })
}

impl Puller<'_> {
    /// What a registry has beside what it calls `identity`, judged by the policy. What it says wrongly is as
    /// good as nothing; that it says nothing at all is an error.
    pub(crate) async fn beside(
        &self,
        uri: &Uri,
        source: &dyn Source,
        identity: &str,
    ) -> Result<Vouching, RegistryError> {
        if !keeps_signatures(uri) {
            return Ok(Vouching::None);
        }
        let Some(mut judge) = self.signatures.judge(identity.parse()?) else {
            return Ok(Vouching::None);
        };
        let most = self.registries.limits().look_max;
        if tokio::time::timeout(most, source.vouchers(&mut judge)).await.is_err() {
            let words = format!("{uri}: no good signature within {most:?}");
            judge.misses(RegistryError::Slow(words));
        }
        judge.verdict()
    }

    /// A model of the cache that the policy allows: by what lies in it or beside it there, or else by what its
    /// registry has by now.
    pub(crate) async fn lease_or_ask(
        &self,
        uri: &Uri,
        source: &dyn Source,
        record: &Record,
    ) -> Result<Option<Lease>, RegistryError> {
        let refused = match self.lease(uri, record).await {
            Err(refused @ RegistryError::Policy(_)) if keeps_signatures(uri) => refused,
            leased => return leased,
        };
        let Some(tree) = record.tree() else { return Err(refused) };
        // Held until it is vouched for: nobody sweeps it away in between.
        let cache = self.cache.clone();
        let held = move || cache.lease_unchecked(tree);
        let Some(_held) = thread::run("registry/hold", held).await? else { return Ok(None) };
        match self.beside(uri, source, &record.identity).await? {
            Vouching::None => Err(refused),
            bad @ Vouching::Bad(_) => {
                Err(self.signatures.settled(uri, &bad).err().unwrap_or(refused))
            }
            Vouching::Good(vouched) => {
                let cache = self.cache.clone();
                thread::run("registry/write", move || cache.vouch(tree, &vouched)).await?;
                self.lease(uri, record).await
            }
        }
    }
}
