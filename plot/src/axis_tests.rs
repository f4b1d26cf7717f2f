use super::*;

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
