//! Addresses that somebody says have changed: they are looked at next, as soon as their registry may be asked again.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use server_registry::Uri;
use tokio::sync::{Notify, mpsc};

use crate::target::Target;
use crate::webhook::Changed;

/// Those of one registry. One thread's; never more than the registry has addresses.
#[derive(Default)]
pub(crate) struct Hurry {
    /// Never borrowed across a wait.
    changed: RefCell<BTreeMap<String, Uri>>,
    told: Notify,
}

impl Hurry {
    /// Waits until there are some.
    pub(crate) async fn next(&self) -> Vec<Uri> {
        loop {
            let changed = self.changed.take();
            if !changed.is_empty() {
                return changed.into_values().collect();
            }
            self.told.notified().await;
        }
    }

    fn add(&self, uri: &Uri) {
        self.changed.borrow_mut().insert(uri.as_str().to_owned(), uri.clone());
        self.told.notify_one();
    }
}

/// Tells each registry's keeper what is said of its addresses. Goes on until nobody can say anything any more.
pub(crate) async fn pass_on(
    mut changed: mpsc::Receiver<Changed>,
    targets: &[Target],
    keepers: &BTreeMap<String, Rc<Hurry>>,
) {
    while let Some(changed) = changed.recv().await {
        let mut addresses = 0;
        for target in targets {
            for uri in target.addresses().filter(|it| changed.is_about(target, it)) {
                keepers.get(&uri.registry()).into_iter().for_each(|it| it.add(uri));
                addresses += 1;
            }
        }
        tracing::info!(?changed, addresses, "a registry says that something has changed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::fixture::{target, uri};

    fn labelled(name: &str, source: &str) -> Target {
        let labels = [("canary".to_owned(), uri("s3://b/canary"))].into();
        Target { labels, ..target(name, uri(source)) }
    }

    #[tokio::test]
    async fn each_keeper_hears_of_its_own() {
        let targets =
            [labelled("a", "mlflow://h/wine@champion"), labelled("b", "mlflow://h/beer@champion")];
        let registry = |it: &str| uri(it).registry();
        let check = async |said: Changed, expect: [&[&str]; 2]| {
            let (send, changed) = mpsc::channel(1);
            send.send(said).await.expect("room");
            drop(send);
            let keepers: BTreeMap<String, Rc<Hurry>> =
                [registry("mlflow://h/wine@x"), registry("s3://b/x")]
                    .map(|it| (it, Rc::default()))
                    .into();
            pass_on(changed, &targets, &keepers).await;
            for (name, expect) in [("mlflow://h/wine@x", expect[0]), ("s3://b/x", expect[1])] {
                let hurried: Vec<String> =
                    keepers[&registry(name)].changed.take().into_keys().collect();
                assert_eq!(hurried, expect);
            }
        };
        check(Changed::Registered("wine".to_owned()), [&["mlflow://h/wine@champion"], &[]]).await;
        check(Changed::Model("b".to_owned()), [&["mlflow://h/beer@champion"], &["s3://b/canary"]])
            .await;
        check(Changed::Source("s3://b/canary".to_owned()), [&[], &["s3://b/canary"]]).await;
        check(Changed::Model("nobody".to_owned()), [&[], &[]]).await;
    }

    #[tokio::test]
    async fn what_was_said_before_anybody_listened_is_heard() {
        let (hurry, uri) = (Hurry::default(), uri("s3://b/x"));
        hurry.add(&uri);
        hurry.add(&uri);
        assert_eq!(hurry.next().await, [uri]);
    }
}
