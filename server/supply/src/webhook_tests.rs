use super::*;

const NOW: u64 = 1_795_300_000;
const SECRET: &str = "a secret of some length";

struct Sent {
    headers: Vec<(&'static str, String)>,
    body: &'static str,
}

fn sign(key: &[u8], id: &str, at: u64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let tag = hmac::sign(&key, format!("{id}.{at}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(tag))
}

/// A message as a sender with that key makes it.
fn sent(names: [&'static str; 3], key: &[u8], (id, at): (&str, u64), body: &'static str) -> Sent {
    let values = [id.to_owned(), at.to_string(), sign(key, id, at, body)];
    Sent { headers: names.into_iter().zip(values).collect(), body }
}

fn standard(id: &str, body: &'static str) -> Sent {
    sent(STANDARD_HEADERS, SECRET.as_bytes(), (id, NOW), body)
}

fn webhooks(secrets: &str) -> (Webhooks, mpsc::Receiver<Changed>) {
    Webhooks::new(WebhookSecrets::parse(secrets).expect("secrets"))
}

fn hear(webhooks: &Webhooks, sent: &Sent) -> Heard {
    let header = |name: &str| {
        sent.headers.iter().find(|(it, _)| *it == name).map(|(_, value)| value.as_str())
    };
    webhooks.hear(header, sent.body.as_bytes(), UNIX_EPOCH + Duration::from_secs(NOW))
}

const WINE: &str = r#"{"model": "wine"}"#;

/// `_generate_hmac_signature` of MLflow 3.17.2 has made this one.
#[test]
fn mlflow_signs_so() {
    let body = r#"{"entity": "model_version_alias", "action": "created", "timestamp": "2026-11-22T00:00:00+00:00", "data": {"name": "wine", "alias": "champion", "version": "1"}}"#;
    let values = [
        "5b0e7b5e-6f0e-4a63-9d0f-0b8f0c9d1a2b",
        "1795300000",
        "v1,tjKjbGcGwXwH0MVTwFKj23NUwLCnhY6vG55ndJE8Kvg=",
    ];
    let headers = MLFLOW_HEADERS.into_iter().zip(values.map(str::to_owned)).collect();
    let (webhooks, mut changed) = webhooks(SECRET);
    assert_eq!(hear(&webhooks, &Sent { headers, body }), Heard::Accepted);
    assert_eq!(changed.try_recv(), Ok(Changed::Registered("wine".to_owned())));
}

/// The example of the specification's reference implementation.
#[test]
fn standard_webhooks_sign_so() {
    let (webhooks, _changed) = webhooks("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let values = [
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "1614265330",
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    ];
    let header =
        |name: &str| STANDARD_HEADERS.iter().position(|it| *it == name).map(|it| values[it]);
    let body = br#"{"test": 2432232314}"#;
    let then = UNIX_EPOCH + Duration::from_secs(1_614_265_330);
    let heard = webhooks.hear(header, body, then);
    assert!(matches!(heard, Heard::Malformed(_)), "signed, and says nothing to us: {heard:?}");
    assert!(matches!(webhooks.hear(header, b"{}", then), Heard::Refused(_)));
}

#[test]
fn what_nobody_signed_is_refused() {
    let (webhooks, mut changed) = webhooks(SECRET);
    let good = || standard("1", WINE);
    let with = |place: usize, value: &str| {
        let mut sent = good();
        sent.headers[place].1 = value.to_owned();
        sent
    };
    let without = |place: usize| {
        let mut sent = good();
        sent.headers.remove(place);
        sent
    };
    let other = sent(STANDARD_HEADERS, b"another secret of a length", ("1", NOW), WINE);
    let mixed = sent(
        ["webhook-id", "x-mlflow-timestamp", "webhook-signature"],
        SECRET.as_bytes(),
        ("1", NOW),
        WINE,
    );
    let unsigned = good().headers[2].1.replace("v1,", "v1a,");
    for (what, sent) in [
        ("another id", with(0, "2")),
        ("no id", with(0, "")),
        ("another time", with(1, &(NOW + 1).to_string())),
        ("no signature", with(2, "")),
        ("no base64", with(2, "v1,?")),
        ("a scheme that is not ours", with(2, &unsigned)),
        ("another body", Sent { body: r#"{"model": "beer"}"#, ..good() }),
        ("another secret", other),
        ("headers of two senders", mixed),
        ("without an id", without(0)),
        ("without a time", without(1)),
        ("without a signature", without(2)),
    ] {
        assert!(matches!(hear(&webhooks, &sent), Heard::Refused(_)), "{what}");
    }
    assert!(changed.try_recv().is_err());
    let two = format!("v1,AAAA {}", good().headers[2].1);
    assert_eq!(hear(&webhooks, &with(2, &two)), Heard::Accepted, "one of several fits");
}

#[test]
fn a_message_counts_for_five_minutes_and_once() {
    let (webhooks, mut changed) = webhooks(SECRET);
    let at = |id, at| sent(STANDARD_HEADERS, SECRET.as_bytes(), (id, at), WINE);
    for (id, time, accepted) in [
        ("a", NOW - 301, false),
        ("b", NOW + 301, false),
        ("c", NOW - 300, true),
        ("d", NOW + 300, true),
    ] {
        assert_eq!(hear(&webhooks, &at(id, time)) == Heard::Accepted, accepted, "{id}");
    }
    assert_eq!(hear(&webhooks, &at("d", NOW + 300)), Heard::Repeated);
    assert_eq!(hear(&webhooks, &at("d", NOW)), Heard::Repeated, "signed anew, by the same name");
    assert_eq!(std::iter::from_fn(|| changed.try_recv().ok()).count(), 2);
}

#[test]
fn too_many_are_refused_and_none_is_forgotten_early() {
    let (webhooks, mut changed) = webhooks(SECRET);
    for it in 0..SEEN_MAX {
        assert_eq!(hear(&webhooks, &standard(&it.to_string(), WINE)), Heard::Accepted);
        changed.try_recv().expect("passed on");
    }
    assert_eq!(hear(&webhooks, &standard("one more", WINE)), Heard::Busy);
    assert_eq!(hear(&webhooks, &standard("0", WINE)), Heard::Repeated);
    let later = UNIX_EPOCH + Duration::from_secs(NOW + 301);
    let sent = sent(STANDARD_HEADERS, SECRET.as_bytes(), ("later", NOW + 301), WINE);
    let header =
        |name: &str| sent.headers.iter().find(|(it, _)| *it == name).map(|it| it.1.as_str());
    assert_eq!(webhooks.hear(header, WINE.as_bytes(), later), Heard::Accepted);
}

#[test]
fn nobody_listening_is_busy() {
    let (webhooks, changed) = webhooks(SECRET);
    drop(changed);
    assert_eq!(hear(&webhooks, &standard("1", WINE)), Heard::Busy);
}

#[test]
fn what_it_says() {
    let check = |body: &str, expect: Option<Changed>| {
        assert_eq!(changed(body.as_bytes()).ok(), expect, "{body}")
    };
    check(WINE, Some(Changed::Model("wine".to_owned())));
    check(r#"{"source": "s3://b/x"}"#, Some(Changed::Source("s3://b/x".to_owned())));
    let mlflow = r#"{"entity": "registered_model", "action": "created", "data": {"name": "w"}}"#;
    check(mlflow, Some(Changed::Registered("w".to_owned())));
    for body in [
        "",
        "[]",
        "3",
        "{}",
        r#"{"model": 3}"#,
        r#"{"model": ""}"#,
        r#"{"model": "a/b"}"#,
        r#"{"data": {"name": "w"}}"#,
        "{\"model\"",
    ] {
        check(body, None);
    }
}

#[test]
fn a_secret_is_long_enough_and_never_shown() {
    for bad in
        ["", "\n\n", "short", "whsec_????", "whsec_AAAA", &"a secret of some length\n".repeat(5)]
    {
        assert!(WebhookSecrets::parse(bad).is_err(), "{bad:?}");
    }
    let two =
        WebhookSecrets::parse("a secret of some length\n\nanother of some length\n").expect("two");
    assert_eq!(format!("{two:?}"), "WebhookSecrets(2)");
    let (webhooks, _changed) = Webhooks::new(two);
    let new = sent(STANDARD_HEADERS, b"another of some length", ("1", NOW), WINE);
    assert_eq!(hear(&webhooks, &new), Heard::Accepted, "either will do");
}
