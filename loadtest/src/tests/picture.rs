//! The picture is well-formed, says the percentiles, and has round numbers on its axes.

use super::report::report;
use crate::picture::axis::{Axis, round_step};
use crate::picture::curve::three_digits;
use crate::picture::draw;

/// Checks that tags nest and that no text contains a raw `<` or `&`. Returns the texts.
#[track_caller]
pub(super) fn texts(svg: &str) -> Vec<String> {
    let mut open: Vec<&str> = Vec::new();
    let mut texts = Vec::new();
    let mut rest = svg;
    while let Some(at) = rest.find('<') {
        let (text, tail) = rest.split_at(at);
        let entities = ["&amp;", "&lt;", "&gt;", "&quot;"];
        for (position, _) in text.match_indices('&') {
            assert!(
                entities.iter().any(|it| text[position..].starts_with(it)),
                "raw & in {text:?}"
            );
        }
        if open.last() == Some(&"text") {
            texts.push(text.to_owned());
        }
        let end = tail.find('>').expect("a tag ends");
        let tag = &tail[1..end];
        assert_eq!(tag.matches('"').count() % 2, 0, "quotes in {tag:?}");
        let name = tag.trim_start_matches('/').split_whitespace().next().expect("a tag has a name");
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "closing {tag:?}");
        } else if !tag.ends_with('/') {
            open.push(name);
        }
        rest = &tail[end + 1..];
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "open at the end: {open:?}");
    texts
}

#[test]
fn the_picture_is_well_formed_and_says_the_percentiles() {
    let svg = draw(&report("--concurrency 64", 20_000));
    assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""));
    let texts = texts(&svg);
    let expected = [
        "m over grpc: latency",
        "closed loop, 64 in flight on 1 connection, 1 thread; 3 distinct requests of 2 rows, \
         32 input bytes",
        "2000 answers/s, 4000 rows/s; 0 failed, 0 wrong of 0 checked",
        "latency, ms",
        "% of requests",
        "percentile of answered requests",
        "99.99 %",
        "p50",
        "p99",
        "p50 10002 ms",
        "p90 18006 ms",
        "p99 19808 ms",
        "p99.9 19988 ms",
        "p99.99 20005 ms",
    ];
    for text in expected {
        assert!(texts.iter().any(|it| it == text), "{text:?} is not in {texts:#?}");
    }
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "a coordinate is not a number");
}

#[test]
fn percentiles_beyond_the_data_are_not_drawn() {
    let few = texts(&draw(&report("--concurrency 1", 50)));
    assert!(few.iter().any(|it| it.starts_with("p90 ")));
    assert!(!few.iter().any(|it| it.starts_with("p99 ")));
}

#[test]
fn any_number_of_answers_can_be_drawn() {
    for answers in [0, 1, 2, 3] {
        let svg = draw(&report("--concurrency 1", answers));
        texts(&svg);
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{answers} answers: {svg}");
    }
}

#[test]
fn names_are_escaped() {
    let mut report = report("--concurrency 1", 1);
    report.model = "<a & \"b\">".to_owned();
    let texts = texts(&draw(&report));
    assert_eq!(texts[0], "&lt;a &amp; &quot;b&quot;&gt; over grpc: latency");
}

#[test]
fn axes_are_labelled_with_round_numbers() {
    let labels = |axis: Axis| axis.ticks().into_iter().map(|it| it.label).collect::<Vec<_>>();
    let pixels = (0.0, 100.0);
    assert_eq!(
        labels(Axis::linear((0.0, 3.0), pixels)),
        ["0.0", "0.5", "1.0", "1.5", "2.0", "2.5", "3.0"]
    );
    assert_eq!(
        labels(Axis::linear((0.7, 1.9), pixels)),
        ["0.8", "1.0", "1.2", "1.4", "1.6", "1.8"]
    );
    assert_eq!(labels(Axis::linear((0.0, 430.0), pixels)), ["0", "100", "200", "300", "400"]);
    assert_eq!(
        labels(Axis::logarithmic((0.3, 40.0), pixels)),
        ["0.2", "0.5", "1", "2", "5", "10", "20", "50"]
    );
    for (step, expected) in [(0.3, 0.5), (1.0, 1.0), (1.1, 2.0), (6.0, 10.0), (0.02, 0.02)] {
        assert!((round_step(step) - expected).abs() < 1e-9, "{step}");
    }
}

#[test]
fn axes_place_values_between_their_ends() {
    let linear = Axis::linear((0.0, 10.0), (100.0, 200.0));
    assert_eq!([-1.0, 0.0, 5.0, 11.0].map(|it| linear.pixel(it)), [100.0, 100.0, 150.0, 200.0]);
    let logarithmic = Axis::logarithmic((1.1, 99.0), (0.0, 100.0));
    assert!((logarithmic.pixel(10.0) - 50.0).abs() < 1e-9);
}

#[test]
fn labels_have_three_digits() {
    let table = [(0.757, "0.757"), (1.839, "1.84"), (43.21, "43.2"), (432.9, "433")];
    for (value, expected) in table {
        assert_eq!(three_digits(value), expected);
    }
}
