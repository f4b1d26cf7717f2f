//! Random requests that fit a model's metadata.
//!
//! Called by `run` before the load starts. Deterministic: the same signature, shapes and seed give
//! the same bytes.

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use half::{bf16, f16};

use crate::case::Case;
use crate::limits::PAYLOAD_BYTES_MAX;
use crate::options::Lengths;
use crate::random::Random;
use crate::signature::{FREE, Port, Signature};
use crate::tensor::{Datatype, Tensor, element_count, put_string};

/// What the metadata leaves open.
#[derive(Clone, Debug)]
pub(crate) struct Payload {
    /// Length of each leading axis of -1.
    pub(crate) rows: usize,
    /// `name` or `name.axis`, and the length of that input's other free axes.
    pub(crate) axes: Vec<(String, Lengths)>,
    /// The full shape of an input, rows included.
    pub(crate) shapes: Vec<(String, Vec<usize>)>,
    /// Integers are drawn from `0..integers_below`.
    pub(crate) integers_below: u64,
    pub(crate) seed: u64,
    /// Distinct requests; they are sent in turn.
    pub(crate) distinct: usize,
}

impl Payload {
    pub(crate) fn generate(&self, signature: &Signature) -> Result<Vec<Case>> {
        ensure!(
            self.rows == 1 || signature.batched(),
            "{} rows, but no input of model {:?} has a free first axis",
            self.rows,
            signature.model,
        );
        let shapes = |part: f64| -> Result<Vec<Vec<usize>>> {
            signature.inputs.iter().map(|port| self.shape(port, part)).collect()
        };
        self.refuse_size(signature, &shapes(LONGEST)?)?;

        let mut random = Random::new(self.seed);
        // Lengths have draws of their own, and one each request: inputs that share an axis agree.
        let mut parts = Random::new(!self.seed);
        let mut case = || -> Result<Case> {
            let shapes = shapes(parts.unit())?;
            let inputs = signature.inputs.iter().zip(&shapes);
            let inputs = inputs.map(|(port, shape)| self.tensor(port, shape, &mut random));
            Ok(Case { inputs: inputs.collect::<Result<_>>()?, rows: self.rows, ..Case::default() })
        };
        (0..self.distinct).map(|_| case()).collect()
    }

    /// The shape to send for `port`, where lengths are left to chance so far up their range.
    fn shape(&self, port: &Port, part: f64) -> Result<Vec<usize>> {
        if let Some((_, shape)) = self.shapes.iter().find(|(name, _)| *name == port.name) {
            self.fits(port, shape)?;
            return Ok(shape.clone());
        }
        let mut shape = Vec::with_capacity(port.shape.len());
        for (index, &axis) in port.shape.iter().enumerate() {
            let length = match usize::try_from(axis) {
                Ok(fixed) => fixed,
                Err(_) if index == 0 => self.rows,
                Err(_) => self.free_axis(port, index)?.at(part),
            };
            shape.push(length);
        }
        Ok(shape)
    }

    fn free_axis(&self, port: &Port, index: usize) -> Result<Lengths> {
        let name = &port.name;
        let exact = format!("{name}.{index}");
        let find = |wanted: &str| self.axes.iter().find(|(given, _)| given == wanted);
        let given = find(&exact).or_else(|| find(name));
        given.map(|&(_, lengths)| lengths).with_context(|| {
            let shape = &port.shape;
            format!(
                "input {name:?} has shape {shape:?}: say how long axis {index} is, \
                 by --axis {name}=LENGTH or --axis {exact}=LENGTH or --shape {name}=1x…"
            )
        })
    }

    fn fits(&self, port: &Port, shape: &[usize]) -> Result<()> {
        let same =
            |(&axis, &length): (&i64, &usize)| axis == FREE || usize::try_from(axis) == Ok(length);
        ensure!(
            shape.len() == port.shape.len() && port.shape.iter().zip(shape).all(same),
            "--shape {}={shape:?} does not fit the model's shape {:?}",
            port.name,
            port.shape,
        );
        ensure!(
            !port.batched() || shape.first() == Some(&self.rows),
            "--shape {}={shape:?} must begin with the {} of --rows",
            port.name,
            self.rows,
        );
        Ok(())
    }

