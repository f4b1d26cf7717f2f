use super::*;

fn told(place: &Place) -> String {
    match place {
        Place::File { path, version } => format!("file {} {version:?}", path.display()),
        Place::Mlflow { server, workspace, model, at } => {
            format!("mlflow {server} {workspace:?} {model} {at:?}")
        }
        Place::Store { kind, endpoint, bucket, prefix, version } => {
            let endpoint = endpoint.as_ref().map(Url::as_str).unwrap_or("-");
            format!("{kind:?} {endpoint} {bucket} {prefix:?} {version:?}")
        }
        Place::Web { url, digest } => format!("web {url} {}", digest.is_some()),
        Place::Oci { server, name, at } => match at {
            OciReference::Tag(tag) => format!("oci {server} {name} tag {tag}"),
            OciReference::Digest(_) => format!("oci {server} {name} digest"),
        },
        Place::Hf { repo, revision, folder } => format!("hf {repo} {revision} {folder:?}"),
    }
}

#[track_caller]
fn check(text: &str, expect: &str) {
    let uri: Uri = text.parse().expect("an address");
    assert_eq!(told(&uri.place), expect);
    assert_eq!(uri.as_str(), text);
}

#[track_caller]
fn refused(text: &str, says: &str) {
    let error = text.parse::<Uri>().expect_err("no address").to_string();
    assert!(error.contains(says), "{says:?} is not in {error:?}");
}

const HEX: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

#[test]
fn folders() {
    check("file:/models/wine", "file /models/wine None");
    check("file:///models/wine?version=3", "file /models/wine Some(3)");
    check("file://localhost/models", "file /models None");
    check("file:wine", "file wine None");
    check("file:///a%20b", "file /a b None");
    refused("file:", "expected file:DIR");
    refused("file://elsewhere/models", "expected file:DIR");
    refused("file:/models?versoin=3", "unknown key \"versoin\"");
}

#[test]
fn mlflow_servers() {
    check(
        "mlflow://127.0.0.1:5000/wine@champion",
        "mlflow http://127.0.0.1:5000/ None wine Alias(\"champion\")",
    );
    check("mlflows://ml.example/wine/3", "mlflow https://ml.example/ None wine Number(3)");
    check(
        "mlflow://ml:5000/my%20wine/Production?tls=true",
        "mlflow https://ml:5000/ None my wine Stage(\"Production\")",
    );
    check(
        "mlflow://ml/wine/latest?prefix=/a/b&workspace=team",
        "mlflow http://ml/a/b/ Some(\"team\") wine Latest",
    );
    refused("mlflow://ml:5000/wine", "expected mlflow://");
    refused("mlflow://ml:5000/wine@", "expected mlflow://");
    refused("mlflow://ml:5000/a/b/c", "expected mlflow://");
    refused("mlflow://user:secret@ml/wine@champion", "credentials belong into the environment");
    refused("mlflow://ml:port/wine@champion", "no host");
    refused("mlflow://ml/wine@champion?tls=maybe", "expected true or false");
    refused("mlflow://ml/wine/1?prefix=../..", "empty, . or ..");
}

#[test]
fn object_stores() {
    check("s3://models/wine/", "S3 - models \"wine\" None");
    check("s3://models", "S3 - models \"\" None");
    check("gs://models/a/b?version=2", "Gs - models \"a/b\" Some(2)");
    check("az://container/wine", "Az - container \"wine\" None");
    check(
        "s3://http://127.0.0.1:9000/models/wine",
        "S3 http://127.0.0.1:9000/ models \"wine\" None",
    );
    refused("s3:///wine", "\"\" is no bucket");
    refused("s3://models/../other", "empty, . or ..");
    refused("s3://models/a?version=new", "\"new\" is no number");
    refused("gs://https://storage/models", "only s3://");
}

#[test]
fn web_servers() {
    check("https://example.com/wine.onnx", "web https://example.com/wine.onnx false");
    check(&format!("http://h:8080/a/m.onnx#{HEX}"), "web http://h:8080/a/m.onnx true");
    refused("https://example.com/", "expected the address of a file");
    refused("https://me:secret@example.com/m.onnx", "credentials belong into the environment");
    refused("https://example.com/m.onnx#md5:1", "is no digest");
    let uri: Uri = "https://h/m.onnx?X-Amz-Signature=abc".parse().expect("an address");
    assert_eq!(uri.to_string(), "https://h/m.onnx?..");
    assert_eq!(format!("{uri:?}"), "Uri(https://h/m.onnx?..)");
}

