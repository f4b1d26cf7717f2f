//! What cosign keeps beside models of OCI registries: found wherever it may lie, judged, bounded and kept.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use server_registry::{Digest, ErrorKind, PublicKey, SignaturePolicy};

use crate::house::{House, told};
use crate::liar::{Asked, Liar, Reply, raw, reply};

const ONNX: &str = "model";
const SIMPLE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const PREDICATE: &str = "https://sigstore.dev/cosign/sign/v1";
const ENDLESS: &str = "endless";

/// Somebody who signs; `seed` says who.
struct Signer(Ed25519KeyPair);

impl Signer {
    fn new(seed: u8) -> Signer {
        Signer(Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("a key"))
    }

    fn policy(&self) -> SignaturePolicy {
        let head = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
        let der = STANDARD.encode([&head, self.0.public_key().as_ref()].concat());
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{der}\n-----END PUBLIC KEY-----");
        SignaturePolicy::Required(vec![PublicKey::from_pem(&pem).expect("a key")])
    }

    fn sign(&self, words: &str) -> String {
        STANDARD.encode(self.0.sign(words.as_bytes()))
    }
}

/// What a registry has, by the end of its address: manifests by tag and digest, blobs, lists of referrers.
#[derive(Clone, Default)]
struct Shelf(Arc<Mutex<BTreeMap<String, String>>>);

impl Shelf {
    fn put(&self, place: &str, content: &str) {
        self.0.lock().expect("not poisoned").insert(place.to_owned(), content.to_owned());
    }

    /// Bytes by their digest; what a manifest says of them.
    fn blob(&self, kind: &str, content: &str) -> Value {
        let digest = Digest::of(content.as_bytes()).to_string();
        self.put(&format!("blobs/{digest}"), content);
        json!({ "mediaType": kind, "digest": digest, "size": content.len() })
    }

    /// A manifest by its digest.
    fn manifest(&self, content: &Value) -> Digest {
        let text = content.to_string();
        let digest = Digest::of(text.as_bytes());
        self.put(&format!("manifests/{digest}"), &text);
        digest
    }

    /// A layer with a payload for that manifest.
    fn layer(&self, signer: &Signer, of: Digest) -> Value {
        let critical = json!({
            "identity": { "docker-reference": "" }, "type": "cosign container image signature",
            "image": { "docker-manifest-digest": of.to_string() }
        });
        let payload = json!({ "critical": critical, "optional": null }).to_string();
        let mut layer = self.blob(SIMPLE, &payload);
        layer["annotations"] =
            json!({ "dev.cosignproject.cosign/signature": signer.sign(&payload) });
        layer
    }

    /// Signatures under the tag that cosign gives them.
    fn tagged(&self, of: Digest, layers: &[Value]) {
        let text = json!({ "layers": layers }).to_string();
        self.put(&format!("manifests/sha256-{}.sig", of.hex()), &text);
    }

    /// A manifest with a bundle, and how a list of referrers names it.
    fn bundle(&self, signer: &Signer, of: Digest) -> Value {
        let kind = "application/vnd.in-toto+json";
        let statement = json!({
            "predicateType": PREDICATE, "subject": [{ "digest": { "sha256": of.hex() } }]
        });
        let statement = statement.to_string();
        let sig =
            signer.sign(&format!("DSSEv1 {} {kind} {} {statement}", kind.len(), statement.len()));
        let envelope = json!({
            "payload": STANDARD.encode(&statement), "payloadType": kind,
            "signatures": [{ "sig": sig }]
        });
        let layer = self.blob(BUNDLE, &json!({ "dsseEnvelope": envelope }).to_string());
        let manifest = self.manifest(&json!({ "artifactType": BUNDLE, "layers": [layer] }));
        json!({ "artifactType": BUNDLE, "digest": manifest.to_string() })
    }

