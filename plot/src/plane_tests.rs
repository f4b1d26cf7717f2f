use super::*;
use crate::check::texts;

fn line(name: &str, points: &[(f64, f64)]) -> Line {
    let point =
        |&(per_s, ms): &(f64, f64)| Point { per_s, ms, label: String::new(), good: ms < 10.0 };
    Line { name: name.to_owned(), points: points.iter().map(point).collect() }
}

fn plane(lines: Vec<Line>) -> Plane {
    Plane {
        title: "a < b".to_owned(),
        notes: vec!["a note".to_owned()],
        across: "rows per second".to_owned(),
        limit: Some(Limit { name: "goal 10 ms".to_owned(), ms: 10.0 }),
        lines,
    }
}

#[test]
fn lines_with_names_have_colours_and_the_others_are_grey() {
    let named = (0..6).map(|it| line(&format!("line {it}"), &[(100.0, 2.0), (200.0, 20.0)]));
    let others = [line("", &[(50.0, 5.0)])];
    let svg = plane(named.chain(others).collect()).draw();
    let texts = texts(&svg);
    for expected in ["a &lt; b", "a note", "line 0", "line 5", "goal 10 ms", "rows per second"] {
        assert!(texts.iter().any(|it| it == expected), "{expected:?} is not in {texts:?}");
    }
    assert_eq!(svg.matches("<polyline class=\"line faint\"").count(), 1);
    assert_eq!(svg.matches("<polyline class=\"line c").count(), 6);
    assert_eq!(svg.matches("hollow\" cx").count(), 6, "beyond the goal");
}

#[test]
fn a_second_row_of_names_moves_the_panel_down() {
    let top = |names: usize| {
        let lines = (0..names).map(|it| line(&it.to_string(), &[(1.0, 1.0)]));
        plane(lines.collect()).panel().top
    };
    assert_eq!([1, 4, 5, 8].map(top), [146.0, 146.0, 166.0, 166.0]);
}

#[test]
fn any_number_of_points_can_be_drawn() {
    for points in [&[][..], &[(0.0, 0.0)], &[(1.0, 1.0)], &[(1.0, 0.0), (2.0, 1e6)]] {
        let svg = plane(vec![line("m", points)]).draw();
        texts(&svg);
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{points:?}: {svg}");
    }
}
