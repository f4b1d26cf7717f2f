use super::*;

fn states() -> Vec<State> {
    let failed = State::End { reason: Some("bad".to_owned()) };
    vec![State::Start, State::Loading, State::Available, State::Unloading, failed]
}

fn events() -> Vec<Event> {
    let failed = Event::LoadFailed { reason: "bad".to_owned() };
    let lost = Event::Lost { reason: "gone".to_owned() };
    vec![Event::Load, Event::Loaded, failed, Event::Retire, Event::Drained, lost]
}

/// The table that `server/ARCHITECTURE.md` shows; `server-tidy` holds the two together.
const TABLE: &str = "\
| state \\ event | Load | Loaded | LoadFailed | Retire | Drained | Lost |
|---|---|---|---|---|---|---|
| START | LOADING | – | – | END | – | – |
| LOADING | – | AVAILABLE | END | – | – | – |
| AVAILABLE | – | – | – | UNLOADING | – | UNLOADING |
| UNLOADING | – | – | – | – | END | END |
| END | – | – | – | – | – | – |
";

#[test]
fn every_pair_is_as_the_table_says() {
    let mut table =
        "| state \\ event | Load | Loaded | LoadFailed | Retire | Drained | Lost |\n|---|---|---|---|---|---|---|\n"
            .to_owned();
    for state in states() {
        table += &format!("| {state} |");
        for event in events() {
            let to = next(&state, event).map_or("–", |it| it.name());
            table += &format!(" {to} |");
        }
        table += "\n";
    }
    assert_eq!(table, TABLE);
    assert_eq!(states().iter().map(State::name).collect::<Vec<_>>(), State::NAMES);
}

#[test]
fn the_table_in_the_documents_is_this_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../ARCHITECTURE.md");
    let document = std::fs::read_to_string(path).expect("server/ARCHITECTURE.md");
    assert!(document.contains(TABLE), "server/ARCHITECTURE.md shows another state table");
}

#[test]
fn a_failed_load_keeps_its_reason() {
    let state = next(&State::Loading, Event::LoadFailed { reason: "bad".to_owned() });
    assert_eq!(state, Ok(State::End { reason: Some("bad".to_owned()) }));
    let retired = next(&State::Unloading, Event::Drained);
    assert_eq!(retired, Ok(State::End { reason: None }));
    let lost = next(&State::Unloading, Event::Lost { reason: "gone".to_owned() });
    assert_eq!(lost, Ok(State::End { reason: Some("gone".to_owned()) }));
}
