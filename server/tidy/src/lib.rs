//! Rules of the house, as tests: see `tests/tidy.rs`. Nothing imports this crate.
