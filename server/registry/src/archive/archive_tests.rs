use super::*;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

/// A header and its bytes, filled up to whole blocks.
fn raw(name: &str, kind: u8, bytes: &[u8]) -> Vec<u8> {
    let mut header = [0u8; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[124..136].copy_from_slice(format!("{:011o}\0", bytes.len()).as_bytes());
    header[148..156].fill(b' ');
    header[156] = kind;
    header[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = header.iter().map(|it| u32::from(*it)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut all = header.to_vec();
    all.extend_from_slice(bytes);
    all.resize(all.len().next_multiple_of(512), 0);
    all
}

/// An archive of `name=text`; a name that ends in `/` is a folder, `name->to` a link.
fn tar(entries: &str) -> Vec<u8> {
    let entry = |word: &str| {
        if let Some((name, _)) = word.split_once("->") {
            return raw(name, b'2', b"");
        }
        let (name, text) = word.split_once('=').unwrap_or((word, ""));
        raw(name, if name.ends_with('/') { b'5' } else { b'0' }, text.as_bytes())
    };
    entries.split_whitespace().map(entry).collect::<Vec<_>>().concat()
}

/// Unpacks archives one after the other, and says what lies there then.
fn unpacked(archives: &[Vec<u8>], folder: &str, limits: &Limits) -> Result<String, RegistryError> {
    let home = tempfile::tempdir().expect("a folder");
    let cache = Cache::open(&home.path().join("cache"), 1 << 30).expect("a cache");
    let staging = Staging::new(&cache).expect("a staging");
    let left = limits.model_bytes_max;
    let mut unpack = Unpack { cache: &cache, staging: &staging, limits, left };
    let mut files = Files::new();
    for bytes in archives {
        let path = home.path().join("archive");
        std::fs::write(&path, bytes).expect("written");
        unpack.run(&path, (bytes.starts_with(&[0x1f, 0x8b]), folder), &mut files)?;
    }
    let mut told = Vec::new();
    for (path, fact) in &files {
        let place = staging.place(path).expect("a place");
        let bytes = std::fs::read(&place).expect("bytes");
        assert_eq!(crate::digest::Digest::of(&bytes), fact.digest);
        told.push(format!("{path}={}", String::from_utf8_lossy(&bytes)));
    }
    Ok(told.join(" "))
}

#[track_caller]
fn check(archives: &[Vec<u8>], folder: &str, expect: &str) {
    match unpacked(archives, folder, &Limits::default()) {
        Ok(found) => assert_eq!(found, expect),
        Err(error) => {
            let words = format!("{:?}: {error}", error.kind());
            assert!(words.contains(expect), "{expect:?} is not in {words:?}");
        }
    }
}

#[test]
fn plain_archives() {
    check(&[tar("a=1 sub/ sub/b=2")], "", "a=1 sub/b=2");
    check(&[tar("./ ./a=1 ./sub/b=2")], "", "a=1 sub/b=2");
    check(&[Vec::new()], "", "");
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&tar("a=1")).expect("packed");
    check(&[packed.finish().expect("packed")], "", "a=1");
}

#[test]
fn long_names_and_attributes() {
    let long = "d/".repeat(10) + &"x".repeat(150);
    let gnu = [raw("././@LongLink", b'L', format!("{long}\0").as_bytes()), raw("x", b'0', b"1")];
    check(&[gnu.concat()], "", &format!("{long}=1"));
    let record = format!("{} path={long}\n", long.len() + 10);
    let pax = [raw("pax", b'x', record.as_bytes()), raw("x", b'0', b"1")];
    check(&[pax.concat()], "", &format!("{long}=1"));
    let size = [raw("pax", b'x', b"9 size=1\n"), raw("x", b'0', b"1")];
    check(&[size.concat()], "", "x=1");
    for faulty in ["9 size=x\n", "99 path=a\n", "0 a=b\n", "x", "5 a=b"] {
        check(&[raw("pax", b'x', faulty.as_bytes())], "", "faulty attributes");
    }
    check(&[raw("n", b'L', &[b'x'; 70_000])], "", "more than 64 KiB");
}

#[test]
fn names_that_lead_out() {
    for name in ["../a=1", "a/../../b=1", "/etc/passwd=1", "a\\b=1"] {
        check(&[tar(name)], "", "Policy");
    }
    check(&[tar("a->/etc/passwd")], "", "is a link or no plain file");
    check(&[raw("a", b'1', b"")], "", "is a link or no plain file");
    check(&[raw("a", b'3', b"")], "", "is a link or no plain file");
    let long = [raw("L", b'L', b"../../a\0"), raw("x", b'0', b"1")];
    check(&[long.concat()], "", "Policy");
}

#[test]
fn only_the_folder_of_a_modelcar_counts() {
    let image = "etc/passwd=x bin/sh->busybox models/1/m=1 models/c=2 /abs=3 ../x=4 modelsx/y=5";
    check(&[tar(image)], "models", "1/m=1 c=2");
    check(&[tar("models/../etc=1")], "models", "Policy");
    check(&[tar("models->/etc")], "models", "");
    check(&[tar("models/l->/etc")], "models", "is a link");
}

#[test]
fn later_layers_replace_and_remove() {
    check(&[tar("a=1 b=1"), tar("b=2 c=2")], "", "a=1 b=2 c=2");
    check(&[tar("a=1 d/b=1 d/e=1"), tar(".wh.a= d/.wh.b=")], "", "d/e=1");
    check(&[tar("d/a=1 d/b=1 e=1"), tar("d/c=2 d/.wh..wh..opq=")], "", "d/c=2 e=1");
    check(&[tar("d/a=1 dx=1"), tar(".wh.d=")], "", "dx=1");
    check(&[tar("a=1 a=2")], "", "a=2");
    check(&[tar("models/a=1"), tar(".wh.models= models/b=2")], "models", "b=2");
    check(&[tar("models/a=1"), tar("./.wh..wh..opq= models/b=2")], "models", "b=2");
    check(&[tar("models/a=1"), tar(".wh.modelsx= models/b=2")], "models", "a=1 b=2");
}

#[test]
fn broken_archives() {
    let whole = tar("a=123");
    check(&[whole[..700].to_vec()], "", "Answer: an archive ends in the middle");
    check(&[whole[..300].to_vec()], "", "ends in the middle of a header");
    let mut wrong = whole.clone();
    wrong[0] = b'b';
    check(&[wrong], "", "wrong sum");
    let mut marked = whole.clone();
    marked[148] = 0x80;
    check(&[marked], "", "a number that is none");
    check(&[[&[0x1f, 0x8b], &whole[..]].concat()], "", "cannot be unpacked");
}

/// Sizes that no archive can hold must not be believed, allocated or added up past all numbers.
#[test]
fn sizes_that_cannot_be() {
    let mut header = raw("a", b'0', b"");
    header[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0]);
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|it| u32::from(*it)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    check(&[header.clone()], "", "TooLarge: a in an archive has 18446744073709551360 bytes");
    check(&[header], "elsewhere", "a size past all");
    let pax = [raw("pax", b'x', b"29 size=18446744073709551615\n"), raw("x", b'0', b"1")];
    check(&[pax.concat()], "", "TooLarge");
    check(&[pax.concat()], "elsewhere", "a size past all");
}

#[test]
fn archives_that_grow() {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(&raw("zeros", b'0', &vec![0; 8 << 20])).expect("packed");
    let bomb = packed.finish().expect("packed");
    assert!(bomb.len() < 20_000);
    let told =
        |limits: Limits| unpacked(std::slice::from_ref(&bomb), "", &limits).map(|it| it.len());
    assert_eq!(told(Limits::default()).expect("few bytes in all"), (8 << 20) + 6);
    for (limits, says) in [
        (Limits { unpack_bytes_free: 0, ..Limits::default() }, "unpacks to more than its limit"),
        (
            Limits { model_bytes_max: 1 << 20, ..Limits::default() },
            "the model may have 1048576 more",
        ),
    ] {
        let error = told(limits).expect_err("too large");
        assert!(matches!(error, RegistryError::TooLarge(_)), "{error:?}");
        assert!(error.to_string().contains(says), "{error}");
    }
    // Archives that are small enough each, and too large together.
    let halves = ["a", "b"].map(|name| tar(&format!("{name}={}", "x".repeat(1024))));
    let limits = Limits { model_bytes_max: 1600, ..Limits::default() };
    assert!(unpacked(&halves[..1], "", &limits).is_ok());
    let error = unpacked(&halves, "", &limits).expect_err("too large");
    assert!(error.to_string().contains("the model may have 576 more"), "{error}");
    let many: Vec<u8> = (0..200).flat_map(|n| raw(&format!("d{n}/"), b'5', b"")).collect();
    let few = Limits { files_max: 10, ..Limits::default() };
    assert!(unpacked(&[many], "", &few).is_err());
    let files: Vec<u8> = (0..11).flat_map(|n| raw(&format!("f{n}"), b'0', b"")).collect();
    assert!(unpacked(&[files], "", &few).is_err());
}

proptest! {
    /// Headers with good sums, or bad ones, and anything else in them: an answer, and no panic.
    #[test]
    fn no_header_breaks_it(
        changes in prop::collection::vec((0usize..512, any::<u8>()), 0..8),
        kind in prop::sample::select(b"0\x0057LKxg".to_vec()),
        tail in prop::collection::vec(any::<u8>(), 0..600),
        good in any::<bool>(),
    ) {
        let mut all = raw("a", kind, &tail);
        for (place, byte) in changes {
            all[place] = byte;
        }
        if good {
            all[148..156].fill(b' ');
            let sum: u32 = all[..512].iter().map(|it| u32::from(*it)).sum();
            all[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
        let mut tar = Tar::new(all.as_slice());
        let mut read = 0;
        while let Ok(Some(_)) = tar.next() {
            while let Ok(bytes @ 1..) = tar.read(&mut [0; 100]) {
                read += bytes;
            }
        }
        prop_assert!(read <= tail.len() + 1024);
    }
}
