//! Whole pulls against servers that misbehave. Those that behave are asked in `server/app/tests/registry`.

mod house;
mod lies;
mod liar;
mod protocols;
mod sharing;
mod signed;
mod stores;
mod verdicts;
mod watch;
