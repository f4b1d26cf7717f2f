use super::*;
use crate::cache::Fact;

/// Made by `model_signing sign key` 1.1.1 over `model.onnx` ("hi\n") and `sub/a.bin` ("x\n").
const BUNDLE: &str = include_str!("../tests/data/model.sig");
const SIGNER: &str = include_str!("../tests/data/signer.pub");
const OTHER: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt
6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==
-----END PUBLIC KEY-----";

fn listing(files: &[(&str, &str)]) -> Listing {
    let file = |(path, text): &(&str, &str)| {
        let fact = Fact { digest: Digest::of(text.as_bytes()), size: text.len() as u64 };
        (RelativePath::new(path).expect("a name"), fact)
    };
    Listing::new(files.iter().map(file).collect()).expect("names that fit")
}

fn keys(pem: &str) -> Vec<PublicKey> {
    vec![PublicKey::from_pem(pem).expect("a key")]
}

const SIGNED: &[(&str, &str)] = &[("model.onnx", "hi\n"), ("sub/a.bin", "x\n"), ("model.sig", "?")];

#[track_caller]
fn check(bundle: &str, key: &str, files: &[(&str, &str)], says: &str) {
    let verified = verify(bundle.as_bytes(), &keys(key), &listing(files));
    match (verified, says) {
        (Ok(()), "") => {}
        (Err(why), says) if !says.is_empty() => assert!(why.contains(says), "{why}"),
        (other, _) => panic!("{other:?}"),
    }
}

#[test]
fn what_was_signed_is_accepted_and_nothing_else() {
    check(BUNDLE, SIGNER, SIGNED, "");
    check(BUNDLE, OTHER, SIGNED, "not signed by a key that is trusted");
    let changed = [("model.onnx", "ho\n"), ("sub/a.bin", "x\n")];
    check(BUNDLE, SIGNER, &changed, "model.onnx is sha256:");
    check(BUNDLE, SIGNER, &SIGNED[..1], "sub/a.bin is signed, but not there");
    let more = [SIGNED, &[("extra", "")]].concat();
    check(BUNDLE, SIGNER, &more, "extra is not signed");
    check("{}", SIGNER, SIGNED, "no signature of OpenSSF");
    // One bit of the payload: "Statement/v1" becomes "Statement/v0".
    let payload = STANDARD.encode("https://in-toto.io/Statement/v1");
    let changed = BUNDLE.replacen("ewogICJf", "ewogICJg", 1);
    assert_ne!(changed, BUNDLE, "{payload}");
    check(&changed, SIGNER, SIGNED, "not signed by a key that is trusted");
}

#[test]
fn policies_say_whether_a_signature_must_be() {
    let uri: Uri = "file:/m".parse().expect("an address");
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join(FILE), BUNDLE).expect("written");
    let check = |policy: SignaturePolicy, files: &[(&str, &str)]| {
        policy.check(&uri, (folder.path(), &listing(files)), &Vouching::None).is_ok()
    };
    let bare = &[("model.onnx", "hi\n")];
    assert!(check(SignaturePolicy::Ignored, bare));
    assert!(check(SignaturePolicy::Checked(keys(SIGNER)), bare));
    assert!(!check(SignaturePolicy::Required(keys(SIGNER)), bare));
    assert!(check(SignaturePolicy::Required(keys(SIGNER)), SIGNED));
    assert!(!check(SignaturePolicy::Checked(keys(OTHER)), SIGNED));
    assert!(!check(SignaturePolicy::Required(Vec::new()), SIGNED));
}

#[test]
fn keys_of_other_kinds_are_refused() {
    for pem in ["", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"] {
        assert!(PublicKey::from_pem(pem).is_err());
    }
}
