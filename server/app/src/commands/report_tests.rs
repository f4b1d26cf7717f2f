use super::*;

use serde_json::json;

/// A monitor whose second window is an alarm of `in.a<b`.
fn view() -> Value {
    let feature = |name: &str, drifted: bool| {
        json!({
            "name": name, "role": "input", "drifted": drifted, "judged": true, "faults": [], "missing": 0.0,
            "evidence": { "method": "exact", "effect": 0.25, "p": 1e-9, "rows": 500, "statistics": { "psi": 0.5 } },
            "histogram": { "names": ["< 0", "≥ 0"], "reference": [0.5, 0.5], "current": [0.25, 0.75] },
        })
    };
    let window = |number: u64, is_alarm: bool| {
        json!({
            "number": number, "from_s": 0.0, "to_s": 951_827_696.0, "rows": 500,
            "found": { "drift": {
                "is_alarm": is_alarm, "text": "in.a<b drifted", "subjects": if is_alarm { vec!["in.a<b"] } else { vec![] },
            } },
            "features": { "in.a<b": [0.25, 1e-9, 0.5], "in.c": [null, null, null] },
        })
    };
    let dataset = |columns: u64| json!({ "dataset": { "columns": columns, "drifted": 1 } });
    json!({
        "model": "wine", "version": 2, "state": "watching", "open": { "rows": 20, "of": 500 },
        "reference": { "source": "data", "rows": 5000, "features": ["in.a<b", "in.c"], "absent": [] },
        "last": {
            "number": 2, "rows": 500, "from_s": 0.0, "to_s": 951_827_696.0,
            "features": [feature("c", false), feature("a<b", true)],
            "drift": dataset(2), "predictions": dataset(0),
        },
        "history": [window(1, false), window(2, true)],
    })
}

#[test]
fn a_monitor_is_told_to_people() {
    let expect = "\
wine/2: 2 features against 5000 rows (data); 2 windows remembered, 20 of 500 rows in the next
window 2: 500 rows, 1970-01-01 00:00:00 to 2000-02-29 12:34:56
FEATURE  METHOD  EFFECT  P        PSI    MISSING  VERDICT
in.c     exact   0.250   1.0e-9   0.500  0.000    same
in.a<b   exact   0.250   1.0e-9   0.500  0.000    DRIFT
alarms:
  2000-02-29 12:34:56 drift: in.a<b drifted";
    assert_eq!(
        told(&view()),
        expect.replace("P        ", "P       ").replace("1.0e-9   ", "1.0e-9  ")
    );
}

#[test]
fn a_page_is_whole_and_needs_nothing_beside_it() {
    let html = page::page("wine", &[view()]);
    for alien in ["http:", "https:", "src=", "href=", "<script", "url(", "@import"] {
        assert!(!html.contains(alien), "{alien}");
    }
    let body = html.split("<style>").collect::<Vec<_>>().concat();
    let (head, rest) = body.split_once("</head>").expect("a head");
    assert!(head.contains("charset"));
    // Tags nest, and names that look like tags are text.
    let drawn = plot::check::texts(rest.trim_end().trim_end_matches("</html>").trim());
    assert!(drawn.iter().any(|it| it == "50 %" || it == "75 %"), "{drawn:?}");
    let first = html.find("<b>in.a&lt;b</b>").expect("the feature that drifted");
    assert!(first < html.find("<b>in.c</b>").expect("the other"), "it comes first");
    assert!(html.contains("1 of 2 inputs drifted"));
}

#[test]
fn what_has_seen_nothing_has_a_page_too() {
    let learning = json!({ "model": "wine", "version": 1, "state": "learning", "open": { "rows": 3, "of": 100 } });
    assert!(page::page("wine", &[learning]).contains("learning its reference: 3 of 100 rows"));
}
