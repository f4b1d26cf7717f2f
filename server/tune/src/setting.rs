//! What is tuned: one choice of each.

use std::fmt;

/// One configuration out of those that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Setting {
    /// Name of the engine.
    pub engine: &'static str,
    /// Instances.
    pub instances: usize,
    /// Threads inside an operator.
    pub threads: usize,
    /// Rows of a batch; `None` where requests are never joined.
    pub batch: Option<usize>,
}

impl Setting {
    /// For a picture, where there is little room: engine, instances×threads, batch.
    pub(crate) fn brief(&self) -> String {
        let Setting { engine, instances, threads, batch } = self;
        let batch = batch.map(|it| format!(", batch {it}")).unwrap_or_default();
        format!("{engine} {instances}×{threads}{batch}")
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Setting { engine, instances, threads, batch } = self;
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        let (many, more) = (plural(*instances), plural(*threads));
        write!(out, "{engine}, {instances} instance{many} of {threads} thread{more}")?;
        match batch {
            Some(rows) => write!(out, ", batch {rows}"),
            None => Ok(()),
        }
    }
}
