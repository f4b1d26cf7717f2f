//! What `config.json` says: which network, and how large.

use serde::Deserialize;
use serde_json::Value;

use backend_api::BackendError;

use crate::{unreadable, unsupported};

/// The networks that are known, by `model_type`.
pub(crate) const KNOWN: &str = "bert, resnet, sequential";

/// A network, as it is configured.
#[derive(Debug)]
pub(crate) enum Config {
    Bert(BertConfig),
    Resnet(ResnetConfig),
    Sequential(SequentialConfig),
}

impl Config {
    /// Reads the text of a `config.json`.
    pub(crate) fn parse(text: &[u8]) -> Result<Config, BackendError> {
        let value: Value = serde_json::from_slice(text).map_err(|it| wrong(&it))?;
        let kind = value.get("model_type").and_then(Value::as_str);
        let config = match kind {
            Some("bert") => serde_json::from_value(value).map(Config::Bert),
            Some("resnet") => serde_json::from_value(value).map(Config::Resnet),
            Some("sequential") => serde_json::from_value(value).map(Config::Sequential),
            Some(other) => {
                let reason = format!("config.json: model_type {other:?} is none of {KNOWN}");
                return Err(unsupported(reason));
            }
            None => {
                let reason = format!("config.json: model_type is missing, expected one of {KNOWN}");
                return Err(unreadable(reason));
            }
        };
        config.map_err(|it| wrong(&it))
    }
}

fn wrong(error: &serde_json::Error) -> BackendError {
    unreadable(format!("config.json: {error}"))
}

/// One input after the other, joined, through a list of layers, to one output or several.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SequentialConfig {
    #[serde(rename = "model_type")]
    _model_type: String,
    /// Always so many rows; any number of them where it is left out.
    pub(crate) rows: Option<usize>,
    pub(crate) inputs: Vec<InputConfig>,
    #[serde(default)]
    pub(crate) layers: Vec<LayerConfig>,
    pub(crate) outputs: Vec<OutputConfig>,
}

/// An input: numbers, or places in a table of vectors.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct InputConfig {
    pub(crate) name: String,
    /// Of one row.
    pub(crate) shape: Vec<usize>,
    /// The weight `<embedding>.weight` holds a vector for each number from 0: then the input is INT64.
    pub(crate) embedding: Option<String>,
}

/// An output: what comes of some more layers.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OutputConfig {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) layers: Vec<LayerConfig>,
}

/// A layer, named as in PyTorch. Weights are `<name>.weight`, `<name>.bias` and so on.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum LayerConfig {
    Linear {
        name: String,
    },
    Conv2d {
        name: String,
        #[serde(default = "one")]
        stride: usize,
        #[serde(default)]
        padding: usize,
    },
    /// Per channel, the first axis of a row.
    BatchNorm {
        name: String,
        #[serde(default = "batch_norm_eps")]
        eps: f64,
    },
    /// Over the last axis.
    LayerNorm {
        name: String,
        #[serde(default = "batch_norm_eps")]
        eps: f64,
    },
    /// Element by element: `x * weight + bias`; either may be one number, and bias may be missing.
    Scale {
        name: String,
    },
    MaxPool2d {
        size: usize,
        #[serde(default)]
        stride: Option<usize>,
    },
    AvgPool2d {
        size: usize,
        #[serde(default)]
        stride: Option<usize>,
    },
    Flatten,
    Relu,
    Gelu,
    Silu,
    Sigmoid,
    Tanh,
    /// Over the last axis.
    Softmax,
}

fn one() -> usize {
    1
}

fn batch_norm_eps() -> f64 {
    1e-5
}

/// What Hugging Face's file does not say, under the key `salver`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Extra {
    /// What becomes of an encoder's tokens: one vector a row.
    #[serde(default)]
    pub(crate) pooling: Option<Pooling>,
    /// Is that vector brought to length 1?
    #[serde(default)]
    pub(crate) normalize: bool,
    /// Is there an input that tells the first text of a pair from the second?
    #[serde(default)]
    pub(crate) token_types: bool,
    /// Height and width of an image, where they are always the same.
    #[serde(default)]
    pub(crate) image_size: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Pooling {
    /// Of the tokens that the mask keeps.
    Mean,
    /// The first token.
    Cls,
}

/// `config.json` of a BERT, as the hub has it. What does not bear on the answer is not read.
#[derive(Debug, Deserialize)]
pub(crate) struct BertConfig {
    pub(crate) num_hidden_layers: usize,
    pub(crate) num_attention_heads: usize,
    #[serde(default = "gelu")]
    pub(crate) hidden_act: String,
    #[serde(default = "bert_eps")]
    pub(crate) layer_norm_eps: f64,
    #[serde(default)]
    pub(crate) position_embedding_type: Option<String>,
    #[serde(default)]
    pub(crate) is_decoder: bool,
    #[serde(default)]
    pub(crate) salver: Extra,
}

fn gelu() -> String {
    "gelu".to_owned()
}

fn bert_eps() -> f64 {
    1e-12
}

/// `config.json` of a ResNet, as the hub has it.
#[derive(Debug, Deserialize)]
pub(crate) struct ResnetConfig {
    pub(crate) depths: Vec<usize>,
    #[serde(default = "bottleneck")]
    pub(crate) layer_type: String,
    #[serde(default = "relu")]
    pub(crate) hidden_act: String,
    #[serde(default)]
    pub(crate) downsample_in_first_stage: bool,
    #[serde(default)]
    pub(crate) downsample_in_bottleneck: bool,
    #[serde(default)]
    pub(crate) salver: Extra,
}

fn bottleneck() -> String {
    "bottleneck".to_owned()
}

fn relu() -> String {
    "relu".to_owned()
}
