//! How a version's answers are read, and what labels can be held against them.

use std::sync::Arc;

use backend_api::{DType, Dim, Tensor, TensorSpec};
use half::{bf16, f16};
use server_base::{Subject, Task, TruthConfig, Version};
use smallvec::SmallVec;

use crate::label::Given;

/// Numbers of a row that are kept: more classes are not held against labels.
pub(crate) const CLASSES_MAX: usize = 1_024;

/// What a version said of one row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Guess {
    /// A number for each class.
    Scores(SmallVec<[f32; 4]>),
    /// A class by its name.
    Class(Box<str>),
    /// A number.
    Value(f64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A number for each class, or one for the second of two.
    Scores,
    /// The class itself.
    Class,
    /// A number.
    Value,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    pub(crate) version: Version,
    /// Of the bytes that answer.
    pub(crate) digest: Option<String>,
    pub(crate) config: Arc<TruthConfig>,
    pub(crate) kind: Kind,
    pub(crate) output: Arc<str>,
    /// The output's place in the signature.
    pub(crate) place: usize,
    /// Numbers of a row, where that is settled.
    width: Option<usize>,
    is_bool: bool,
}

impl Form {
    /// An error names what the configuration asks for and cannot have.
    pub(crate) fn new(subject: &Subject, config: &TruthConfig) -> Result<Form, String> {
        let (place, spec) = output(subject, config)?;
        let width = spec.dims.iter().try_fold(1_usize, |width, dim| match dim {
            Dim::Rows => Some(width),
            Dim::Fixed(length) => width.checked_mul(*length),
            Dim::Free(_) => None,
        });
        let kind = kind(spec, config.task, width)?;
        if let Some(width) = width.filter(|it| *it > CLASSES_MAX) {
            return Err(format!(
                "truth.output: {spec} has {width} numbers a row, expected at most {CLASSES_MAX}"
            ));
        }
        if let (Kind::Scores, Some(width)) = (kind, width)
            && !config.classes.is_empty()
            && config.classes.len() != width.max(2)
        {
            let names = config.classes.len();
            return Err(format!(
                "truth.classes: {names} names for {} classes of {spec}",
                width.max(2)
            ));
        }
        let of_other =
            |it: &&(server_base::Metric, f64)| it.0.is_of_classes() == (kind == Kind::Value);
        if let Some((metric, _)) = config.limits.iter().find(of_other) {
            return Err(format!("truth.{}: {spec} is compared otherwise", metric.limit_key()));
        }
        let of_other =
            |it: &&(server_base::Metric, f64)| it.0.is_of_classes() == (kind == Kind::Value);
        if let Some((metric, _)) = config.changes.iter().find(of_other) {
            return Err(format!("truth.{}: {spec} is compared otherwise", metric.change_key()));
        }
        if config.error_expected.is_some() && kind == Kind::Value && config.error_max.is_none() {
            return Err(format!(
                "truth.error_expected: {spec} is a number: expected error_max beside it"
            ));
        }
        Ok(Form {
            digest: subject.digest.clone(),
            version: subject.version,
            config: Arc::new(config.clone()),
            kind,
            output: Arc::clone(&spec.name),
            place,
            width: width.filter(|_| kind == Kind::Scores).map(|it| it.max(2)),
            is_bool: spec.dtype == DType::Bool,
        })
    }

    /// Are answers and labels read the same way?
    pub(crate) fn is_like(&self, other: &Form) -> bool {
        (&self.config, self.kind, &self.output, self.width, self.place)
            == (&other.config, other.kind, &other.output, other.width, other.place)
    }

    /// What defines a loss, in short: losses under another are not to be compared. Kept on the disk, so it is the
    /// same in all releases, unless what it is made of changes.
    pub(crate) fn print(&self) -> String {
        let TruthConfig { classes, threshold, error_max, error_expected, .. } = &*self.config;
        let read = (self.kind, &self.output, self.place, self.width, self.is_bool);
        let text = format!("{read:?} {classes:?} {threshold:?} {error_max:?} {error_expected:?}");
        // FNV-1a, of 64 bits: nobody chooses what is hashed.
        let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        format!("{hash:016x}")
    }

