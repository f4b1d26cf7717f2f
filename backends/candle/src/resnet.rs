//! ResNet: images to the scores of classes, or to a vector.
//!
//! Source: He et al., "Deep Residual Learning for Image Recognition", 2016. Weights are called as the
//! Hugging Face hub calls them. Normalisations are folded into the convolutions before them.

use backend_api::{BackendError, DType, Dim, Signature, Tensor, TensorSpec};
use candle_core::{Result, Tensor as CandleTensor};

use crate::config::ResnetConfig;
use crate::layers::{Activation, ChannelNorm, Conv2d, Linear};
use crate::network::Network;
use crate::weights::Weights;
use crate::{unreadable, unsupported};

/// PyTorch's own, which the hub's file does not say.
const EPS: f64 = 1e-5;

/// The smallest image that leaves a pixel after five halvings.
const SIZE_MIN: usize = 32;

/// More blocks than any such network has.
const BLOCKS_MAX: usize = 1024;

/// See the module.
pub(crate) struct Resnet {
    signature: Signature,
    stem: Conv2d,
    blocks: Vec<Block>,
    classifier: Option<Linear>,
    activation: Activation,
}

struct Block {
    shortcut: Option<Conv2d>,
    convs: Vec<Conv2d>,
}

impl Resnet {
    pub(crate) fn new(
        config: &ResnetConfig,
        weights: Weights,
    ) -> std::result::Result<Resnet, BackendError> {
        if config.depths.iter().any(|it| *it > BLOCKS_MAX) || config.depths.len() > BLOCKS_MAX {
            return Err(unreadable(format!("config.json: depths {:?}", config.depths)));
        }
        let mut weights = weights.under("resnet.");
        let stem = conv(&mut weights, "embedder.embedder", (2, 3))?;
        let (colours, mut channels) = stem.channels();
        let mut blocks = Vec::new();
        for (stage, &depth) in config.depths.iter().enumerate() {
            for n in 0..depth {
                let first = n == 0 && (stage > 0 || config.downsample_in_first_stage);
                let name = format!("encoder.stages.{stage}.layers.{n}");
                let stride = if first { 2 } else { 1 };
                let block = Block::take(&mut weights, (&name, stride), channels, config)?;
                channels = block.convs.last().map_or(channels, |it| it.channels().1);
                blocks.push(block);
            }
        }
        let mut weights = weights.bare();
        let classifier = weights.has("classifier.1.weight");
        let classifier =
            classifier.then(|| Linear::take(&mut weights, "classifier.1")).transpose()?;
        if classifier.as_ref().is_some_and(|it| it.widths().0 != channels) {
            return Err(unreadable(format!("the classifier does not take {channels} channels")));
        }
        let size = config.salver.image_size;
        let axis = |name: &str| size.map_or_else(|| Dim::Free(name.into()), Dim::Fixed);
        let image = vec![Dim::Rows, Dim::Fixed(colours), axis("height"), axis("width")];
        let (name, width) = match &classifier {
            Some(it) => ("logits", it.widths().1),
            None => ("embedding", channels),
        };
        let spec = |name: &str, dims| TensorSpec {
            name: name.into(),
            dtype: DType::Fp32,
            dims,
            quantization: None,
        };
        let signature = Signature {
            inputs: vec![spec("pixel_values", image)],
            outputs: vec![spec(name, vec![Dim::Rows, Dim::Fixed(width)])],
        };
        let activation = Activation::named(&config.hidden_act)?;
        if activation != Activation::Relu {
            // The padding of the first maximum would have to be less than any number then.
            return Err(unsupported("config.json: a ResNet's hidden_act is relu"));
        }
        Ok(Resnet { signature, stem, blocks, classifier, activation })
    }
}

