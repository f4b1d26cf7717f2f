use super::*;

#[track_caller]
fn check(parameters: &str, name: &str, expect: Option<&str>) {
    assert_eq!(parameter(parameters, name), expect);
}

#[test]
fn parameters_of_a_challenge() {
    let asked = r#"realm="https://a.io/token",service="r.io", scope="repository:a:pull,push""#;
    check(asked, "realm", Some("https://a.io/token"));
    check(asked, "service", Some("r.io"));
    check(asked, "Scope", Some("repository:a:pull,push"));
    check(asked, "error", None);
    check("realm=\"open", "realm", None);
    check("", "realm", None);
}

#[test]
fn kinds_are_written_in_any_case() {
    assert_eq!(after("bearer realm", "Bearer "), Some("realm"));
    assert_eq!(after("Basic realm", "Bearer "), None);
    assert_eq!(after("B", "Bearer "), None);
}
