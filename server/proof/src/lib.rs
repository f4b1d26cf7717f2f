//! What a version says of itself, and whether it keeps it.
//!
//! The modules stand in the order of a load: what lies beside the model (`MLmodel`), what it declares,
//! whether the graph is like that, the example it brings (and the same at other lengths), recorded
//! requests and their answers, logged ones, and how long a run takes. Nothing here knows a folder's history, an engine or a clock: whoever loads
//! hands in a way to [`Ask`] the model. Called by the lifecycle, before a version is ready.

mod yaml;
mod card;
mod declared;
mod compare;
mod tensors;
mod example;
mod stretch;
mod agree;
mod golden;
mod answers;
mod worst;
mod replay;
mod latency;
mod refusal;

pub use agree::Tolerance;
pub use answers::{Answers, Named, OutputAnswers};
pub use card::{Card, FILE, is_plain};
pub use compare::compare;
pub use declared::{Column, Declared, DeclaredTensor, Side};
pub use example::{check_example, example};
pub use golden::{Golden, Report};
pub use latency::median;
pub use refusal::{Refusal, Rule};
pub use replay::{Limits, Logged, Replay};
pub use stretch::stretched;
pub use tensors::{in_order, shaped};
pub use worst::{Example, What, Worst};

use backend_api::Tensor;

/// Runs the model: inputs in the signature's order, outputs in the signature's order.
pub type Ask<'a> = dyn FnMut(&[Tensor]) -> Result<Vec<Tensor>, String> + 'a;