impl Block {
    fn take(
        weights: &mut Weights,
        (name, stride): (&str, usize),
        channels: usize,
        config: &ResnetConfig,
    ) -> std::result::Result<Block, BackendError> {
        // (stride, padding) of each convolution.
        let parts: Vec<(usize, usize)> = match config.layer_type.as_str() {
            "basic" => vec![(stride, 1), (1, 1)],
            "bottleneck" if config.downsample_in_bottleneck => vec![(stride, 0), (1, 1), (1, 0)],
            "bottleneck" => vec![(1, 0), (stride, 1), (1, 0)],
            other => {
                let reason =
                    format!("config.json: layer_type {other:?} is not basic or bottleneck");
                return Err(unsupported(reason));
            }
        };
        let (mut at, mut convs) = (channels, Vec::new());
        for (n, geometry) in parts.into_iter().enumerate() {
            let conv = conv(weights, &format!("{name}.layer.{n}"), geometry)?;
            if conv.channels().0 != at {
                let (takes, from) = (conv.channels().0, at);
                return Err(unreadable(format!(
                    "{name}.layer.{n} takes {takes} channels of {from}"
                )));
            }
            at = conv.channels().1;
            convs.push(conv);
        }
        let shortcut = format!("{name}.shortcut");
        let there = weights.has(&format!("{shortcut}.convolution.weight"));
        let shortcut = there.then(|| conv(weights, &shortcut, (stride, 0))).transpose()?;
        let beside = shortcut.as_ref().map_or((channels, channels), Conv2d::channels);
        if beside != (channels, at) || (shortcut.is_none() && stride != 1) {
            return Err(unreadable(format!("{name}: what goes past it does not fit what goes in")));
        }
        Ok(Block { shortcut, convs })
    }

    fn forward(&self, x: &CandleTensor, activation: Activation) -> Result<CandleTensor> {
        let past = match &self.shortcut {
            Some(conv) => conv.forward(x)?,
            None => x.clone(),
        };
        let mut flow = x.clone();
        for (n, conv) in self.convs.iter().enumerate() {
            flow = conv.forward(&flow)?;
            if n + 1 < self.convs.len() {
                flow = activation.forward(&flow)?;
            }
        }
        activation.forward(&(flow + past)?)
    }
}

/// A convolution, and the normalisation behind it.
fn conv(
    weights: &mut Weights,
    name: &str,
    geometry: (usize, usize),
) -> std::result::Result<Conv2d, BackendError> {
    let conv = Conv2d::take(weights, &format!("{name}.convolution"), geometry)?;
    let named = format!("{name}.normalization");
    if !weights.has(&format!("{named}.weight")) {
        return Ok(conv); // folded into it before it was saved
    }
    let norm = ChannelNorm::take(weights, (&named, conv.channels().1), EPS)?;
    conv.normalised(&norm)
}

impl Network for Resnet {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn forward(&self, inputs: &[CandleTensor]) -> Result<Vec<CandleTensor>> {
        let [image] = inputs else { candle_core::bail!("one input") };
        let flow = self.activation.forward(&self.stem.forward(image)?)?;
        // Nothing is less than zero here, so that zeros around it change no maximum.
        let flow = flow.pad_with_zeros(2, 1, 1)?.pad_with_zeros(3, 1, 1)?;
        let mut flow = flow.max_pool2d_with_stride(3, 2)?;
        for block in &self.blocks {
            flow = block.forward(&flow, self.activation)?;
        }
        let pooled = flow.mean((2, 3))?;
        Ok(vec![match &self.classifier {
            Some(classifier) => classifier.forward(&pooled)?,
            None => pooled,
        }])
    }

    fn check(&self, inputs: &[Tensor]) -> std::result::Result<(), BackendError> {
        let sizes = inputs.iter().flat_map(|it| it.shape().dims().iter().skip(2));
        match sizes.min() {
            Some(&least) if least < SIZE_MIN => Err(BackendError::Input {
                reason: format!("an image of {least} pixels, expected {SIZE_MIN} at the least"),
            }),
            Some(_) | None => Ok(()),
        }
    }
}
