//! What every network can do.

use backend_api::{BackendError, Signature, Tensor};
use candle_core::Tensor as CandleTensor;

use crate::bert::Bert;
use crate::config::Config;
use crate::resnet::Resnet;
use crate::sequential::Sequential;
use crate::weights::Weights;

/// Weights put together. Immutable, shared by all instances.
pub(crate) trait Network: Send + Sync {
    /// What it takes and gives.
    fn signature(&self) -> &Signature;

    /// Inputs in the signature's order, checked against it, to outputs in its order.
    fn forward(&self, inputs: &[CandleTensor]) -> candle_core::Result<Vec<CandleTensor>>;

    /// What the signature does not say of inputs: numbers that are places in a table, lengths that
    /// have an end.
    fn check(&self, inputs: &[Tensor]) -> Result<(), BackendError>;
}

/// Puts the network together that the configuration speaks of.
pub(crate) fn build(config: &Config, weights: Weights) -> Result<Box<dyn Network>, BackendError> {
    Ok(match config {
        Config::Bert(config) => Box::new(Bert::new(config, weights)?),
        Config::Resnet(config) => Box::new(Resnet::new(config, weights)?),
        Config::Sequential(config) => Box::new(Sequential::new(config, weights)?),
    })
}

/// Are all numbers of an INT64 input places in a table of so many?
pub(crate) fn check_places(name: &str, input: &Tensor, count: usize) -> Result<(), BackendError> {
    let aligned = input.aligned();
    let mut outside = aligned.view::<i64>().into_iter().flatten();
    let outside = outside.find(|it| usize::try_from(**it).map_or(true, |it| it >= count));
    match outside {
        None => Ok(()),
        Some(it) => Err(BackendError::Input {
            reason: format!("input '{name}' holds {it}, expected 0 to {}", count.saturating_sub(1)),
        }),
    }
}
