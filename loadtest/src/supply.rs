//! The requests to one model, built before the load starts, and what their answers must be.
//!
//! Gathered by `run` and `ceiling`; shared by all load threads, which never change it.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};

use crate::case::Case;
use crate::check::{Expectations, Tolerance};
use crate::client::{Prepared, Target};
use crate::limits::PAYLOAD_BYTES_MAX;
use crate::plan::{Plan, Source};
use crate::recorded::Recording;
use crate::signature::Signature;

#[derive(Debug)]
pub(crate) struct Supply {
    pub(crate) target: Target,
    /// Its share of the requests, in proportion to that of the others.
    pub(crate) weight: f64,
    pub(crate) signature: Signature,
    pub(crate) cases: Vec<Case>,
    pub(crate) requests: Vec<Prepared>,
    pub(crate) expectations: Arc<Expectations>,
}

impl Supply {
    /// Asks the server for the metadata of each model and builds its requests.
    pub(crate) async fn gather(plan: &Plan) -> Result<Vec<Supply>> {
        let mut signatures = Vec::with_capacity(plan.models.len());
        for share in &plan.models {
            signatures.push(plan.target(share).signature().await?);
        }
        if let Source::Random(payload) = &plan.source {
            payload.refuse_strangers(&signatures)?;
        }
        let mut bytes = 0_usize;
        let mut supplies = Vec::with_capacity(plan.models.len());
        for (share, signature) in plan.models.iter().zip(signatures) {
            let supply = Supply::new(plan, plan.target(share), share.weight, signature)?;
            bytes += supply.requests.iter().map(|it| it.body.len()).sum::<usize>();
            ensure!(bytes <= PAYLOAD_BYTES_MAX, "requests of more than {PAYLOAD_BYTES_MAX} bytes");
            supplies.push(supply);
        }
        Ok(supplies)
    }

    fn new(plan: &Plan, target: Target, weight: f64, signature: Signature) -> Result<Supply> {
        let (cases, tolerance) = match &plan.source {
            Source::Random(payload) => (payload.generate(&signature)?, Tolerance::SAME),
            Source::Recorded(path) => {
                let recording = Recording::read(path, &signature)?;
                (recording.cases, recording.tolerance)
            }
        };
        let prepared = cases.iter().enumerate().map(|(index, case)| {
            target
                .prepare(case)
                .with_context(|| format!("request {index} to {:?} cannot be built", target.model))
        });
        let requests = prepared.collect::<Result<_>>()?;
        let expectations = Arc::new(Expectations::new(signature.clone(), tolerance, &cases));
        Ok(Supply { target, weight, signature, cases, requests, expectations })
    }
}
