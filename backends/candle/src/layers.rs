//! The layers that networks are made of, with their weights laid out as they are used.

use backend_api::BackendError;
use candle_core::{Result, Tensor};
use candle_nn::ops;

use crate::place::of_load;
use crate::unreadable;
use crate::weights::Weights;

/// `x W + b` over the last axis.
pub(crate) struct Linear {
    /// `[in, out]`: the file has it the other way round.
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    pub(crate) fn take(
        weights: &mut Weights,
        name: &str,
    ) -> std::result::Result<Linear, BackendError> {
        let weight = weights.take(&format!("{name}.weight"), 2)?;
        let bias = format!("{name}.bias");
        let outputs = weight.dims().first().copied().unwrap_or_default();
        let bias = weights.has(&bias).then(|| weights.vector(&bias, outputs)).transpose()?;
        let weight = weight.t().and_then(|it| it.contiguous()).map_err(of_load)?;
        Ok(Linear { weight, bias })
    }

    /// Elements of the last axis that come in, and that go out.
    pub(crate) fn widths(&self) -> (usize, usize) {
        self.weight.dims2().unwrap_or_default()
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (inputs, outputs) = self.widths();
        let mut dims = x.dims().to_vec();
        // One product for all rows and tokens.
        let flow = x.reshape(((), inputs))?.matmul(&self.weight)?;
        let flow = match &self.bias {
            Some(bias) => flow.broadcast_add(bias)?,
            None => flow,
        };
        if let Some(last) = dims.last_mut() {
            *last = outputs;
        }
        flow.reshape(dims)
    }
}

/// A convolution over height and width.
pub(crate) struct Conv2d {
    kernel: Tensor,
    bias: Option<Tensor>,
    stride: usize,
    padding: usize,
}

impl Conv2d {
    pub(crate) fn take(
        weights: &mut Weights,
        name: &str,
        (stride, padding): (usize, usize),
    ) -> std::result::Result<Conv2d, BackendError> {
        let kernel = weights.take(&format!("{name}.weight"), 4)?;
        if stride == 0 {
            return Err(unreadable(format!("{name}: a stride of 0")));
        }
        let outputs = kernel.dims().first().copied().unwrap_or_default();
        let bias = format!("{name}.bias");
        let bias = weights.has(&bias).then(|| weights.vector(&bias, outputs)).transpose()?;
        let bias = bias.map(|it| it.reshape((1, outputs, 1, 1))).transpose().map_err(of_load)?;
        Ok(Conv2d { kernel, bias, stride, padding })
    }

    /// With the normalisation that follows it, which is a factor and a summand per channel.
    pub(crate) fn normalised(
        self,
        norm: &ChannelNorm,
    ) -> std::result::Result<Conv2d, BackendError> {
        let fold = || {
            let outputs = self.kernel.dim(0)?;
            let factor = norm.factor.reshape((outputs, 1, 1, 1))?;
            let shift = norm.summand.reshape((1, outputs, 1, 1))?;
            let bias = match &self.bias {
                Some(bias) => (bias * norm.factor.reshape((1, outputs, 1, 1))?)?.add(&shift)?,
                None => shift,
            };
            Ok((self.kernel.broadcast_mul(&factor)?, bias))
        };
        let (kernel, bias) = fold().map_err(of_load)?;
        Ok(Conv2d { kernel, bias: Some(bias), ..self })
    }

    pub(crate) fn channels(&self) -> (usize, usize) {
        let dims = self.kernel.dims();
        (dims.get(1).copied().unwrap_or_default(), dims.first().copied().unwrap_or_default())
    }

    /// Length of an axis after it, if it fits at all; `axis` is 2 for the height, 3 for the width.
    pub(crate) fn length(&self, length: usize, axis: usize) -> Option<usize> {
        let size = self.kernel.dims().get(axis)?;
        Some((length + 2 * self.padding).checked_sub(*size)? / self.stride + 1)
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let flow = x.conv2d(&self.kernel, self.padding, self.stride, 1, 1)?;
        match &self.bias {
            Some(bias) => flow.broadcast_add(bias),
            None => Ok(flow),
        }
    }
}

