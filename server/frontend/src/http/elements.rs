//! JSON numbers, words and strings straight into a tensor's memory, without a tree in between.
//!
//! Invariant: at most as many elements are taken as the shape has, so memory is bounded by what
//! was declared and checked, whatever the text holds.

use std::fmt;
use std::marker::PhantomData;

use backend_api::{DType, strings};
use half::{bf16, f16};
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, SeqAccess, Visitor};

/// Arrays inside arrays: more than any shape has axes, less than would threaten the stack.
pub(super) const DEPTH_MAX: usize = 32;

/// Reads an array, flat or nested, of so many elements of a type.
pub(crate) struct Elements<'a> {
    pub(crate) dtype: DType,
    /// Elements of the declared shape.
    pub(crate) count: usize,
    /// Where they go, in memory order.
    pub(crate) into: &'a mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for Elements<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        fn read<'de, T: Json, D: Deserializer<'de>>(
            elements: Elements<'_>,
            deserializer: D,
        ) -> Result<(), D::Error> {
            let Elements { count, into, .. } = elements;
            let mut taken = 0;
            let level =
                Level::<T> { count, taken: &mut taken, into, depth: 0, element: PhantomData };
            deserializer.deserialize_seq(level)?;
            if taken < count {
                let text = format!("the shape has {count} elements, data has {taken}");
                return Err(D::Error::custom(text));
            }
            Ok(())
        }
        match self.dtype {
            DType::Bool => read::<bool, D>(self, deserializer),
            DType::Uint8 => read::<u8, D>(self, deserializer),
            DType::Uint16 => read::<u16, D>(self, deserializer),
            DType::Uint32 => read::<u32, D>(self, deserializer),
            DType::Uint64 => read::<u64, D>(self, deserializer),
            DType::Int8 => read::<i8, D>(self, deserializer),
            DType::Int16 => read::<i16, D>(self, deserializer),
            DType::Int32 => read::<i32, D>(self, deserializer),
            DType::Int64 => read::<i64, D>(self, deserializer),
            DType::Fp16 => read::<f16, D>(self, deserializer),
            DType::Bf16 => read::<bf16, D>(self, deserializer),
            DType::Fp32 => read::<f32, D>(self, deserializer),
            DType::Fp64 => read::<f64, D>(self, deserializer),
            DType::Bytes => read::<String, D>(self, deserializer),
        }
    }
}

/// One array, or one element inside an array.
struct Level<'a, T> {
    count: usize,
    taken: &'a mut usize,
    into: &'a mut Vec<u8>,
    depth: usize,
    element: PhantomData<T>,
}

impl<T: Json> Level<'_, T> {
    fn take<E: Error>(self, pushed: Result<(), String>) -> Result<(), E> {
        if *self.taken >= self.count {
            return Err(E::custom(format!(
                "data has more than the shape's {} elements",
                self.count
            )));
        }
        *self.taken += 1;
        pushed.map_err(E::custom)
    }
}

impl<'de, T: Json> DeserializeSeed<'de> for Level<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Json> Visitor<'de> for Level<'_, T> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.depth == 0 { "an array of" } else { "an element or array of" };
        write!(out, "{kind} {}", T::NAME)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        if self.depth >= DEPTH_MAX {
            return Err(A::Error::custom(format!("arrays are nested deeper than {DEPTH_MAX}")));
        }
        loop {
            let inner = Level::<T> {
                count: self.count,
                taken: &mut *self.taken,
                into: &mut *self.into,
                depth: self.depth + 1,
                element: PhantomData,
            };
            if array.next_element_seed(inner)?.is_none() {
                return Ok(());
            }
        }
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        let pushed = T::from_bool(value, self.into);
        self.take(pushed)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        let pushed = T::from_u64(value, self.into);
        self.take(pushed)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        let pushed = T::from_i64(value, self.into);
        self.take(pushed)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        let pushed = T::from_f64(value, self.into);
        self.take(pushed)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        let pushed = T::from_str(value, self.into);
        self.take(pushed)
    }
}

/// An element type, and which JSON values it takes. Appends to the memory or says why not.
trait Json {
    const NAME: &'static str;