    fn answer(&self, asked: &Asked) -> Reply {
        let place = asked.line.rsplitn(3, '/').take(2).collect::<Vec<_>>();
        let place = format!("{}/{}", place[1], place[0]);
        let found = self.0.lock().expect("not poisoned").get(&place).cloned();
        match found.as_deref() {
            Some(ENDLESS) => Reply::Endless(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()),
            Some(text) => reply("200 OK; Content-Type: application/octet-stream", text),
            None => raw("404 Not Found; Content-Length: 0", ""),
        }
    }
}

/// A registry with a model of one file, a house that wants it signed, and the model's digest and address.
async fn shop(signer: &Signer) -> (Shelf, Liar, House, Digest, String) {
    let shelf = Shelf::default();
    let mut layer = shelf.blob("application/vnd.cncf.model.weight.v1.raw", ONNX);
    layer["annotations"] = json!({ "org.cncf.model.filepath": "model.onnx" });
    let config = json!({ "mediaType": "application/vnd.cncf.model.config.v1+json" });
    let manifest = json!({ "config": config, "layers": [layer] });
    let digest = shelf.manifest(&manifest);
    shelf.put("manifests/v1", &manifest.to_string());
    let answers = shelf.clone();
    let liar = Liar::start(move |asked| answers.answer(asked)).await;
    let mut house = House::new();
    house.signatures = signer.policy();
    let uri = format!("oci://{}/org/wine:v1?tls=false", liar.address);
    (shelf, liar, house, digest, uri)
}

/// A layer with that signature, good or not.
fn with(mut layer: Value, signature: &str) -> Value {
    layer["annotations"] = json!({ "dev.cosignproject.cosign/signature": signature });
    layer
}

/// The same registry at another place, which answers some things its own way, and the model's address there.
async fn odd(
    shelf: &Shelf,
    uri: &str,
    answer: impl Fn(&Asked) -> Option<Reply> + Send + Sync + 'static,
) -> (Liar, String) {
    let shelf = shelf.clone();
    let liar = Liar::start(move |asked| answer(asked).unwrap_or_else(|| shelf.answer(asked)));
    let liar = liar.await;
    let uri = uri.replace(&uri[6..uri.find("/org").expect("a name")], &liar.address);
    (liar, uri)
}

/// How often the model's own bytes were asked for.
fn fetches(liar: &Liar) -> usize {
    let blob = Digest::of(ONNX.as_bytes()).to_string();
    liar.asked().iter().filter(|it| it.contains(&blob)).count()
}

#[tokio::test]
async fn a_signature_is_found_wherever_cosign_puts_it() {
    let (signer, stranger) = (Signer::new(1), Signer::new(2));
    for place in ["tag", "referrers of the registry", "referrers under a tag", "cosign 2's"] {
        let (shelf, _liar, house, of, uri) = shop(&signer).await;
        let attested = json!({
            "artifactType": BUNDLE, "digest": "sha256:nobody",
            "annotations": { "dev.sigstore.bundle.predicateType": "https://slsa.dev/provenance/v1" }
        });
        match place {
            "tag" => {
                shelf.tagged(of, &[shelf.layer(&stranger, of), shelf.layer(&signer, of)]);
            }
            "cosign 2's" => {
                let layers = [shelf.layer(&signer, of)];
                let kind = "application/vnd.dev.cosign.artifact.sig.v1+json";
                let digest = shelf.manifest(&json!({ "layers": layers })).to_string();
                let list = json!({ "manifests": [{ "artifactType": kind, "digest": digest }] });
                shelf.put(&format!("referrers/{of}"), &list.to_string());
            }
            place => {
                let both = [attested, shelf.bundle(&stranger, of), shelf.bundle(&signer, of)];
                let list = json!({ "manifests": both }).to_string();
                match place {
                    "referrers under a tag" => {
                        shelf.put(&format!("manifests/sha256-{}", of.hex()), &list)
                    }
                    _ => shelf.put(&format!("referrers/{of}"), &list),
                }
            }
        }
        let pulled = house.pull(&uri).await;
        assert_eq!(
            told(&pulled.unwrap_or_else(|why| panic!("{place}: {why}"))),
            "model.onnx=model"
        );
    }
}