/// A factor and a summand per channel: what a batch normalisation comes to after training.
pub(crate) struct ChannelNorm {
    factor: Tensor,
    summand: Tensor,
}

impl ChannelNorm {
    pub(crate) fn take(
        weights: &mut Weights,
        (name, channels): (&str, usize),
        eps: f64,
    ) -> std::result::Result<ChannelNorm, BackendError> {
        let mut vector = |what: &str| weights.vector(&format!("{name}.{what}"), channels);
        let (weight, bias) = (vector("weight")?, vector("bias")?);
        let (mean, variance) = (vector("running_mean")?, vector("running_var")?);
        let settle = || {
            let factor = (weight / (variance + eps)?.sqrt()?)?;
            let summand = (bias - (mean * &factor)?)?;
            Ok(ChannelNorm { factor, summand })
        };
        settle().map_err(of_load)
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut dims = vec![1; x.rank()];
        if let Some(channels) = dims.get_mut(1) {
            *channels = self.factor.elem_count();
        }
        let factor = self.factor.reshape(dims.clone())?;
        x.broadcast_mul(&factor)?.broadcast_add(&self.summand.reshape(dims)?)
    }
}

/// Over the last axis.
pub(crate) struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f32,
}

impl LayerNorm {
    #[expect(clippy::cast_possible_truncation, reason = "it is computed in FP32")]
    pub(crate) fn take(
        weights: &mut Weights,
        (name, width): (&str, usize),
        eps: f64,
    ) -> std::result::Result<LayerNorm, BackendError> {
        let weight = weights.vector(&format!("{name}.weight"), width)?;
        let bias = weights.vector(&format!("{name}.bias"), width)?;
        Ok(LayerNorm { weight, bias, eps: eps as f32 })
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        ops::layer_norm(&x.contiguous()?, &self.weight, &self.bias, self.eps)
    }
}

/// A vector for each number from 0.
pub(crate) struct Embedding {
    table: Tensor,
}

impl Embedding {
    pub(crate) fn take(
        weights: &mut Weights,
        name: &str,
    ) -> std::result::Result<Embedding, BackendError> {
        Ok(Embedding { table: weights.take(&format!("{name}.weight"), 2)? })
    }

    /// How many vectors, and of how many elements.
    pub(crate) fn size(&self) -> (usize, usize) {
        self.table.dims2().unwrap_or_default()
    }

    /// `[..]` to `[.., width]`. The numbers have been checked.
    pub(crate) fn forward(&self, places: &Tensor) -> Result<Tensor> {
        let mut dims = places.dims().to_vec();
        dims.push(self.size().1);
        self.table.index_select(&places.flatten_all()?, 0)?.reshape(dims)
    }

    /// The first `count` vectors.
    pub(crate) fn first(&self, count: usize) -> Result<Tensor> {
        self.table.narrow(0, 0, count)
    }
}

/// What comes after a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    Gelu,
    GeluTanh,
    Relu,
    Sigmoid,
    Silu,
    Tanh,
}

impl Activation {
    /// By the name that Hugging Face gives it.
    pub(crate) fn named(name: &str) -> std::result::Result<Activation, BackendError> {
        Ok(match name {
            "gelu" => Activation::Gelu,
            "gelu_new" | "gelu_pytorch_tanh" => Activation::GeluTanh,
            "relu" => Activation::Relu,
            "silu" | "swish" => Activation::Silu,
            "tanh" => Activation::Tanh,
            other => {
                let known = "gelu, gelu_new, relu, silu, tanh";
                let reason = format!("config.json: hidden_act {other:?} is none of {known}");
                return Err(crate::unsupported(reason));
            }
        })
    }

    pub(crate) fn forward(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Activation::Gelu => x.gelu_erf(),
            Activation::GeluTanh => x.gelu(),
            Activation::Relu => x.relu(),
            Activation::Sigmoid => ops::sigmoid(x),
            Activation::Silu => x.silu(),
            Activation::Tanh => x.tanh(),
        }
    }
}
