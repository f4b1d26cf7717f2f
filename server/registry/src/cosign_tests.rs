use proptest::prelude::*;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _,
};
use serde_json::json;

use super::*;
use crate::error::RegistryError;
use crate::signature::{SPKI_ED25519, SPKI_P256, SPKI_P384, SignaturePolicy, Vouching};

type Sign = Box<dyn Fn(&[u8]) -> Vec<u8>>;

/// Somebody who can sign, and the key by which that is checked.
struct Signer {
    key: PublicKey,
    sign: Sign,
}

fn key(head: &[u8], point: &[u8]) -> PublicKey {
    let der = STANDARD.encode([head, point].concat());
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{der}\n-----END PUBLIC KEY-----\n");
    PublicKey::from_pem(&pem).expect("a key")
}

fn ecdsa(kind: &'static EcdsaSigningAlgorithm, head: &[u8]) -> Signer {
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(kind, &random).expect("a key");
    let pair = EcdsaKeyPair::from_pkcs8(kind, pkcs8.as_ref(), &random).expect("a key");
    let key = key(head, pair.public_key().as_ref());
    let sign =
        move |it: &[u8]| pair.sign(&SystemRandom::new(), it).expect("signed").as_ref().to_vec();
    Signer { key, sign: Box::new(sign) }
}

fn p256() -> Signer {
    ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING, SPKI_P256)
}

fn ed25519() -> Signer {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
    let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("a key");
    let key = key(SPKI_ED25519, pair.public_key().as_ref());
    Signer { key, sign: Box::new(move |it| pair.sign(it).as_ref().to_vec()) }
}

fn manifest() -> Digest {
    Digest::of(b"manifest")
}

fn payload(digest: &str, kind: &str) -> Vec<u8> {
    let identity = json!({ "docker-reference": "registry.example/other/name" });
    let critical = json!({
        "identity": identity, "image": { "docker-manifest-digest": digest }, "type": kind
    });
    json!({ "critical": critical, "optional": null }).to_string().into_bytes()
}

fn signed(signer: &Signer, payload: Vec<u8>) -> Voucher {
    let signature = STANDARD.encode((signer.sign)(&payload));
    Voucher::Simple { payload: payload.into(), signature }
}

fn bundle(signer: &Signer, predicate: &str, subject: &str) -> Voucher {
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1", "predicateType": predicate,
        "subject": [{ "digest": { "sha256": subject } }], "predicate": {}
    });
    let (statement, kind) = (statement.to_string(), "application/vnd.in-toto+json");
    let message = format!("DSSEv1 {} {kind} {} {statement}", kind.len(), statement.len());
    let sig = STANDARD.encode((signer.sign)(message.as_bytes()));
    let envelope = json!({
        "payload": STANDARD.encode(&statement), "payloadType": kind,
        "signatures": [{ "sig": sig }]
    });
    let kind = "application/vnd.dev.sigstore.bundle.v0.3+json";
    let hint = json!({ "publicKey": { "hint": "x" } });
    let whole = json!({
        "mediaType": kind, "verificationMaterial": hint, "dsseEnvelope": envelope
    });
    Voucher::Bundle(whole.to_string().into())
}

#[track_caller]
fn refused(voucher: &Voucher, signer: &Signer, says: &str) {
    let why = voucher.verify(manifest(), std::slice::from_ref(&signer.key)).expect_err("refused");
    assert!(why.contains(says), "{why}");
}

#[test]
fn keys_of_three_kinds_vouch_in_both_forms() {
    let good = payload(&manifest().to_string(), KIND);
    for signer in [p256(), ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING, SPKI_P384), ed25519()] {
        let keys = [p256().key, signer.key.clone()];
        assert_eq!(signed(&signer, good.clone()).verify(manifest(), &keys), Ok(()));
        let bundle = bundle(&signer, PREDICATE, &manifest().hex());
        assert_eq!(bundle.verify(manifest(), &keys), Ok(()));
        refused(&signed(&signer, good.clone()), &p256(), "not signed by a key that is trusted");
        refused(&bundle, &p256(), "not signed by a key that is trusted");
    }
}

