//! The hot path: admission, lane, batch, instance.