#[test]
fn oci_registries() {
    check("oci://ghcr.io/org/wine:v1", "oci https://ghcr.io/ org/wine tag v1");
    check("oci://127.0.0.1:5000/wine?tls=false", "oci http://127.0.0.1:5000/ wine tag latest");
    check(&format!("oci://ghcr.io/org/wine@{HEX}"), "oci https://ghcr.io/ org/wine digest");
    refused("oci://wine:v1", "expected oci://");
    refused("oci://org/wine:v1", "\"org\" is no host");
    refused("oci://ghcr.io/Org/wine:v1", "no name of an OCI registry");
    refused("oci://ghcr.io/a/../b:v1", "no name of an OCI registry");
    refused("oci://ghcr.io/wine:a/b", "\"a/b\" is no tag");
    refused("oci://ghcr.io/wine@sha256:12", "is no digest");
}

#[test]
fn the_hub() {
    check("hf://org/wine", "hf org/wine main \"\"");
    check("hf://org/wine@v1.0/onnx/int8", "hf org/wine v1.0 \"onnx/int8\"");
    refused("hf://wine", "expected hf://");
    refused("hf://org/..", "expected hf://");
    refused("hf://org/wine/../x", "empty, . or ..");
}

#[test]
fn addresses_of_one_registry_are_alike() {
    #[track_caller]
    fn check(text: &str, expect: &str) {
        assert_eq!(text.parse::<Uri>().expect("an address").registry(), expect);
    }
    check("mlflow://ml:5000/wine@champion", "http://ml:5000/");
    check("mlflow://ml:5000/beer/3?workspace=w", "http://ml:5000/");
    check("s3://models/wine", "S3");
    check("s3://http://127.0.0.1:9000/models/wine", "http://127.0.0.1:9000/");
    check("https://h/a/m.onnx?key=hush", "https://h");
    check("oci://ghcr.io/org/wine:v1", "https://ghcr.io/");
    check("hf://org/wine", "hf");
    check("file:/models", "file");
}

#[test]
fn errors_quote_no_password() {
    for text in [
        "http://me:hush@h/m.onnx",
        "mlflow://hush@ml/wine",
        "ftp://h/x?key=hush",
        "s3://key:hush@models/wine",
    ] {
        let error = text.parse::<Uri>().expect_err("no address").to_string();
        assert!(!error.contains("hush"), "{error}");
    }
    refused("mlflow://me@ml/wine@x", "\"mlflow://..@ml/wine@x\"");
    refused("s3:///x", "\"s3:///x\"");
}

#[test]
fn anything_else() {
    refused("wine", "expected one of");
    refused("ftp://h/m.onnx", "unknown scheme \"ftp\"");
    refused("http://h/a b.onnx", "a space or a control character");
    refused("s3://models/a\n", "a space or a control character");
}

#[test]
fn a_model_has_other_versions() {
    for (text, expect) in [
        ("mlflow://h:5000/wine@champion", Some("mlflow://h:5000/wine/7")),
        (
            "mlflow://h/wi%20ne/3?tls=true&workspace=a",
            Some("mlflow://h/wi%20ne/7?tls=true&workspace=a"),
        ),
        ("mlflows://h/wine/Production", Some("mlflows://h/wine/7")),
        ("s3://bucket/wine?version=3", Some("s3://bucket/wine?version=7")),
        ("file:/models/wine", Some("file:/models/wine?version=7")),
        ("https://h/wine.onnx", None),
        ("oci://h.io/wine:v1", None),
        ("hf://org/wine@main", None),
    ] {
        let uri: Uri = text.parse().expect(text);
        let got = uri.at_version(7);
        assert_eq!(got.as_ref().map(Uri::as_str), expect, "{text}");
    }
}

#[test]
fn what_lies_beside_a_prefix_has_a_name_of_its_own() {
    for (text, expect) in [
        ("s3://bucket/logs/salver", Some("s3://bucket/logs/salver-labels")),
        ("gs://bucket/logs/", Some("gs://bucket/logs-labels")),
        ("s3://http://127.0.0.1:9000/bucket/x", Some("s3://http://127.0.0.1:9000/bucket/x-labels")),
        ("s3://bucket", Some("s3://bucket/labels")),
        ("file:/models/wine", None),
    ] {
        let uri: Uri = text.parse().expect(text);
        let got = uri.beside("-labels").ok();
        assert_eq!(got.as_ref().map(Uri::as_str), expect, "{text}");
    }
}