#[tokio::test]
async fn what_nobody_has_signed_is_refused_before_it_is_fetched() {
    let (signer, stranger) = (Signer::new(1), Signer::new(2));
    let (shelf, liar, house, of, uri) = shop(&signer).await;
    house.refused(house.pull(&uri).await, ErrorKind::Policy, "nor has cosign left one beside it");
    shelf.tagged(of, &[shelf.layer(&stranger, of)]);
    house.refused(house.pull(&uri).await, ErrorKind::Policy, "not signed by a key that is trusted");
    let another = Digest::of(b"another");
    shelf.tagged(of, &[shelf.layer(&signer, another)]);
    house.refused(house.pull(&uri).await, ErrorKind::Policy, &format!("it is of {another}"));
    assert_eq!(fetches(&liar), 0);
    // It is signed at last.
    shelf.tagged(of, &[shelf.layer(&signer, another), shelf.layer(&signer, of)]);
    assert_eq!(house.pulled(&uri).await, "model.onnx=model");
}

#[tokio::test]
async fn what_is_too_much_is_refused_in_words() {
    let signer = Signer::new(1);
    let (shelf, liar, mut house, of, uri) = shop(&signer).await;
    house.limits.answer_bytes_max = 1 << 20;
    let large = shelf.blob(SIMPLE, &" ".repeat((64 << 10) + 1));
    shelf.tagged(of, &[with(large.clone(), "AA==")]);
    house.refused(house.pull(&uri).await, ErrorKind::Policy, "65537 bytes");
    let digest = large["digest"].as_str().expect("a digest").to_owned();
    assert!(!liar.asked().iter().any(|it| it.contains(&digest)), "it was fetched all the same");
    // It says that it is small, and is not; or does not end.
    let mut small = large;
    small["size"] = json!(250);
    shelf.tagged(of, &[with(small.clone(), "AA==")]);
    house.refused(house.pull(&uri).await, ErrorKind::Policy, "65537 bytes");
    shelf.put(&format!("blobs/{digest}"), ENDLESS);
    house.refused(house.pull(&uri).await, ErrorKind::Policy, "answers with more than 1048576");
    let layer = shelf.layer(&signer, of);
    shelf.tagged(of, &[with(layer.clone(), &"A".repeat(4097))]);
    house.refused(house.pull(&uri).await, ErrorKind::Policy, "4097 bytes, at most 4096");
    // Very many of one payload are one request; there may be so many, and so many payloads.
    let many: Vec<Value> = std::iter::repeat_n(with(layer.clone(), "AA=="), 256).collect();
    shelf.tagged(of, &[many.clone(), vec![layer.clone()]].concat());
    house.refused(house.pull(&uri).await, ErrorKind::Policy, "more than 256 signatures");
    let several = |n: usize| with(shelf.blob(SIMPLE, &format!("{n}")), "AA==");
    let payloads: Vec<Value> = (0..16).map(several).collect();
    shelf.tagged(of, &[payloads, vec![layer.clone()]].concat());
    house.refused(house.pull(&uri).await, ErrorKind::Policy, "more than 16 payloads");
    let list = vec![json!({ "artifactType": BUNDLE, "digest": of.to_string() }); 17];
    shelf.tagged(of, &[]);
    shelf.put(&format!("referrers/{of}"), &json!({ "manifests": list }).to_string());
    house.refused(house.pull(&uri).await, ErrorKind::Policy, "more than 16 signatures refer");
    // Beside a good one they do not matter.
    shelf.tagged(of, &[&many[1..], &vec![layer; 2]].concat());
    assert_eq!(house.pulled(&uri).await, "model.onnx=model");
}

