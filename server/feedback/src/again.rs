//! The requests of a file of the log, one after the other, whole, in bounded memory.

use std::collections::VecDeque;
use std::fs::File;
use std::io;

use arrow_array::cast::AsArray as _;
use arrow_array::types::UInt32Type;
use arrow_array::{Array as _, RecordBatch};
use arrow_select::concat::concat_batches;

use crate::past::{Past, requests};
use crate::reader::LogFile;

/// The column that numbers the rows of a request.
const ROW: &str = "row_index";

impl LogFile {
    /// Its requests, in the order of the file: those of its last `rows` rows, as far as they are whole there.
    pub fn requests(
        self,
        rows: usize,
    ) -> io::Result<impl Iterator<Item = io::Result<Past>> + use<>> {
        let pieces = self.last(rows).pieces(|_| true)?;
        Ok(Requests { pieces, rest: None, ready: VecDeque::new(), is_begun: false, is_over: false })
    }
}

/// How many rows the last so many requests of a file have, at the most.
pub fn rows_of_last(file: File, requests: usize) -> io::Result<usize> {
    // Where the last of them begin, in the order of the file.
    let mut last = VecDeque::new();
    let all = begins(file, |begin| {
        last.push_back(begin);
        if last.len() > requests {
            last.pop_front();
        }
    })?;
    Ok(last.front().map_or(0, |it| all.saturating_sub(*it)))
}

/// How many rows those requests of a file have that its last so many rows are of.
pub fn rows_of_whole(file: File, rows: usize) -> io::Result<usize> {
    let (all, mut from) = (LogFile::open(file.try_clone()?)?.rows(), 0);
    let wanted = all.saturating_sub(rows);
    begins(file, |begin| from = if begin <= wanted { begin } else { from })?;
    Ok(if rows == 0 { 0 } else { all - from })
}

/// Says where each request begins, and how many rows there are.
fn begins(file: File, mut each: impl FnMut(usize)) -> io::Result<usize> {
    let file = LogFile::open(file)?;
    let (all, mut row) = (file.rows(), 0);
    for piece in file.pieces(|it| it == ROW)? {
        let piece = piece?;
        let rows = piece.column_by_name(ROW).and_then(|it| it.as_primitive_opt::<UInt32Type>());
        for number in rows.map(|it| it.values().as_ref()).unwrap_or_default() {
            if *number == 0 {
                each(row);
            }
            row += 1;
        }
    }
    Ok(all)
}

/// See [`LogFile::requests`].
struct Requests<I> {
    pieces: I,
    /// Rows of a request that may go on in the next piece.
    rest: Option<RecordBatch>,
    ready: VecDeque<Past>,
    is_begun: bool,
    is_over: bool,
}

impl<I: Iterator<Item = io::Result<RecordBatch>>> Iterator for Requests<I> {
    type Item = io::Result<Past>;

    fn next(&mut self) -> Option<io::Result<Past>> {
        loop {
            if let Some(past) = self.ready.pop_front() {
                return Some(Ok(past));
            }
            if self.is_over {
                return None;
            }
            match self.pieces.next() {
                Some(Ok(piece)) => {
                    if let Err(error) = self.take(piece) {
                        self.is_over = true;
                        return Some(Err(error));
                    }
                }
                Some(Err(error)) => {
                    self.is_over = true;
                    return Some(Err(error));
                }
                None => {
                    self.is_over = true;
                    self.ready.extend(self.rest.take().iter().flat_map(requests));
                }
            }
        }
    }
}

impl<I> Requests<I> {
    fn take(&mut self, piece: RecordBatch) -> io::Result<()> {
        // What came before the first piece is not there.
        let piece = if self.is_begun { Some(piece) } else { from_a_first_row(&piece) };
        let Some(piece) = piece else { return Ok(()) };
        self.is_begun = true;
        let all = match self.rest.take() {
            Some(rest) => {
                concat_batches(&rest.schema(), [&rest, &piece]).map_err(io::Error::other)?
            }
            None => piece,
        };
        let whole = begin_of_last(&all);
        self.ready.extend(requests(&all.slice(0, whole)));
        self.rest = Some(all.slice(whole, all.num_rows() - whole));
        Ok(())
    }
}

