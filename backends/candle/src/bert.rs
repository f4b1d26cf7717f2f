//! BERT and what has its shape, such as MiniLM: tokens to vectors, or to the scores of classes.
//!
//! Source: Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers", 2019. Weights are
//! called as the Hugging Face hub calls them.

use backend_api::{BackendError, DType, Dim, Signature, Tensor, TensorSpec};
use candle_core::{D, DType as CandleType, Result, Tensor as CandleTensor};
use candle_nn::ops;

use crate::config::{BertConfig, Pooling};
use crate::layers::{Activation, Embedding, LayerNorm, Linear};
use crate::network::{Network, check_places};
use crate::weights::Weights;
use crate::{unreadable, unsupported};

/// Added to the score of a masked token: e^-10000 is zero in FP32, and no row becomes NaN.
const MASKED: f64 = -10_000.0;

/// More layers or heads than any such network has; a file that says more is not meant.
const PARTS_MAX: usize = 1024;

/// See the module.
pub(crate) struct Bert {
    signature: Signature,
    words: Embedding,
    positions: Embedding,
    types: Embedding,
    norm: LayerNorm,
    layers: Vec<Layer>,
    end: End,
}

/// What becomes of the tokens' vectors.
enum End {
    /// All of them are the answer.
    Tokens,
    Pooled {
        pooling: Pooling,
        normalize: bool,
    },
    /// The first, through a layer more, to scores.
    Classes {
        pooler: Linear,
        classifier: Linear,
    },
}

struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    norm: LayerNorm,
    inner: Linear,
    outer: Linear,
    outer_norm: LayerNorm,
    activation: Activation,
    heads: usize,
}

impl Bert {
    pub(crate) fn new(
        config: &BertConfig,
        weights: Weights,
    ) -> std::result::Result<Bert, BackendError> {
        let positions = config.position_embedding_type.as_deref().unwrap_or("absolute");
        if positions != "absolute" || config.is_decoder {
            let reason = "config.json: only encoders with absolute positions are known";
            return Err(unsupported(reason));
        }
        let mut weights = weights.under("bert.");
        let words = Embedding::take(&mut weights, "embeddings.word_embeddings")?;
        let width = words.size().1;
        let heads = config.num_attention_heads;
        if heads == 0 || !width.is_multiple_of(heads) || config.num_hidden_layers > PARTS_MAX {
            let layers = config.num_hidden_layers;
            let reason = format!("config.json: {heads} heads, {layers} layers of width {width}");
            return Err(unreadable(reason));
        }
        let positions = Embedding::take(&mut weights, "embeddings.position_embeddings")?;
        let types = Embedding::take(&mut weights, "embeddings.token_type_embeddings")?;
        if positions.size().1 != width || types.size().1 != width {
            return Err(unreadable(format!("the embeddings are not all of width {width}")));
        }
        let eps = config.layer_norm_eps;
        let norm = LayerNorm::take(&mut weights, ("embeddings.LayerNorm", width), eps)?;
        let layer = |n| Layer::take(&mut weights, (n, width), config);
        let layers =
            (0..config.num_hidden_layers).map(layer).collect::<std::result::Result<_, _>>()?;
        let end = End::take(config, weights, width)?;
        let signature = signature(config, width, &end);
        Ok(Bert { signature, words, positions, types, norm, layers, end })
    }
}

fn signature(config: &BertConfig, width: usize, end: &End) -> Signature {
    let tokens = || vec![Dim::Rows, Dim::Free("sequence".into())];
    let spec =
        |name: &str, dtype, dims| TensorSpec { name: name.into(), dtype, dims, quantization: None };
    let mut inputs = vec![
        spec("input_ids", DType::Int64, tokens()),
        spec("attention_mask", DType::Int64, tokens()),
    ];
    if config.salver.token_types {
        inputs.push(spec("token_type_ids", DType::Int64, tokens()));
    }
    let row = |length| vec![Dim::Rows, Dim::Fixed(length)];
    let output = match end {
        End::Tokens => {
            let mut dims = tokens();
            dims.push(Dim::Fixed(width));
            spec("last_hidden_state", DType::Fp32, dims)
        }
        End::Pooled { .. } => spec("embedding", DType::Fp32, row(width)),
        End::Classes { classifier, .. } => spec("logits", DType::Fp32, row(classifier.widths().1)),
    };
    Signature { inputs, outputs: vec![output] }
}

impl End {
    fn take(
        config: &BertConfig,
        mut weights: Weights,
        width: usize,
    ) -> std::result::Result<End, BackendError> {
        let extra = &config.salver;
        if let Some(pooling) = extra.pooling {
            return Ok(End::Pooled { pooling, normalize: extra.normalize });
        }
        if extra.normalize {
            return Err(unreadable("config.json: salver.normalize needs salver.pooling"));
        }
        let pooler = weights.has("pooler.dense.weight");
        let pooler = pooler.then(|| Linear::take(&mut weights, "pooler.dense")).transpose()?;
        let mut weights = weights.bare();
        if !weights.has("classifier.weight") {
            return Ok(End::Tokens);
        }
        let classifier = Linear::take(&mut weights, "classifier")?;
        let missing = || unsupported("a classifier of tokens (no pooler before it) is not known");
        let pooler = pooler.ok_or_else(missing)?;
        if pooler.widths() != (width, width) || classifier.widths().0 != width {
            return Err(unreadable(format!("the classifier is not of width {width}")));
        }
        Ok(End::Classes { pooler, classifier })
    }
}

