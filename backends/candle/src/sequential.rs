//! A list of layers: tabular networks, with tables for what is no number, and small convolutional ones.

use std::sync::Arc;

use backend_api::{BackendError, DType, Dim, Signature, Tensor, TensorSpec};
use candle_core::{Result, Tensor as CandleTensor};
use candle_nn::ops;

use crate::config::{InputConfig, LayerConfig, SequentialConfig};
use crate::layers::{Activation, ChannelNorm, Conv2d, Embedding, LayerNorm, Linear};
use crate::network::{Network, check_places};
use crate::unreadable;
use crate::weights::Weights;

/// See the module.
pub(crate) struct Sequential {
    signature: Signature,
    /// For each input: the table that it speaks of, if it does.
    tables: Vec<Option<Embedding>>,
    trunk: Vec<Layer>,
    /// For each output.
    heads: Vec<Vec<Layer>>,
}

enum Layer {
    Linear(Linear),
    Conv2d(Conv2d),
    ChannelNorm(ChannelNorm),
    LayerNorm(LayerNorm),
    Scale { weight: CandleTensor, bias: Option<CandleTensor> },
    MaxPool { size: usize, stride: usize },
    AvgPool { size: usize, stride: usize },
    Flatten,
    Activation(Activation),
    Softmax,
}

impl Sequential {
    pub(crate) fn new(
        config: &SequentialConfig,
        mut weights: Weights,
    ) -> std::result::Result<Sequential, BackendError> {
        if config.inputs.is_empty() || config.outputs.is_empty() {
            return Err(unreadable("config.json: inputs and outputs name none"));
        }
        let rows = config.rows.map_or(Dim::Rows, Dim::Fixed);
        let spec = |name: &str, dtype, shape: &[usize]| {
            let dims = shape.iter().map(|it| Dim::Fixed(*it));
            let dims = std::iter::once(rows.clone()).chain(dims).collect();
            TensorSpec { name: Arc::from(name), dtype, dims, quantization: None }
        };
        let (mut inputs, mut tables, mut shapes) = (Vec::new(), Vec::new(), Vec::new());
        for it in &config.inputs {
            let (table, shape) = table(it, &mut weights)?;
            let dtype = if table.is_some() { DType::Int64 } else { DType::Fp32 };
            inputs.push(spec(&it.name, dtype, &it.shape));
            tables.push(table);
            shapes.push(shape);
        }
        let mut shape = match shapes.as_slice() {
            [single] => single.clone(),
            several => vec![several.iter().map(|it| it.iter().product::<usize>()).sum()],
        };
        let trunk = layers(&config.layers, &mut shape, &mut weights)?;
        let (mut outputs, mut heads) = (Vec::new(), Vec::new());
        for it in &config.outputs {
            let mut shape = shape.clone();
            heads.push(layers(&it.layers, &mut shape, &mut weights)?);
            outputs.push(spec(&it.name, DType::Fp32, &shape));
        }
        let signature = Signature { inputs, outputs };
        Ok(Sequential { signature, tables, trunk, heads })
    }
}

impl Network for Sequential {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn forward(&self, inputs: &[CandleTensor]) -> Result<Vec<CandleTensor>> {
        let mut flows = Vec::with_capacity(inputs.len());
        for (input, table) in inputs.iter().zip(&self.tables) {
            let flow = match table {
                Some(table) => table.forward(input)?.flatten_from(1)?,
                None => input.clone(),
            };
            flows.push(flow);
        }
        let flow = match flows.as_slice() {
            [single] => single.clone(),
            several => {
                let flat: Result<Vec<CandleTensor>> =
                    several.iter().map(|it| it.flatten_from(1)).collect();
                CandleTensor::cat(&flat?, 1)?
            }
        };
        let flow = through(&self.trunk, flow)?;
        self.heads.iter().map(|it| through(it, flow.clone())).collect()
    }

    fn check(&self, inputs: &[Tensor]) -> std::result::Result<(), BackendError> {
        let specs = self.signature.inputs.iter().zip(&self.tables).zip(inputs);
        for ((spec, table), input) in specs {
            if let Some(table) = table {
                check_places(&spec.name, input, table.size().0)?;
            }
        }
        Ok(())
    }
}

/// The table of an input, and the shape of what it comes to for one row.
fn table(
    input: &InputConfig,
    weights: &mut Weights,
) -> std::result::Result<(Option<Embedding>, Vec<usize>), BackendError> {
    let elements = input.shape.iter().try_fold(1_usize, |all, it| all.checked_mul(*it));
    let elements = elements.filter(|it| *it > 0 && u32::try_from(*it).is_ok());
    let wrong = || unreadable(format!("config.json: input '{}' has no size", input.name));
    let elements = elements.ok_or_else(wrong)?;
    let Some(name) = &input.embedding else { return Ok((None, input.shape.clone())) };
    let table = Embedding::take(weights, name)?;
    let shape = vec![elements.saturating_mul(table.size().1)];
    Ok((Some(table), shape))
}

