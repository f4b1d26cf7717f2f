//! Messages of a stream that are taken together, in heaps of those that say the same of themselves.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use super::stream::{Message, Offsets, Stream};

/// Messages that are turned into rows at once: enough that what is done for each heap of them is nothing, and
/// few enough to be little memory.
const CHUNK_MESSAGES: usize = 8_192;
/// See `CHUNK_MESSAGES`; and a message.
const CHUNK_BYTES: usize = 8 << 20;

/// See the module.
pub(super) struct Chunk {
    /// Messages of this kind tell what time it was.
    kind: &'static str,
    /// Where the first of them is that matters.
    pub(super) from: Offsets,
    pub(super) next: Offsets,
    /// Partitions and times of rows, in their order.
    pub(super) times: Vec<(i32, i64)>,
    pub(super) heaps: Vec<Heap>,
    pub(super) messages: usize,
    /// Why some were left out that were not read before: how many, and where the first lies.
    pub(super) left: BTreeMap<&'static str, (u64, (i32, i64))>,
    bytes: usize,
    is_over: bool,
}

/// Those of them that say the same of themselves.
pub(super) struct Heap {
    pub(super) log: usize,
    /// They were read before.
    pub(super) again: bool,
    pub(super) columns: String,
    values: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
}

/// What is known of a message.
pub(super) struct Looked<'a> {
    /// When it was written, if that is to be believed.
    pub(super) time: Option<i64>,
    /// It was read before.
    pub(super) again: bool,
    /// No more is to be taken with it.
    pub(super) is_last: bool,
    pub(super) fate: Fate<'a>,
}

/// What is to become of a message.
pub(super) enum Fate<'a> {
    Row {
        log: usize,
        columns: &'a str,
    },
    /// It is left out, for that reason.
    Left(&'static str),
}

impl Chunk {
    /// Nothing yet, from there on.
    pub(super) fn new(kind: &'static str, next: Offsets) -> Chunk {
        let from = next.clone();
        let (times, heaps, left) = (Vec::new(), Vec::new(), BTreeMap::new());
        Chunk { kind, from, next, times, heaps, messages: 0, left, bytes: 0, is_over: false }
    }

    /// Takes what comes next, up to these ends at the most.
    pub(super) fn fill(
        &mut self,
        stream: &mut dyn Stream,
        (ends, stop): (&Offsets, &AtomicBool),
        mut look: impl for<'a> FnMut(&Message<'a>) -> Looked<'a>,
    ) -> io::Result<()> {
        while !self.is_full() && !ends.iter().all(|it| self.next.get(it.0) >= Some(it.1)) {
            let came = stream.next(&mut |message| self.add(message, &look(message)))?;
            if !came {
                self.pass(stream.ended());
            }
            let is_over = stop.load(Ordering::Relaxed) || self.messages > 0;
            if !came && is_over {
                break;
            }
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.is_over || self.messages >= CHUNK_MESSAGES || self.bytes >= CHUNK_BYTES
    }

    /// What came is taken, and between that and the ends there are no messages.
    fn pass(&mut self, ends: &Offsets) {
        for (partition, end) in ends {
            if let Some(next) = self.next.get_mut(partition) {
                *next = (*next).max(*end);
            }
        }
    }

    fn add(&mut self, message: &Message<'_>, looked: &Looked<'_>) {
        let Message { partition, offset, .. } = *message;
        let Looked { time, again, is_last, ref fate } = *looked;
        // Something that was on its way when reading began elsewhere.
        let Some(next) = self.next.get_mut(&partition).filter(|it| offset >= **it) else { return };
        *next = offset + 1;
        if let (true, Some(from)) = (self.heaps.is_empty(), self.from.get_mut(&partition)) {
            *from = offset + i64::from(matches!(fate, Fate::Left(_)));
        }
        self.messages += 1;
        self.is_over |= is_last;
        self.bytes += message.value.len();
        if message.kind == Some(self.kind)
            && let Some(time) = time
        {
            self.times.push((partition, time));
        }
        let (log, columns) = match *fate {
            Fate::Row { log, columns } => (log, columns),
            Fate::Left(why) => {
                if !again {
                    self.left.entry(why).or_insert((0, (partition, offset))).0 += 1;
                }
                return;
            }
        };
        let is_same = |it: &Heap| it.log == log && it.again == again && it.columns == columns;
        let place = self.heaps.iter().rposition(is_same).unwrap_or_else(|| {
            let (columns, values) = (columns.to_owned(), Vec::new());
            self.heaps.push(Heap { log, again, columns, values, ends: Vec::new() });
            self.heaps.len() - 1
        });
        if let Some(heap) = self.heaps.get_mut(place) {
            heap.values.extend_from_slice(message.value);
            heap.ends.push(heap.values.len());
        }
    }
}

impl Heap {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn values(&self) -> Vec<&[u8]> {
        let begins = std::iter::once(&0).chain(&self.ends);
        let ranges = begins.zip(&self.ends).map(|(begin, end)| *begin..*end);
        ranges.filter_map(|it| self.values.get(it)).collect()
    }
}
