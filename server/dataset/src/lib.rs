//! Reads tables from files, column by column, for `server-drift`. Called by `app`; knows files and
//! formats, and nothing of what is done with the columns.

#![forbid(unsafe_code)]

mod table;
mod parquet;
mod csv;

pub use csv::lines;
pub use table::{DatasetError, Table, read};