impl Layer {
    fn take(
        weights: &mut Weights,
        (n, width): (usize, usize),
        config: &BertConfig,
    ) -> std::result::Result<Layer, BackendError> {
        let name = |part: &str| format!("encoder.layer.{n}.{part}");
        let mut square = |part: &str| linear(weights, &name(part), (Some(width), Some(width)));
        let query = square("attention.self.query")?;
        let key = square("attention.self.key")?;
        let value = square("attention.self.value")?;
        let output = square("attention.output.dense")?;
        let inner = linear(weights, &name("intermediate.dense"), (Some(width), None))?;
        let back = (Some(inner.widths().1), Some(width));
        let outer = linear(weights, &name("output.dense"), back)?;
        let eps = config.layer_norm_eps;
        let mut norm = |part: &str| LayerNorm::take(weights, (&name(part), width), eps);
        let (norm, outer_norm) = (norm("attention.output.LayerNorm")?, norm("output.LayerNorm")?);
        let activation = Activation::named(&config.hidden_act)?;
        let heads = config.num_attention_heads;
        Ok(Layer { query, key, value, output, norm, inner, outer, outer_norm, activation, heads })
    }

    fn forward(&self, x: &CandleTensor, bias: &CandleTensor) -> Result<CandleTensor> {
        let (rows, length, width) = x.dims3()?;
        let each = width / self.heads;
        let split = |it: CandleTensor| {
            it.reshape((rows, length, self.heads, each))?.transpose(1, 2)?.contiguous()
        };
        let query = split((self.query.forward(x)? / (each as f64).sqrt())?)?;
        let key = split(self.key.forward(x)?)?.t()?.contiguous()?;
        let value = split(self.value.forward(x)?)?;
        let scores = query.matmul(&key)?.broadcast_add(bias)?;
        let mixed = ops::softmax_last_dim(&scores)?.matmul(&value)?;
        let joined = mixed.transpose(1, 2)?.reshape((rows, length, width))?;
        let x = self.norm.forward(&(self.output.forward(&joined)? + x)?)?;
        let inner = self.activation.forward(&self.inner.forward(&x)?)?;
        self.outer_norm.forward(&(self.outer.forward(&inner)? + x)?)
    }
}

/// A linear layer of these widths.
fn linear(
    weights: &mut Weights,
    name: &str,
    (inputs, outputs): (Option<usize>, Option<usize>),
) -> std::result::Result<Linear, BackendError> {
    let linear = Linear::take(weights, name)?;
    let (from, to) = linear.widths();
    if inputs.is_some_and(|it| it != from) || outputs.is_some_and(|it| it != to) {
        return Err(unreadable(format!("{name} leads from {from} to {to} elements")));
    }
    Ok(linear)
}

impl Network for Bert {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn forward(&self, inputs: &[CandleTensor]) -> Result<Vec<CandleTensor>> {
        let [ids, mask, types @ ..] = inputs else { candle_core::bail!("two inputs at the least") };
        let (_, length) = ids.dims2()?;
        let mask = mask.to_dtype(CandleType::F32)?;
        let types = match types.first() {
            Some(types) => self.types.forward(types)?,
            None => self.types.first(1)?,
        };
        let flow = self.words.forward(ids)?.broadcast_add(&self.positions.first(length)?)?;
        let mut flow = self.norm.forward(&flow.broadcast_add(&types)?)?;
        // [rows, 1, 1, sequence]: 0 for a token that counts.
        let bias = (mask.affine(-1.0, 1.0)? * MASKED)?.unsqueeze(1)?.unsqueeze(1)?;
        for layer in &self.layers {
            flow = layer.forward(&flow, &bias)?;
        }
        Ok(vec![self.end.forward(flow, &mask)?])
    }

    fn check(&self, inputs: &[Tensor]) -> std::result::Result<(), BackendError> {
        let limits = [self.words.size().0, 2, self.types.size().0];
        for ((spec, input), limit) in self.signature.inputs.iter().zip(inputs).zip(limits) {
            let length = input.shape().dims().get(1).copied().unwrap_or_default();
            let most = self.positions.size().0;
            if length > most {
                let reason =
                    format!("input '{}' has {length} tokens, at most {most} fit", spec.name);
                return Err(BackendError::Input { reason });
            }
            check_places(&spec.name, input, limit)?;
        }
        Ok(())
    }
}

impl End {
    fn forward(&self, flow: CandleTensor, mask: &CandleTensor) -> Result<CandleTensor> {
        let first = |flow: &CandleTensor| flow.narrow(1, 0, 1)?.squeeze(1)?.contiguous();
        match self {
            End::Tokens => Ok(flow),
            End::Classes { pooler, classifier } => {
                classifier.forward(&pooler.forward(&first(&flow)?)?.tanh()?)
            }
            End::Pooled { pooling, normalize } => {
                let pooled = match pooling {
                    Pooling::Cls => first(&flow)?,
                    Pooling::Mean => {
                        let mask = mask.unsqueeze(D::Minus1)?;
                        // A row that masks all of them gives zeros.
                        let count = mask.sum(1)?.clamp(1_f32, f32::MAX)?;
                        flow.broadcast_mul(&mask)?.sum(1)?.broadcast_div(&count)?
                    }
                };
                if !normalize {
                    return Ok(pooled);
                }
                let length = pooled.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?;
                pooled.broadcast_div(&length.clamp(1e-12_f32, f32::MAX)?)
            }
        }
    }
}
