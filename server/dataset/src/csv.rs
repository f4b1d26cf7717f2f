//! CSV files with a header. Types are found as pandas finds them: integers, else numbers, else true
//! and false, else text.

use std::io::Read;

use server_drift::Values;

use crate::table::{DatasetError, ROWS_MAX, Table};

/// What stands for a missing value; pandas' own list.
const MISSING: &[&str] = &[
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
    "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
];

type Cells = Vec<Option<Box<str>>>;

/// Reads all columns.
pub(crate) fn read(from: impl Read) -> Result<Table, DatasetError> {
    let mut reader = ::csv::Reader::from_reader(from);
    let names: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
    let mut columns: Vec<Cells> = vec![Vec::new(); names.len()];
    let mut record = ::csv::StringRecord::new();
    let mut rows = 0;
    while reader.read_record(&mut record)? {
        rows += 1;
        if rows > ROWS_MAX {
            return Err(DatasetError::TooLong);
        }
        for (cells, cell) in columns.iter_mut().zip(&record) {
            cells.push((!MISSING.contains(&cell)).then(|| cell.into()));
        }
    }
    let columns = names.into_iter().zip(columns.into_iter().map(typed)).collect();
    Ok(Table { rows, columns })
}

/// The narrowest type that holds all cells.
/// Lines of a CSV file as texts, each with the names of its columns, which the first line gives.
pub fn lines(
    from: impl Read,
) -> Result<impl Iterator<Item = Result<Vec<(String, String)>, DatasetError>>, DatasetError> {
    let mut reader = ::csv::Reader::from_reader(from);
    let names: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
    let named = move |record: ::csv::StringRecord| {
        names.iter().cloned().zip(record.iter().map(str::to_owned)).collect()
    };
    Ok(reader.into_records().map(move |it| Ok(named(it?))))
}

fn typed(cells: Cells) -> Values {
    let all = |fits: fn(&str) -> bool| cells.iter().flatten().all(|it| fits(it.trim()));
    if all(|it| it.parse::<f64>().is_ok()) {
        let complete = cells.iter().all(Option::is_some);
        let integer = |it: &Option<Box<str>>| it.as_ref().and_then(|it| it.trim().parse().ok());
        if complete && let Some(integers) = cells.iter().map(integer).collect() {
            return Values::of_integers(integers);
        }
        let number = |it: &Option<Box<str>>| {
            it.as_ref().and_then(|it| it.trim().parse().ok()).unwrap_or(f64::NAN)
        };
        return Values::Numbers { values: cells.iter().map(number).collect(), whole: false };
    }
    if all(|it| flag(it).is_some()) {
        return Values::Flags(cells.iter().map(|it| it.as_deref().and_then(flag)).collect());
    }
    Values::Words(cells)
}

fn flag(cell: &str) -> Option<bool> {
    match cell.trim() {
        "True" | "TRUE" | "true" => Some(true),
        "False" | "FALSE" | "false" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(cells: &str, expect: &str) {
        let text = format!("x\n{}\n", cells.replace(' ', "\n"));
        let table = read(text.as_bytes()).expect("CSV");
        let shown = match &table.columns[0].1 {
            Values::Numbers { values, whole } => format!("{whole} {values:?}"),
            Values::Large(values) => format!("large {values:?}"),
            Values::Flags(values) => format!("{values:?}"),
            Values::Words(values) => format!("{:?}", values.iter().flatten().collect::<Vec<_>>()),
            Values::Vectors(values) => format!("{values:?}"),
            Values::Other(name) => name.clone(),
        };
        assert_eq!(shown, expect, "{cells}");
    }

    #[test]
    fn columns_have_the_narrowest_type() {
        check("1 2 -3", "true [1.0, 2.0, -3.0]");
        check("7000000000000000001 1", "large [7000000000000000001, 1]");
        check(
            "9007199254740992 -9007199254740992",
            "true [9007199254740992.0, -9007199254740992.0]",
        );
        check("18446744073709551615 1", "false [1.8446744073709552e19, 1.0]");
        check("1 2.5 inf", "false [1.0, 2.5, inf]");
        check("1 NA 3", "false [1.0, NaN, 3.0]");
        check("True false", "[Some(true), Some(false)]");
        check("True n/a", "[Some(true), None]");
        check("a 1 null", r#"["a", "1"]"#);
        check("NA NA", "false [NaN, NaN]");
    }

    #[test]
    fn rows_of_another_length_are_an_error() {
        let error = read("a,b\n1,2\n3\n".as_bytes()).expect_err("ragged");
        assert!(matches!(&error, DatasetError::Csv(it) if it.to_string().contains("line: 3")));
    }
}
