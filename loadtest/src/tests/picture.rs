//! The picture is well-formed and says the percentiles.

use plot::check::texts;

use super::report::report;
use crate::picture::curve::three_digits;
use crate::picture::draw;

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
fn labels_have_three_digits() {
    let table = [(0.757, "0.757"), (1.839, "1.84"), (43.21, "43.2"), (432.9, "433")];
    for (value, expected) in table {
        assert_eq!(three_digits(value), expected);
    }
}
