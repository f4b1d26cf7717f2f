//! Which versions are loaded.