    fn from_bool(value: bool, _into: &mut Vec<u8>) -> Result<(), String> {
        Err(refused(value, Self::NAME))
    }

    fn from_u64(value: u64, _into: &mut Vec<u8>) -> Result<(), String> {
        Err(refused(value, Self::NAME))
    }

    fn from_i64(value: i64, _into: &mut Vec<u8>) -> Result<(), String> {
        Err(refused(value, Self::NAME))
    }

    fn from_f64(value: f64, _into: &mut Vec<u8>) -> Result<(), String> {
        Err(refused(value, Self::NAME))
    }

    fn from_str(value: &str, _into: &mut Vec<u8>) -> Result<(), String> {
        let shown: String = value.chars().take(32).collect();
        Err(refused(format!("{shown:?}"), Self::NAME))
    }
}

fn refused(value: impl fmt::Display, name: &str) -> String {
    format!("{value} is no {name}")
}

impl Json for bool {
    const NAME: &'static str = "BOOL (true or false)";

    fn from_bool(value: bool, into: &mut Vec<u8>) -> Result<(), String> {
        into.push(u8::from(value));
        Ok(())
    }
}

impl Json for String {
    const NAME: &'static str = "BYTES (a string)";

    fn from_str(value: &str, into: &mut Vec<u8>) -> Result<(), String> {
        strings::push(into, value.as_bytes()).map_err(|it| it.to_string())
    }
}

macro_rules! whole {
    ($($type:ty => $name:literal),* $(,)?) => {
        $(impl Json for $type {
            const NAME: &'static str = $name;

            fn from_u64(value: u64, into: &mut Vec<u8>) -> Result<(), String> {
                let it = <$type>::try_from(value).map_err(|_| refused(value, $name))?;
                into.extend_from_slice(&it.to_le_bytes());
                Ok(())
            }

            fn from_i64(value: i64, into: &mut Vec<u8>) -> Result<(), String> {
                let it = <$type>::try_from(value).map_err(|_| refused(value, $name))?;
                into.extend_from_slice(&it.to_le_bytes());
                Ok(())
            }
        })*
    };
}

whole! {
    u8 => "UINT8", u16 => "UINT16", u32 => "UINT32", u64 => "UINT64",
    i8 => "INT8", i16 => "INT16", i32 => "INT32", i64 => "INT64",
}

macro_rules! broken {
    ($($type:ty, $convert:expr => $name:literal),* $(,)?) => {
        $(impl Json for $type {
            const NAME: &'static str = $name;

            fn from_u64(value: u64, into: &mut Vec<u8>) -> Result<(), String> {
                <Self as Json>::from_f64(value as f64, into)
            }

            fn from_i64(value: i64, into: &mut Vec<u8>) -> Result<(), String> {
                <Self as Json>::from_f64(value as f64, into)
            }

            fn from_f64(value: f64, into: &mut Vec<u8>) -> Result<(), String> {
                let it = $convert(value);
                if it.is_infinite() && value.is_finite() {
                    return Err(format!("{value:e} is too large for {}", $name));
                }
                into.extend_from_slice(&it.to_le_bytes());
                Ok(())
            }

            /// JSON has no words for these three; protobuf's JSON mapping writes them so.
            fn from_str(value: &str, into: &mut Vec<u8>) -> Result<(), String> {
                let it = match value {
                    "NaN" => f64::NAN,
                    "Infinity" => f64::INFINITY,
                    "-Infinity" => f64::NEG_INFINITY,
                    other => {
                        let shown: String = other.chars().take(32).collect();
                        return Err(refused(format!("{shown:?}"), $name));
                    }
                };
                into.extend_from_slice(&$convert(it).to_le_bytes());
                Ok(())
            }
        })*
    };
}

#[expect(clippy::cast_possible_truncation, reason = "rounding to the nearest is what is meant")]
pub(super) fn nearest(value: f64) -> f32 {
    value as f32
}

broken! {
    f16, f16::from_f64 => "FP16",
    bf16, bf16::from_f64 => "BF16",
    f32, nearest => "FP32",
    f64, |it: f64| it => "FP64",
}

#[cfg(test)]
#[path = "elements_tests.rs"]
mod tests;