    /// An option that names nothing in any of the models is a mistake, not a wish.
    pub(crate) fn refuse_strangers(&self, signatures: &[Signature]) -> Result<()> {
        let inputs = || signatures.iter().flat_map(|it| &it.inputs);
        let names: Vec<&str> = inputs().map(|it| it.name.as_str()).collect();
        for (name, _) in &self.shapes {
            ensure!(names.contains(&name.as_str()), "--shape {name}: the inputs are {names:?}");
        }
        for (name, _) in &self.axes {
            let free =
                |port: &Port| port.free_axes().any(|axis| *name == format!("{}.{axis}", port.name));
            let whole = |port: &Port| *name == port.name && port.free_axes().next().is_some();
            if !inputs().any(|port| whole(port) || free(port)) {
                bail!(
                    "--axis {name}: no input of that name has such a free axis; inputs are {names:?}"
                );
            }
        }
        Ok(())
    }

    fn refuse_size(&self, signature: &Signature, shapes: &[Vec<usize>]) -> Result<()> {
        let mut total = 0_usize;
        for (port, shape) in signature.inputs.iter().zip(shapes) {
            let size = port.datatype.element_bytes().unwrap_or(size_of::<u32>() + TEXT_BYTES_MAX);
            let bytes = element_count(shape).and_then(|it| it.checked_mul(size));
            let bytes = bytes.and_then(|it| it.checked_mul(self.distinct));
            total = bytes.and_then(|it| it.checked_add(total)).unwrap_or(usize::MAX);
        }
        ensure!(
            total <= PAYLOAD_BYTES_MAX,
            "{} distinct requests take {total} bytes, at most {PAYLOAD_BYTES_MAX}",
            self.distinct,
        );
        Ok(())
    }

    fn tensor(&self, port: &Port, shape: &[usize], random: &mut Random) -> Result<Tensor> {
        let count = element_count(shape).context("the shape was checked by refuse_size")?;
        let mut data = Vec::with_capacity(count * port.datatype.element_bytes().unwrap_or(8));
        for _ in 0..count {
            self.put(port.datatype, random, &mut data)?;
        }
        Tensor::new(port.name.clone(), port.datatype, shape.to_vec(), Bytes::from(data))
    }

    #[expect(clippy::cast_possible_truncation, reason = "a small integer and a float in 0..1 fit")]
    fn put(&self, datatype: Datatype, random: &mut Random, data: &mut Vec<u8>) -> Result<()> {
        match datatype {
            Datatype::Bool => data.push(u8::from(random.below(2) == 1)),
            Datatype::Uint8
            | Datatype::Uint16
            | Datatype::Uint32
            | Datatype::Uint64
            | Datatype::Int8
            | Datatype::Int16
            | Datatype::Int32
            | Datatype::Int64 => {
                // Little-endian, so the low bytes of a small number are that number in any width.
                let bytes = random.below(self.integers_below).to_le_bytes();
                let width = datatype.element_bytes().expect("integers have a fixed width");
                data.extend_from_slice(&bytes[..width]);
            }
            Datatype::Fp16 => data.extend(f16::from_f64(random.unit()).to_le_bytes()),
            Datatype::Bf16 => data.extend(bf16::from_f64(random.unit()).to_le_bytes()),
            Datatype::Fp32 => data.extend((random.unit() as f32).to_le_bytes()),
            Datatype::Fp64 => data.extend(random.unit().to_le_bytes()),
            Datatype::Bytes => put_text(random, data)?,
        }
        Ok(())
    }
}

/// The end of every range of lengths.
const LONGEST: f64 = 1.0 - f64::EPSILON;

/// Length of the longest random string.
const TEXT_BYTES_MAX: usize = 12;

fn put_text(random: &mut Random, data: &mut Vec<u8>) -> Result<()> {
    const LETTERS: &[u8; 26] = b"abcdefghijklmnopqrstuvwxyz";
    let mut text = [0_u8; TEXT_BYTES_MAX];
    let length = 4 + draw(random, TEXT_BYTES_MAX - 3);
    for letter in &mut text[..length] {
        *letter = LETTERS[draw(random, LETTERS.len())];
    }
    put_string(data, &text[..length])
}

fn draw(random: &mut Random, bound: usize) -> usize {
    usize::try_from(random.below(bound as u64)).expect("below a bound that is a usize")
}