#[tokio::test]
async fn payloads_are_counted_wherever_they_are() {
    let signer = Signer::new(1);
    let (shelf, liar, house, of, uri) = shop(&signer).await;
    let digests = Mutex::new(Vec::new());
    let layers = |n: usize| -> Vec<Value> {
        let layers = (n..n + 10).map(|it| with(shelf.blob(SIMPLE, &format!("{it}")), "AA=="));
        let layers: Vec<Value> = layers.collect();
        let found = layers.iter().map(|it| it["digest"].as_str().expect("a digest").to_owned());
        digests.lock().expect("not poisoned").extend(found);
        layers
    };
    shelf.tagged(of, &layers(0));
    let kind = "application/vnd.dev.cosign.artifact.sig.v1+json";
    let referrers = [5, 15].map(|n| {
        let digest = shelf.manifest(&json!({ "layers": layers(n) })).to_string();
        json!({ "artifactType": kind, "digest": digest })
    });
    shelf.put(&format!("referrers/{of}"), &json!({ "manifests": referrers }).to_string());
    house.refused(house.pull(&uri).await, ErrorKind::Policy, "none is good");
    let digests = digests.into_inner().expect("not poisoned");
    let payload = |it: &&String| digests.iter().any(|digest| it.ends_with(digest.as_str()));
    assert_eq!(liar.asked().iter().filter(payload).count(), 16);
}

#[tokio::test]
async fn what_is_in_the_cache_is_judged_by_the_keys_of_the_day() {
    let (signer, other) = (Signer::new(1), Signer::new(2));
    let (shelf, liar, mut house, of, uri) = shop(&signer).await;
    house.signatures = SignaturePolicy::Ignored;
    house.pulled(&uri).await;
    // It came unasked: from the cache alone nobody vouches for it, its registry may.
    house.signatures = signer.policy();
    let why = house.offline(&uri).await.expect_err("nobody vouches");
    assert_eq!(why.kind(), ErrorKind::Policy);
    assert!(house.pull(&uri).await.is_err());
    shelf.tagged(of, &[shelf.layer(&signer, of)]);
    assert!(!house.pull(&uri).await.expect("a model").fetched);
    assert_eq!(told(&house.offline(&uri).await.expect("a model")), "model.onnx=model");
    // Another day, other keys.
    house.signatures = other.policy();
    let why = house.offline(&uri).await.expect_err("another key").to_string();
    assert!(why.contains("not signed by a key that is trusted"), "{why}");
    shelf.tagged(of, &[shelf.layer(&other, of)]);
    assert!(!house.pull(&uri).await.expect("a model").fetched);
    assert_eq!(fetches(&liar), 1);
    drop(liar);
    assert_eq!(told(&house.offline(&uri).await.expect("a model")), "model.onnx=model");
}

#[tokio::test]
async fn a_registry_that_does_not_help_is_no_verdict() {
    let (signer, stranger) = (Signer::new(1), Signer::new(2));
    let down = "503 Service Unavailable";
    for silent in [".sig", "/referrers/"] {
        let (shelf, _liar, house, of, uri) = shop(&signer).await;
        let asks = move |it: &Asked| it.line.contains(silent).then(|| reply(down, ""));
        let (_odd, uri) = odd(&shelf, &uri, asks).await;
        house.refused(house.pull(&uri).await, ErrorKind::Unavailable, "answers 503");
        // That a stranger has signed it says nothing of those who are not heard.
        shelf.tagged(of, &[shelf.layer(&stranger, of)]);
        house.refused(house.pull(&uri).await, ErrorKind::Unavailable, "answers 503");
        let list = json!({ "manifests": [shelf.bundle(&signer, of)] }).to_string();
        shelf.put(&format!("referrers/{of}"), &list);
        shelf.put(&format!("manifests/sha256-{}", of.hex()), &list);
        assert_eq!(house.pulled(&uri).await, "model.onnx=model", "{silent}");
    }
}

