//! Whole requests, against scripted models.

mod infer;
mod log;
mod places;
mod scripted;
mod shadow;
mod unload;