    pub(crate) fn task(&self) -> &'static str {
        if self.kind == Kind::Value { "regression" } else { "classification" }
    }

    /// One guess for each row; nothing if the tensor is of another form.
    pub(crate) fn read(&self, tensor: &Tensor, rows: usize) -> Vec<Guess> {
        let elements = tensor.shape().elements();
        if rows == 0 || elements == 0 || !elements.is_multiple_of(rows) {
            return Vec::new();
        }
        let width = elements / rows;
        match self.kind {
            Kind::Scores if width <= CLASSES_MAX => {
                numbers(tensor).chunks(width).map(|it| Guess::Scores(scores(it))).collect()
            }
            Kind::Value if width == 1 => numbers(tensor).into_iter().map(Guess::Value).collect(),
            Kind::Class if width == 1 => self.classes(tensor),
            Kind::Scores | Kind::Value | Kind::Class => Vec::new(),
        }
    }

    fn classes(&self, tensor: &Tensor) -> Vec<Guess> {
        if tensor.dtype() == DType::Bytes {
            let text = |it: &[u8]| Guess::Class(String::from_utf8_lossy(it).into());
            return tensor.strings().map(text).collect();
        }
        let name = |number: f64| {
            let names = &self.config.classes;
            let named = whole(number).and_then(|it| names.get(it));
            Guess::Class(named.cloned().unwrap_or_else(|| number.to_string()).into())
        };
        numbers(tensor).into_iter().map(name).collect()
    }

    /// Can it be true? The error says what could.
    pub(crate) fn check(&self, value: &Given) -> Result<(), String> {
        let names = &self.config.classes;
        match self.kind {
            Kind::Value if value.number().is_none() => {
                Err(format!("value {}: expected a number", value.shown()))
            }
            Kind::Scores if self.place_of(value, self.width.unwrap_or(CLASSES_MAX)).is_none() => {
                let expected = match (names.as_slice(), self.width) {
                    ([], Some(width)) => format!("a class from 0 to {}", width - 1),
                    ([], None) => "a class's number".to_owned(),
                    (names, _) => format!("one of {}", some(names)),
                };
                Err(format!("value {}: expected {expected}", value.shown()))
            }
            Kind::Class if !names.is_empty() && !names.contains(&self.name_of(value)) => {
                Err(format!("value {}: expected one of {}", value.shown(), some(names)))
            }
            Kind::Value | Kind::Scores | Kind::Class => Ok(()),
        }
    }

    /// Which of so many classes is meant?
    pub(crate) fn place_of(&self, value: &Given, width: usize) -> Option<usize> {
        let names = &self.config.classes;
        if let Some(place) = names.iter().position(|it| *it == value.class()) {
            return Some(place).filter(|it| *it < width);
        }
        let by_number = names.is_empty() || matches!(value, Given::Bool(_));
        let place = value.number().filter(|_| by_number).and_then(whole);
        place.filter(|it| *it < width)
    }

    /// What the class is called that is meant.
    pub(crate) fn name_of(&self, value: &Given) -> String {
        match value {
            Given::Bool(it) if self.is_bool => u8::from(*it).to_string(),
            Given::Text(it) if self.is_bool && **it == *"true" => "1".to_owned(),
            Given::Text(it) if self.is_bool && **it == *"false" => "0".to_owned(),
            Given::Bool(_) | Given::Number(_) | Given::Text(_) => value.class(),
        }
    }

    /// The class that scores say.
    pub(crate) fn chosen(&self, scores: &[f32]) -> usize {
        if let [_, second] = scores {
            // At the usual threshold the first of two equal ones, as everywhere.
            let threshold = self.config.threshold;
            let second = f64::from(*second);
            let is_second =
                if threshold == 0.5 { scores[1] > scores[0] } else { second >= threshold };
            return usize::from(is_second);
        }
        let better = |best: usize, (place, score): (usize, &f32)| {
            if scores.get(best).is_none_or(|it| score > it) { place } else { best }
        };
        scores.iter().enumerate().fold(0, better)
    }
}

