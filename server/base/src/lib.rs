//! Words shared by the server crates.
