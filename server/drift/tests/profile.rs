//! Profiles survive being written and read, and faulty ones are refused.

use server_drift::profile::FORMAT;
use server_drift::random::Random;
use server_drift::{Feature, Kind, Profile, ProfileError, Role, Shape, Source, Values};

fn profile() -> Profile {
    let mut random = Random::new(1);
    let numbers = (0..3000).map(|_| random.normal()).collect();
    let words = ["a", "1", "true"].iter().cycle().take(30).map(|it| Some(Box::from(*it)));
    let feature = |name, values, kind| {
        Feature::of(name, Role::Input, &values, Some(kind)).expect("values").expect("a profile")
    };
    Profile {
        format: FORMAT,
        model: "wine".to_owned(),
        source: Source::Data,
        rows: 3000,
        distinct_rows: 3000,
        features: vec![
            feature("x", Values::Numbers { values: numbers, whole: false }, Kind::Numerical),
            feature("word", Values::Words(words.collect()), Kind::Categorical),
            feature(
                "code",
                Values::Numbers { values: vec![1.0, 2.0, 2.0], whole: true },
                Kind::Categorical,
            ),
            feature("flag", Values::Flags(vec![Some(true), None]), Kind::Categorical),
        ],
    }
}

#[test]
fn what_is_written_is_read() {
    let profile = profile();
    let text = serde_json::to_string(&profile).expect("JSON");
    let read: Profile = serde_json::from_str(&text).expect("a profile");
    assert_eq!(read, profile);
    assert_eq!(read.check(), Ok(()));
}

#[test]
fn faulty_profiles_are_refused() {
    let mut other = profile();
    other.format = 2;
    assert_eq!(other.check(), Err(ProfileError::Format(2)));
    let mut other = profile();
    if let Shape::Numerical(numbers) = &mut other.features[0].shape {
        numbers.counts.pop();
    }
    assert!(matches!(other.check(), Err(ProfileError::Faulty(name, _)) if name == "x"));
}

#[test]
fn columns_without_values_have_none() {
    let empty = Values::Numbers { values: vec![f64::NAN], whole: false };
    let error = Feature::of("x", Role::Input, &empty, None).expect_err("no value");
    assert_eq!(error, ProfileError::Empty("x".to_owned()));
}

#[test]
fn bins_of_a_column_of_few_values_are_its_values() {
    let values = Values::Numbers { values: vec![0.0, 0.0, 0.0, 5.0, 7.0, 7.0], whole: false };
    let feature = Feature::of("x", Role::Input, &values, Some(Kind::Numerical));
    let shape = feature.expect("values").expect("a profile").shape;
    let Shape::Numerical(numbers) = shape else { panic!("numbers") };
    // And what lies between them, below and above.
    assert_eq!(numbers.counts, [0, 3, 0, 1, 0, 2, 0]);
    let values = numbers.values().expect("each of its own");
    assert_eq!(values, [(0.0, 1), (5.0, 3), (7.0, 5)]);
    assert_eq!([4.9, 5.0, 5.0_f64.next_up(), 7.1].map(|it| numbers.bin(it)), [2, 3, 4, 6]);
}
