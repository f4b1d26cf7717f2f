//! The language of `model.fake`: one statement a line, `#` begins a comment.
//!
//! ```text
//! input x FP32 rows,4           # axes: a length, `rows`, or a name
//! output y FP32 rows,4 = double x
//! run_us 100                    # each run takes so long
//! row_us 10                     # and so much more for each row
//! load_ms 50                    # loading takes so long
//! load_waits                    # loading waits for the gate
//! loads_failing 2               # the first two loads of this backend fail
//! loads_starving 2              # the same, for lack of memory
//! on 13 fail                    # a run with this number in any input: fail, lose (the
//!                               # device), refuse, panic, hang
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use backend_api::{Axis, DType, GraphTensor, Signature};

/// A parsed script.
#[derive(Clone, Debug, Default)]
pub struct Script {
    pub(crate) inputs: Vec<GraphTensor>,
    pub(crate) outputs: Vec<(GraphTensor, Rule)>,
    pub(crate) run_delay: Duration,
    pub(crate) row_delay: Duration,
    pub(crate) load_delay: Duration,
    pub(crate) load_waits: bool,
    pub(crate) loads_failing: u32,
    /// Is it for lack of memory that they fail?
    pub(crate) starving: bool,
    pub(crate) triggers: Vec<(f64, Trigger)>,
}

/// What an output is. The numbers are places of inputs.
#[derive(Clone, Debug)]
pub(crate) enum Rule {
    Copy(usize),
    Double(usize),
    Sum(usize, usize),
    Difference(usize, usize),
    Pick(usize, Vec<f32>),
    Positive(usize),
    /// One number for every element: tells versions apart.
    Constant(f32),
    /// Each element's share of the sum over all rows: depends on its neighbours.
    Share(usize),
}

/// What a value makes of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trigger {
    Fail,
    Lose,
    Refuse,
    Panic,
    Hang,
}

impl Script {
    /// Parses a script; the error names the line.
    pub fn parse(text: &str) -> Result<Script, String> {
        let mut script = Script::default();
        for (n, line) in text.lines().enumerate() {
            let statement = line.split('#').next().unwrap_or_default().trim();
            if !statement.is_empty() {
                script.statement(statement).map_err(|it| format!("line {}: {it}", n + 1))?;
            }
        }
        if script.inputs.is_empty() || script.outputs.is_empty() {
            return Err("the script needs an input and an output".to_owned());
        }
        Ok(script)
    }

    pub(crate) fn signature(&self) -> Signature {
        let outputs = self.outputs.iter().map(|(tensor, _)| tensor.clone()).collect();
        Signature::of_graph(self.inputs.clone(), outputs)
    }

    fn statement(&mut self, statement: &str) -> Result<(), String> {
        let (word, rest) = statement.split_once(' ').unwrap_or((statement, ""));
        let number = || rest.trim().parse::<u64>().map_err(|it| format!("{rest:?}: {it}"));
        match word {
            "input" => self.inputs.push(tensor(rest)?),
            "output" => {
                let (declared, rule) = rest.split_once('=').ok_or("an output needs `= rule`")?;
                self.outputs.push((tensor(declared)?, self.rule(rule)?));
            }
            "run_us" => self.run_delay = Duration::from_micros(number()?),
            "row_us" => self.row_delay = Duration::from_micros(number()?),
            "load_ms" => self.load_delay = Duration::from_millis(number()?),
            "load_waits" => self.load_waits = true,
            "loads_failing" | "loads_starving" => {
                self.starving = word == "loads_starving";
                self.loads_failing = u32::try_from(number()?).map_err(|it| it.to_string())?;
            }
            "on" => self.triggers.push(trigger(rest)?),
            other => return Err(format!("{other:?} is no statement")),
        }
        Ok(())
    }

    fn rule(&self, text: &str) -> Result<Rule, String> {
        let mut words = text.split_whitespace();
        let name = words.next().unwrap_or_default();
        let places: BTreeMap<&str, usize> =
            self.inputs.iter().enumerate().map(|(n, it)| (it.name.as_str(), n)).collect();
        let mut input = || {
            let word = words.next().ok_or_else(|| format!("{name} needs an input"))?;
            places.get(word).copied().ok_or_else(|| format!("{word:?} is no input"))
        };
        Ok(match name {
            "copy" => Rule::Copy(input()?),
            "double" => Rule::Double(input()?),
            "sum" => Rule::Sum(input()?, input()?),
            "difference" => Rule::Difference(input()?, input()?),
            "positive" => Rule::Positive(input()?),
            "share" => Rule::Share(input()?),
            "pick" => {
                let place = input()?;
                Rule::Pick(place, words.map(float).collect::<Result<_, _>>()?)
            }
            "constant" => Rule::Constant(float(words.next().unwrap_or_default())?),
            other => return Err(format!("{other:?} is no rule")),
        })
    }
}

fn tensor(text: &str) -> Result<GraphTensor, String> {
    let mut words = text.split_whitespace();
    let (Some(name), Some(dtype)) = (words.next(), words.next()) else {
        return Err(format!("{text:?}: expected a name, a data type and axes"));
    };
    let dtype = DType::parse(dtype).ok_or_else(|| format!("{dtype:?} is no data type"))?;
    let axis = |it: &str| match it.parse() {
        Ok(length) => Axis::Fixed(length),
        Err(_) => Axis::Named(it.to_owned()),
    };
    let axes = words.next().map(|it| it.split(',').map(axis).collect()).unwrap_or_default();
    Ok(GraphTensor { name: name.to_owned(), dtype, axes })
}

fn trigger(text: &str) -> Result<(f64, Trigger), String> {
    let (value, action) = text.split_once(' ').ok_or("`on` needs a number and an action")?;
    let value = value.parse().map_err(|it| format!("{value:?}: {it}"))?;
    let action = match action.trim() {
        "fail" => Trigger::Fail,
        "lose" => Trigger::Lose,
        "refuse" => Trigger::Refuse,
        "panic" => Trigger::Panic,
        "hang" => Trigger::Hang,
        other => return Err(format!("{other:?} is no action")),
    };
    Ok((value, action))
}

fn float(word: &str) -> Result<f32, String> {
    word.parse().map_err(|it| format!("{word:?}: {it}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_error(text: &str, expect: &str) {
        assert_eq!(Script::parse(text).expect_err("is refused"), expect);
    }

    #[test]
    fn errors_name_the_line() {
        check_error("", "the script needs an input and an output");
        check_error("input x FP32 4\noutput y FP33 4 = copy x", "line 2: \"FP33\" is no data type");
        check_error("input x FP32 4\noutput y FP32 4 = copy z", "line 2: \"z\" is no input");
        check_error("# fine\non 3 explode", "line 2: \"explode\" is no action");
        check_error("jump", "line 1: \"jump\" is no statement");
    }
}