#[tokio::test]
async fn what_is_wrong_in_one_layer_takes_nothing_from_another() {
    let signer = Signer::new(1);
    let (unfit, unfound) = (json!("none"), json!(Digest::of(b"gone").to_string()));
    for says in ["unfit", "unfound", "large", "403 Forbidden", "429 Slow", "503 Down", "200 OK"] {
        let (shelf, _liar, house, of, uri) = shop(&signer).await;
        let mut bad = with(shelf.blob(SIMPLE, "bad"), "AA==");
        let place = bad["digest"].as_str().expect("a digest").to_owned();
        match says {
            "unfit" => bad["digest"] = unfit.clone(),
            "unfound" => bad["digest"] = unfound.clone(),
            "large" => bad["size"] = json!(1 << 20),
            _ => {}
        }
        let asks = move |it: &Asked| it.line.contains(&place).then(|| reply(says, "other"));
        let (_odd, uri) = odd(&shelf, &uri, asks).await;
        shelf.tagged(of, &[bad.clone(), shelf.layer(&signer, of), bad]);
        assert_eq!(house.pulled(&uri).await, "model.onnx=model", "{says}");
    }
}

#[tokio::test]
async fn who_has_found_a_good_one_asks_no_more() {
    let signer = Signer::new(1);
    let (shelf, _liar, house, of, uri) = shop(&signer).await;
    shelf.tagged(of, &[shelf.layer(&signer, of)]);
    let hangs = |it: &Asked| it.line.contains("/referrers/").then(|| Reply::Silence(Vec::new()));
    let (odd, uri) = odd(&shelf, &uri, hangs).await;
    assert_eq!(house.pulled(&uri).await, "model.onnx=model");
    assert!(!odd.asked().iter().any(|it| it.contains("/referrers/")), "{:?}", odd.asked());
}

#[tokio::test]
async fn what_is_wrong_in_one_place_takes_nothing_from_another() {
    let signer = Signer::new(1);
    // A registry that knows no lists of referrers, and says so as it pleases.
    for says in ["405 Never", "400 Bad", "403 Forbidden", "500 Oops", "501 Never", "200 OK"] {
        let (shelf, _liar, house, of, uri) = shop(&signer).await;
        let asks = move |it: &Asked| it.line.contains("/referrers/").then(|| reply(says, "<html>"));
        let (_odd, uri) = odd(&shelf, &uri, asks).await;
        let list = json!({ "manifests": [shelf.bundle(&signer, of)] }).to_string();
        shelf.put(&format!("manifests/sha256-{}", of.hex()), &list);
        assert_eq!(house.pulled(&uri).await, "model.onnx=model", "{says}");
    }
    // A manifest of signatures that is none, and one that refers to what is not there.
    let (shelf, _liar, house, of, uri) = shop(&signer).await;
    shelf.tagged(
        of,
        &[json!({ "mediaType": SIMPLE, "digest": "none",
        "annotations": { "dev.cosignproject.cosign/signature": "" } })],
    );
    let missing = json!({ "artifactType": BUNDLE, "digest": Digest::of(b"gone").to_string() });
    let list = json!({ "manifests": [missing] });
    shelf.put(&format!("referrers/{of}"), &list.to_string());
    house.refused(house.pull(&uri).await, ErrorKind::Policy, "the first of 2");
    let list = json!({ "manifests": [missing, shelf.bundle(&signer, of)] });
    shelf.put(&format!("referrers/{of}"), &list.to_string());
    assert_eq!(house.pulled(&uri).await, "model.onnx=model");
}

#[tokio::test]
async fn what_is_being_vouched_for_is_not_swept_away() {
    let signer = Signer::new(1);
    let (shelf, _liar, mut house, of, uri) = shop(&signer).await;
    shelf.tagged(of, &[shelf.layer(&signer, of)]);
    let cache = house.cache.clone();
    let sweeps = move |asked: &Asked| {
        if asked.line.ends_with(".sig") {
            cache.sweep(1 << 30, &[].into()).expect("swept");
        }
        None
    };
    let (odd, uri) = odd(&shelf, &uri, sweeps).await;
    house.signatures = SignaturePolicy::Ignored;
    house.pulled(&uri).await;
    house.signatures = signer.policy();
    assert_eq!(house.pulled(&uri).await, "model.onnx=model");
    assert_eq!(fetches(&odd), 1);
}