/// Without rows of a request that begins before them.
fn from_a_first_row(piece: &RecordBatch) -> Option<RecordBatch> {
    let rows = piece.column_by_name(ROW);
    let rows = rows.and_then(|it| it.as_primitive_opt::<UInt32Type>());
    // Of a file that does not say, none is whole for sure.
    let first = rows?.values().iter().position(|it| *it == 0)?;
    Some(piece.slice(first, piece.num_rows() - first))
}

/// Where the last request begins.
fn begin_of_last(batch: &RecordBatch) -> usize {
    let events = batch.column_by_name("event_id").and_then(|it| it.as_string_opt::<i32>());
    let Some(events) = events.filter(|it| !it.is_empty()) else { return 0 };
    let last = events.value(events.len() - 1);
    (0..events.len()).rev().take_while(|it| events.value(*it) == last).last().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::catalogue::Position;
    use crate::fixture::{form, hour, record, subject};
    use crate::hive::hour_folder;
    use crate::parquet::ParquetSink;
    use crate::sink::{Rows, Sink as _};

    /// A file of requests of that many rows.
    fn file(folder: &tempfile::TempDir, rows: &[usize]) -> LogFile {
        LogFile::open(File::open(path(folder, rows)).expect("opened")).expect("Parquet")
    }

    fn path(folder: &tempfile::TempDir, rows: &[usize]) -> PathBuf {
        let records: Vec<_> = rows.iter().map(|it| record(hour(480_000), *it)).collect();
        let subject = subject("m");
        let (model, version) = (subject.model.clone(), subject.version);
        let batch = form(subject).rows(&records, hour(480_000)).expect("rows");
        let mut sink = ParquetSink::new(folder.path().to_path_buf(), "log").expect("a folder");
        sink.write(&Rows { model, version, hour: 480_000, batch }).expect("takes rows");
        sink.flush(Position::default(), "log").expect("flushes");
        let folder = folder.path().join("model=m/version=3").join(hour_folder(480_000));
        let [path] = &*folder.read_dir().expect("made").collect::<Vec<_>>() else { panic!("one") };
        path.as_ref().expect("there").path()
    }

    /// Rows of each request that is found in the last so many rows, read so many at a time.
    #[track_caller]
    fn check(rows: &[usize], (last, piece): (usize, usize), expect: &[usize]) {
        let folder = tempfile::tempdir().expect("scratch");
        let file = file(&folder, rows).of_rows(piece);
        let found = file.requests(last).expect("pieces").map(|it| {
            let past = it.expect("a request");
            let x = &past.inputs.as_ref().expect("inputs")[0].1;
            // Rows are numbered from 0, so that what is torn would not begin with it.
            assert_eq!(x.view::<f32>().expect("floats")[0], 0.0);
            x.shape().dims()[0]
        });
        assert_eq!(found.collect::<Vec<_>>(), expect, "{rows:?} {last} {piece}");
    }

    #[test]
    fn requests_are_whole_however_they_are_read() {
        let rows = [1, 5, 2, 1, 9];
        for piece in [1, 2, 3, 7, 100] {
            check(&rows, (usize::MAX, piece), &rows);
            check(&rows, (18, piece), &rows);
            // The first of them begins in the middle of the second request.
            check(&rows, (13, piece), &[2, 1, 9]);
            check(&rows, (9, piece), &[9]);
            check(&rows, (8, piece), &[]);
            check(&rows, (0, piece), &[]);
        }
        check(&[], (usize::MAX, 4), &[]);
    }

    #[test]
    fn rows_of_the_last_requests_are_counted() {
        let folder = tempfile::tempdir().expect("scratch");
        let path = path(&folder, &[1, 5, 2, 1, 9]);
        for (requests, rows) in [(0, 0), (1, 9), (2, 10), (4, 17), (5, 18), (6, 18)] {
            let file = File::open(&path).expect("opened");
            assert_eq!(rows_of_last(file, requests).expect("read"), rows, "{requests}");
        }
        for (last, rows) in
            [(0, 0), (1, 9), (9, 9), (10, 10), (11, 12), (13, 17), (18, 18), (99, 18)]
        {
            let file = File::open(&path).expect("opened");
            assert_eq!(rows_of_whole(file, last).expect("read"), rows, "{last}");
        }
    }
}
