//! A table in memory, and why there is none.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::path::Path;

use server_drift::Values;

/// What is read is held in memory, at eight bytes a number: a hundred columns of so many rows are
/// what a large machine has room for.
pub(crate) const ROWS_MAX: usize = 100_000_000;

/// Named columns of one length, in the order of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Rows of each column.
    pub rows: usize,
    /// Name and values.
    pub columns: Vec<(String, Values)>,
}

/// Why a file is not a table.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// It cannot be read.
    #[error("it cannot be read")]
    Read(#[from] io::Error),
    /// It is neither of the formats.
    #[error("it is neither a Parquet file nor has its name the ending .csv")]
    Format,
    /// Its Parquet is faulty.
    #[error("it is not good Parquet")]
    Parquet(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Its CSV is faulty.
    #[error("it is not good CSV")]
    Csv(#[from] ::csv::Error),
    /// Two columns have one name.
    #[error("it has two columns named {0:?}")]
    Twice(String),
    /// It has no rows.
    #[error("it has {columns} columns and no rows, at least one row is needed")]
    Empty {
        /// Its columns.
        columns: usize,
    },
    /// It has more rows than are read.
    #[error("it has more than {ROWS_MAX} rows")]
    TooLong,
}

impl Table {
    /// A column, if there is one of the name.
    pub fn column(&self, name: &str) -> Option<&Values> {
        self.columns.iter().find(|it| it.0 == name).map(|it| &it.1)
    }

    /// The names of the columns, for messages.
    pub fn names(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|it| it.0.as_str()).collect();
        names.join(", ")
    }
}

/// Reads a Parquet file, known by its first bytes, or a CSV file, known by its name.
pub fn read(path: &Path) -> Result<Table, DatasetError> {
    let mut file = File::open(path)?;
    let mut magic = Vec::new();
    (&mut file).take(4).read_to_end(&mut magic)?;
    file.rewind()?;
    let named_csv = path.extension().is_some_and(|it| it.eq_ignore_ascii_case("csv"));
    let table = if magic == b"PAR1" {
        crate::parquet::read(file)?
    } else if named_csv {
        crate::csv::read(file)?
    } else {
        return Err(DatasetError::Format);
    };
    let mut names: Vec<&str> = table.columns.iter().map(|it| it.0.as_str()).collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|it| it[0] == it[1]) {
        return Err(DatasetError::Twice(pair[0].to_owned()));
    }
    if table.rows == 0 {
        return Err(DatasetError::Empty { columns: table.columns.len() });
    }
    Ok(table)
}
