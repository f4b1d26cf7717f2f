//! Values out of Arrow columns.

use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    ArrowPrimitiveType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, BooleanArray, PrimitiveArray, StringArray};
use arrow_schema::DataType;

/// What a column of the log holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    /// Floating point, of single precision or less.
    Single,
    /// Floating point of double precision.
    Double,
    /// Integers.
    Whole,
    /// True and false.
    Flags,
    /// Text.
    Words,
}

impl Type {
    /// None: it has no statistics here.
    #[expect(clippy::wildcard_enum_match_arm, reason = "Arrow has many types, the log few")]
    pub(crate) fn of(kind: &DataType) -> Option<Type> {
        match kind {
            DataType::Float32 => Some(Type::Single),
            DataType::Float64 => Some(Type::Double),
            DataType::Boolean => Some(Type::Flags),
            DataType::Utf8 => Some(Type::Words),
            it if it.is_integer() => Some(Type::Whole),
            _ => None,
        }
    }
}

/// Numbers of a column, NaN for those that are missing, or its texts.
pub(crate) enum Cells<'a> {
    /// In `numbers`, of which so many are missing.
    Numbers(u64),
    /// As they lie there.
    Words(&'a StringArray),
}

/// Reads the rows `from..to` of a column; numbers go to `numbers`, which is emptied before.
pub(crate) fn read<'a>(
    column: &'a dyn Array,
    (from, to): (usize, usize),
    numbers: &mut Vec<f64>,
) -> Option<Cells<'a>> {
    numbers.clear();
    macro_rules! as_numbers {
        ($($data:ident => $kind:ty),* $(,)?) => {
            match column.data_type() {
                $(DataType::$data => {
                    let missing = primitive(column.as_primitive::<$kind>(), from..to, numbers);
                    Some(Cells::Numbers(missing))
                })*
                DataType::Boolean => Some(Cells::Numbers(flags(column.as_boolean(), from..to, numbers))),
                DataType::Utf8 => Some(Cells::Words(column.as_string::<i32>())),
                _ => None,
            }
        };
    }
    as_numbers! {
        Float32 => Float32Type, Float64 => Float64Type,
        Int8 => Int8Type, Int16 => Int16Type, Int32 => Int32Type, Int64 => Int64Type,
        UInt8 => UInt8Type, UInt16 => UInt16Type, UInt32 => UInt32Type, UInt64 => UInt64Type,
    }
}

fn primitive<T: ArrowPrimitiveType<Native: Number>>(
    column: &PrimitiveArray<T>,
    rows: std::ops::Range<usize>,
    numbers: &mut Vec<f64>,
) -> u64 {
    let values = column.values().get(rows.clone()).unwrap_or_default();
    numbers.extend(values.iter().map(|it| it.number()));
    blanked(column, rows, numbers)
}

fn flags(column: &BooleanArray, rows: std::ops::Range<usize>, numbers: &mut Vec<f64>) -> u64 {
    numbers.extend(rows.clone().map(|it| f64::from(u8::from(column.value(it)))));
    blanked(column, rows, numbers)
}

/// Puts NaN where nothing is, and says how often.
fn blanked(column: &dyn Array, rows: std::ops::Range<usize>, numbers: &mut [f64]) -> u64 {
    if column.null_count() == 0 {
        return 0;
    }
    let mut missing = 0;
    for (value, row) in numbers.iter_mut().zip(rows) {
        if column.is_null(row) {
            *value = f64::NAN;
            missing += 1;
        }
    }
    missing
}

/// As the statistics take it; large integers to the nearest that there is.
trait Number: Copy {
    fn number(self) -> f64;
}

macro_rules! numbers {
    ($($kind:ty)*) => {
        $(impl Number for $kind {
            #[allow(clippy::cast_lossless, clippy::cast_precision_loss, reason = "see the trait")]
            fn number(self) -> f64 {
                self as f64
            }
        })*
    };
}

numbers! { f32 f64 i8 i16 i32 i64 u8 u16 u32 u64 }