/// Layers in order; `shape` is that of a row before them, and after.
fn layers(
    configs: &[LayerConfig],
    shape: &mut Vec<usize>,
    weights: &mut Weights,
) -> std::result::Result<Vec<Layer>, BackendError> {
    let one = |it: &LayerConfig| {
        let before = shape.clone();
        layer(it, shape, weights)?.ok_or_else(|| {
            unreadable(format!("config.json: {it:?} does not go with a row of shape {before:?}"))
        })
    };
    configs.iter().map(one).collect()
}

/// `None`: it does not fit.
fn layer(
    config: &LayerConfig,
    shape: &mut Vec<usize>,
    weights: &mut Weights,
) -> std::result::Result<Option<Layer>, BackendError> {
    let last = shape.last().copied().unwrap_or_default();
    Ok(match config {
        LayerConfig::Linear { name } => {
            let linear = Linear::take(weights, name)?;
            let (inputs, outputs) = linear.widths();
            let fits = inputs == last;
            if let Some(last) = shape.last_mut().filter(|_| fits) {
                *last = outputs;
            }
            fits.then_some(Layer::Linear(linear))
        }
        LayerConfig::Conv2d { name, stride, padding } => {
            let conv = Conv2d::take(weights, name, (*stride, *padding))?;
            let after = match *shape.as_slice() {
                [channels, height, width] if channels == conv.channels().0 => {
                    conv.length(height, 2).zip(conv.length(width, 3))
                }
                _ => None,
            };
            after.map(|(height, width)| {
                *shape = vec![conv.channels().1, height, width];
                Layer::Conv2d(conv)
            })
        }
        LayerConfig::BatchNorm { name, eps } => {
            let Some(channels) = shape.first() else { return Ok(None) };
            let norm = ChannelNorm::take(weights, (name, *channels), *eps)?;
            Some(Layer::ChannelNorm(norm))
        }
        LayerConfig::LayerNorm { name, eps } => {
            Some(Layer::LayerNorm(LayerNorm::take(weights, (name, last), *eps)?))
        }
        LayerConfig::Scale { name } => {
            let factor = format!("{name}.weight");
            let missing = || unreadable(format!("the file has no weight {factor:?}"));
            let weight = weights.any(&factor)?.ok_or_else(missing)?;
            let bias = weights.any(&format!("{name}.bias"))?;
            let fits = |it: &CandleTensor| it.broadcast_as(shape.as_slice()).is_ok();
            let fits = fits(&weight) && bias.as_ref().is_none_or(fits);
            fits.then_some(Layer::Scale { weight, bias })
        }
        LayerConfig::MaxPool2d { size, stride } => {
            let stride = stride.unwrap_or(*size);
            pooled(shape, (*size, stride)).then_some(Layer::MaxPool { size: *size, stride })
        }
        LayerConfig::AvgPool2d { size, stride } => {
            let stride = stride.unwrap_or(*size);
            pooled(shape, (*size, stride)).then_some(Layer::AvgPool { size: *size, stride })
        }
        LayerConfig::Flatten => {
            *shape = vec![shape.iter().product()];
            Some(Layer::Flatten)
        }
        LayerConfig::Relu => Some(Layer::Activation(Activation::Relu)),
        LayerConfig::Gelu => Some(Layer::Activation(Activation::Gelu)),
        LayerConfig::Silu => Some(Layer::Activation(Activation::Silu)),
        LayerConfig::Sigmoid => Some(Layer::Activation(Activation::Sigmoid)),
        LayerConfig::Tanh => Some(Layer::Activation(Activation::Tanh)),
        LayerConfig::Softmax => Some(Layer::Softmax),
    })
}

/// The shape after windows of `size` that are `stride` apart; `false` if none fits.
fn pooled(shape: &mut [usize], (size, stride): (usize, usize)) -> bool {
    let [_, height, width] = shape else { return false };
    if size == 0 || stride == 0 || size > *height || size > *width {
        return false;
    }
    *height = (*height - size) / stride + 1;
    *width = (*width - size) / stride + 1;
    true
}

fn through(layers: &[Layer], mut flow: CandleTensor) -> Result<CandleTensor> {
    for layer in layers {
        flow = match layer {
            Layer::Linear(it) => it.forward(&flow)?,
            Layer::Conv2d(it) => it.forward(&flow)?,
            Layer::ChannelNorm(it) => it.forward(&flow)?,
            Layer::LayerNorm(it) => it.forward(&flow)?,
            Layer::Scale { weight, bias } => {
                let scaled = flow.broadcast_mul(weight)?;
                match bias {
                    Some(bias) => scaled.broadcast_add(bias)?,
                    None => scaled,
                }
            }
            Layer::MaxPool { size, stride } => flow.max_pool2d_with_stride(*size, *stride)?,
            Layer::AvgPool { size, stride } => flow.avg_pool2d_with_stride(*size, *stride)?,
            Layer::Flatten => flow.flatten_from(1)?,
            Layer::Activation(it) => it.forward(&flow)?,
            Layer::Softmax => ops::softmax_last_dim(&flow.contiguous()?)?,
        };
    }
    Ok(flow)
}
