use super::*;

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A manifest with one layer of a type, perhaps with annotations.
#[track_caller]
fn check(config: &str, layer: &str, annotations: &str, expect: &str) {
    let text = format!(
        r#"{{"config": {{"mediaType": "application/vnd.{config}"}}, "layers": [{{
        "mediaType": "application/vnd.{layer}", "digest": "{DIGEST}", "size": 7,
        "annotations": {{{annotations}}}}}]}}"#
    );
    let manifest: OciManifest = serde_json::from_str(&text).expect("a manifest");
    match manifest.files() {
        Ok(files) => {
            let file = &files[0];
            assert_eq!(format!("{} {:?}", file.path, file.form), expect);
            assert_eq!((file.size, file.at.as_str()), (Some(7), DIGEST));
        }
        Err(error) => assert!(error.to_string().contains(expect), "{error}"),
    }
}

const PACK: &str = "cncf.model.config.v1+json";
const IMAGE: &str = "oci.image.config.v1+json";
const TAR: &str = "Tar { gzip: false, folder: \"\" }";

#[test]
fn model_packs() {
    let path = r#""org.cncf.model.filepath": "a/model.onnx""#;
    check(PACK, "cncf.model.weight.v1.raw", path, "a/model.onnx Plain");
    check(PACK, "cncf.model.weight.v1.tar", path, &format!("layer-0.tar {TAR}"));
    check(
        PACK,
        "cncf.model.weight.config.v1.tar+gzip",
        "",
        "layer-0.tar Tar { gzip: true, folder: \"\" }",
    );
    check(PACK, "cncf.model.weight.v1.tar+zstd", path, "zstd, which is not unpacked");
    check(PACK, "cncf.model.weight.v1.raw", "", "has no file name");
    let out = r#""org.cncf.model.filepath": "../../etc/passwd""#;
    check(PACK, "cncf.model.weight.v1.raw", out, "empty, . or ..");
}

#[test]
fn docker_models_and_oras() {
    check("docker.ai.model.config.v0.1+json", "docker.ai.gguf.v3", "", "model.gguf Plain");
    let tar = format!("layer-0.tar {TAR}");
    check("docker.ai.model.config.v0.1+json", "docker.ai.vllm.config.tar", "", &tar);
    let title = r#""org.opencontainers.image.title": "model.onnx""#;
    check("unknown.config", "oci.image.layer.v1.tar", title, "model.onnx Plain");
    let packed = r#""org.opencontainers.image.title": "m", "io.deis.oras.content.unpack": "true""#;
    check(
        "unknown.config",
        "oci.image.layer.v1.tar+gzip",
        packed,
        "layer-0.tar Tar { gzip: true, folder: \"\" }",
    );
}

#[test]
fn shards_of_docker_models_are_numbered() {
    let layer = |kind: &str| {
        format!(r#"{{"mediaType": "application/vnd.docker.ai.{kind}", "digest": "{DIGEST}"}}"#)
    };
    let layers = ["safetensors", "license", "safetensors"].map(layer).join(",");
    let manifest: OciManifest =
        serde_json::from_str(&format!(r#"{{"layers": [{layers}]}}"#)).expect("a manifest");
    let files = manifest.files().expect("files");
    let names: Vec<&str> = files.iter().map(|it| it.path.as_str()).collect();
    assert_eq!(
        names,
        ["model-00001-of-00002.safetensors", "LICENSE", "model-00002-of-00002.safetensors"]
    );
}

#[test]
fn modelcars() {
    let expect = "layer-0.tar Tar { gzip: true, folder: \"models\" }";
    check(IMAGE, "oci.image.layer.v1.tar+gzip", "", expect);
    check("docker.container.image.v1+json", "docker.image.rootfs.diff.tar.gzip", "", expect);
}

#[test]
fn an_index_offers_what_this_machine_runs() {
    let pick = |text: &str| {
        let manifest: OciManifest = serde_json::from_str(text).expect("an index");
        manifest.chosen().map(|it| it.size)
    };
    let entry = |os: &str, n: u32| {
        let platform = format!(r#""platform": {{"os": "{os}", "architecture": "ARCH"}}"#);
        format!(r#"{{"digest": "{DIGEST}", "size": {n}, {platform}}}"#)
    };
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let index = |entries: &[String]| {
        format!(r#"{{"manifests": [{}]}}"#, entries.join(",")).replace("ARCH", architecture)
    };
    assert_eq!(pick(&index(&[entry("windows", 1), entry("linux", 2)])), Some(2));
    assert_eq!(pick(&index(&[entry("windows", 1)])), Some(1));
    assert_eq!(pick(&index(&[entry("windows", 1), entry("darwin", 2)])), None);
}
