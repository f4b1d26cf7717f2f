use super::*;

#[test]
fn nothing_prints_a_secret() {
    let environment: Environment =
        [("HF_TOKEN".to_owned(), "hush".to_owned())].into_iter().collect();
    let login = ("user".to_owned(), Secret::new("hush"));
    let headers = [bearer("hush").expect("a header"), basic("user", "hush").expect("a header")];
    let words = format!("{environment:?} {login:?} {headers:?}");
    assert!(!words.contains("hush") && !words.contains("aHVzaA"), "{words}");
    assert_eq!(environment.get("HF_TOKEN"), Some("hush"));
}

#[test]
fn an_empty_variable_is_none() {
    let environment: Environment = [("A".to_owned(), String::new())].into_iter().collect();
    assert_eq!(environment.get("A"), None);
}

/// What `NAME` is, by what is set and by what the file holds; `Err`: what the error says.
#[track_caller]
fn check_credential(set: &str, file: Option<&str>, expect: Result<Option<&str>, &str>) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("secret");
    if let Some(text) = file {
        std::fs::write(&path, text).expect("written");
    }
    let variables = [("NAME", set), ("NAME_FILE", path.to_str().expect("UTF-8"))];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let environment: Environment = variables.into_iter().collect();
    match (environment.credential("NAME"), expect) {
        (Ok(found), Ok(expect)) => assert_eq!(found.as_ref().map(Secret::expose), expect),
        (Err(error), Err(says)) => {
            let words = error.to_string();
            assert!(words.starts_with("NAME_FILE: ") && words.contains(says), "{words}");
            assert!(!words.contains("hush"), "{words}");
        }
        (found, expect) => panic!("{found:?} instead of {expect:?}"),
    }
}

#[test]
fn a_credential_may_stand_in_a_file() {
    check_credential("", Some("hush\n"), Ok(Some("hush")));
    check_credential("", Some("hush hush\r\n"), Ok(Some("hush hush")));
    check_credential("set", Some("hush"), Ok(Some("set")));
    check_credential("set", None, Ok(Some("set"))); // then the file is not looked at
    check_credential("", Some("\n"), Ok(None));
    check_credential("", None, Err("cannot read"));
    check_credential("", Some(&"hush".repeat(20_000)), Err("more than 65536 bytes"));
    assert_eq!(Environment::default().credential("NAME").expect("nothing to read"), None);
}

#[track_caller]
fn check(config: &str, host: &str, expect: Option<(&str, &str)>) {
    let login = docker_login(config, host).expect("a configuration");
    let login = login.as_ref().map(|(user, password)| (user.as_str(), password.expose()));
    assert_eq!(login, expect);
}

#[test]
fn docker_logins_are_found_by_host() {
    let config = r#"{"auths": {"ghcr.io": {"auth": "bWU6aHVzaDp4"},
        "https://index.docker.io/v1/": {"username": "you", "password": "pw"},
        "helped.io": {}}, "credsStore": "desktop"}"#;
    check(config, "ghcr.io", Some(("me", "hush:x")));
    check(config, "index.docker.io", Some(("you", "pw")));
    check(config, "helped.io", None);
    check(config, "ghcr.io.evil.example", None);
    check("{}", "ghcr.io", None);
}

#[test]
fn a_faulty_configuration_is_an_error_that_quotes_nothing() {
    let config = r#"{"auths": {"h": {"auth": "!hush!"}}}"#;
    let error = docker_login(config, "h").expect_err("no base64").to_string();
    assert!(!error.contains("hush"), "{error}");
    assert!(docker_login("{", "h").is_err());
    assert!(bearer("a\nb").is_err());
}