fn output<'a>(
    subject: &'a Subject,
    config: &TruthConfig,
) -> Result<(usize, &'a TensorSpec), String> {
    let outputs = &subject.signature.outputs;
    let known = || outputs.iter().map(|it| &*it.name).collect::<Vec<&str>>().join(", ");
    let found = match &config.output {
        Some(name) => {
            let place = outputs.iter().position(|it| *it.name == **name);
            place.ok_or_else(|| format!("truth.output: {name:?} is none of {}", known()))?
        }
        None if outputs.len() == 1 => 0,
        None => return Err(format!("truth.output: is not given, and there are {}", known())),
    };
    let spec = outputs.get(found).ok_or("truth.output: the model has none")?;
    let kept = &subject.config.outputs;
    let is_kept = kept.as_ref().is_none_or(|it| it.iter().any(|it| **it == *spec.name));
    let is_hashed = subject.config.hashed.iter().any(|it| **it == *spec.name);
    if !is_kept || is_hashed {
        return Err(format!("truth.output: {:?} is kept out of the log", spec.name));
    }
    Ok((found, spec))
}

fn kind(spec: &TensorSpec, task: Task, width: Option<usize>) -> Result<Kind, String> {
    let is_float = matches!(spec.dtype, DType::Fp16 | DType::Bf16 | DType::Fp32 | DType::Fp64);
    let is_text = matches!(spec.dtype, DType::Bytes | DType::Bool);
    let one = width == Some(1);
    match task {
        Task::Auto if is_float && width.is_none() => {
            Err(format!("truth.task: cannot be told of {spec}: expected it to be given"))
        }
        Task::Auto if is_float && one => Ok(Kind::Value),
        Task::Regression if is_text => Err(format!("truth.task: {spec} is no number")),
        Task::Regression if width.is_some_and(|it| it != 1) => {
            Err(format!("truth.task: {spec} is more than one number a row"))
        }
        Task::Regression => Ok(Kind::Value),
        Task::Auto | Task::Classification if is_float => Ok(Kind::Scores),
        Task::Auto | Task::Classification if one => Ok(Kind::Class),
        Task::Auto | Task::Classification => {
            Err(format!("truth.output: {spec} is neither one class a row nor floats"))
        }
    }
}

/// One probability stands for two.
fn scores(row: &[f64]) -> SmallVec<[f32; 4]> {
    #[expect(clippy::cast_possible_truncation, reason = "seven digits of a probability are enough")]
    match row {
        [one] => [(1.0 - one) as f32, *one as f32].into_iter().collect(),
        row => row.iter().map(|it| *it as f32).collect(),
    }
}

/// A whole number that names a place.
fn whole(number: f64) -> Option<usize> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in that range")]
    (number.fract() == 0.0 && (0.0..1e6).contains(&number)).then_some(number as usize)
}

fn some(names: &[String]) -> String {
    let shown: Vec<&str> = names.iter().take(10).map(String::as_str).collect();
    let more = if names.len() > shown.len() { ", ..." } else { "" };
    format!("{}{more}", shown.join(", "))
}

/// All elements; nothing of texts.
fn numbers(tensor: &Tensor) -> Vec<f64> {
    macro_rules! each {
        ($bytes:literal, $read:expr) => {
            tensor.data().as_chunks::<$bytes>().0.iter().map(|it| $read(*it)).collect()
        };
    }
    #[expect(clippy::cast_precision_loss, reason = "values are compared as floats")]
    match tensor.dtype() {
        DType::Bool | DType::Uint8 => each!(1, |it| f64::from(u8::from_le_bytes(it))),
        DType::Uint16 => each!(2, |it| f64::from(u16::from_le_bytes(it))),
        DType::Uint32 => each!(4, |it| f64::from(u32::from_le_bytes(it))),
        DType::Uint64 => each!(8, |it| u64::from_le_bytes(it) as f64),
        DType::Int8 => each!(1, |it| f64::from(i8::from_le_bytes(it))),
        DType::Int16 => each!(2, |it| f64::from(i16::from_le_bytes(it))),
        DType::Int32 => each!(4, |it| f64::from(i32::from_le_bytes(it))),
        DType::Int64 => each!(8, |it| i64::from_le_bytes(it) as f64),
        DType::Fp16 => each!(2, |it| f64::from(f16::from_le_bytes(it).to_f32())),
        DType::Bf16 => each!(2, |it| f64::from(bf16::from_le_bytes(it).to_f32())),
        DType::Fp32 => each!(4, |it| f64::from(f32::from_le_bytes(it))),
        DType::Fp64 => each!(8, f64::from_le_bytes),
        DType::Bytes => Vec::new(),
    }
}

#[cfg(test)]
#[path = "form_tests.rs"]
mod tests;