#[test]
fn a_curve_of_384_bits_may_be_hashed_by_sha256() {
    // Made by `openssl dgst -sha256 -sign` over these words.
    let words = b"hashed by SHA-256, signed on P-384\n";
    let key = PublicKey::from_pem(include_str!("../tests/data/p384.pub")).expect("a key");
    let signature = include_bytes!("../tests/data/p384-sha256.sig");
    assert!(key.signed(words, signature));
    assert!(!key.signed(&words[1..], signature));
}

#[test]
fn what_was_signed_must_be_of_this_manifest_and_a_signature() {
    let (signer, other) = (p256(), Digest::of(b"another"));
    let of_another = signed(&signer, payload(&other.to_string(), KIND));
    refused(&of_another, &signer, &format!("it is of {other}, not of {}", manifest()));
    let of_all = signed(&signer, payload("", KIND));
    refused(&of_all, &signer, "it is of , not of");
    let atomic = signed(&signer, payload(&manifest().to_string(), "atomic container signature"));
    refused(&atomic, &signer, "expected \"cosign container image signature\"");
    refused(&signed(&signer, b"{}".to_vec()), &signer, "none of cosign's");
    refused(&signed(&signer, b"\xff".to_vec()), &signer, "none of cosign's");
    let not_text = Voucher::Simple { payload: Bytes::new(), signature: "!".into() };
    refused(&not_text, &signer, "no base64");
    refused(&bundle(&signer, PREDICATE, &other.hex()), &signer, "is not of sha256:");
    let attested = bundle(&signer, "https://slsa.dev/provenance/v1", &manifest().hex());
    refused(&attested, &signer, "https://slsa.dev/provenance/v1");
    refused(&Voucher::Bundle("{}".into()), &signer, "no DSSE envelope");
    refused(&Voucher::Bundle("[".into()), &signer, "no Sigstore bundle");
}

#[test]
fn one_good_signature_is_enough_and_is_kept_as_it_was() {
    let (signer, stranger) = (p256(), p256());
    let good = payload(&manifest().to_string(), KIND);
    let (ours, theirs) = (signed(&signer, good.clone()), signed(&stranger, good));
    let policy = SignaturePolicy::Required(vec![signer.key.clone()]);
    let judged = |found: Vec<Result<Voucher, RegistryError>>| {
        let mut judge = policy.judge(manifest()).expect("somebody asks");
        for it in found {
            match it {
                Ok(voucher) => judge.hears(voucher),
                Err(error) => judge.misses(error),
            }
        }
        judge.verdict()
    };
    let silent = || Err(RegistryError::Slow("slow".to_owned()));
    let wrong = || Err(RegistryError::Corrupt("corrupt".to_owned()));
    let found = judged(vec![silent(), Ok(theirs.clone()), wrong(), Ok(ours.clone()), silent()]);
    let Ok(Vouching::Good(vouched)) = found else { panic!("{found:?}") };
    assert_eq!(vouched, Vouched { of: manifest(), voucher: ours });
    let bundled = bundle(&signer, PREDICATE, &manifest().hex());
    for it in [vouched, Vouched { of: manifest(), voucher: bundled }] {
        assert_eq!(Vouched::parse(it.text().as_bytes()), Some(it));
    }
    let open = judged(vec![Ok(theirs.clone()), silent(), wrong()]);
    assert!(matches!(&open, Err(RegistryError::Slow(_))), "{open:?}");
    let bad = judged(vec![wrong(), Ok(theirs.clone())]);
    let first = "corrupt (the first of 2, none is good)";
    assert!(matches!(&bad, Ok(Vouching::Bad(why)) if why.ends_with(first)), "{bad:?}");
    let bad = judged(vec![Ok(theirs)]);
    let alone = "it is not signed by a key that is trusted here";
    assert!(matches!(&bad, Ok(Vouching::Bad(why)) if why == alone), "{bad:?}");
    assert!(matches!(judged(Vec::new()), Ok(Vouching::None)));
}

proptest! {
    /// Whatever stands in the cache or in a registry: an answer, and never one that nobody has signed.
    #[test]
    fn what_is_written_by_strangers_vouches_for_nothing(bytes: Vec<u8>, text in ".{0,80}") {
        let keys = [key(SPKI_ED25519, &[7; 32])];
        let _ = Vouched::parse(&bytes);
        prop_assert!(Voucher::Bundle(bytes.clone().into()).verify(manifest(), &keys).is_err());
        let simple = Voucher::Simple { payload: bytes.into(), signature: text };
        prop_assert!(simple.verify(manifest(), &keys).is_err());
    }
}
