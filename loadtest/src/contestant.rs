//! Several servers under the same load, each with the name that its results get.
//!
//! Made from `--target` options; run in turn by `compare`, `search` and `sweep`.

use std::fmt;

use anyhow::Result;
use serde::Serialize;

use crate::ceiling::Ceiling;
use crate::endpoint::Endpoint;
use crate::limits::TARGETS_MAX;
use crate::options::{LoadOptions, NamedAddress, ServerOptions};
use crate::plan::{Plan, Unusable};
use crate::report::Report;
use crate::run;

#[derive(Clone, Debug)]
pub(crate) struct Contestant {
    pub(crate) name: String,
    pub(crate) plan: Plan,
    /// Of this client with such requests; measured by [`Contestant::weigh`].
    pub(crate) ceiling: Option<Ceiling>,
}

/// Who it was, for the results.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) protocol: String,
    pub(crate) connections: usize,
    /// What this client could do at most with this target's requests.
    pub(crate) ceiling: Option<Ceiling>,
}

impl Contestant {
    /// Reports the faults of all targets at once.
    pub(crate) fn all(
        targets: &[NamedAddress],
        load: &LoadOptions,
    ) -> Result<Vec<Contestant>, Unusable> {
        let mut faults = faults(targets);
        let mut contestants = Vec::with_capacity(targets.len());
        for NamedAddress { name, address } in targets {
            match Plan::validate(load, Some(address)) {
                Ok(plan) => {
                    contestants.push(Contestant { name: name.clone(), plan, ceiling: None });
                }
                Err(unusable) => faults.extend(unusable.0),
            }
        }
        // A fault of the load shows for every target, and is worth saying once.
        let mut seen = Vec::with_capacity(faults.len());
        faults.retain(|it| {
            !seen.contains(it) && {
                seen.push(it.clone());
                true
            }
        });
        if faults.is_empty() { Ok(contestants) } else { Err(Unusable(faults)) }
    }

    /// The targets of these options, or the one server.
    pub(crate) fn of(
        servers: &ServerOptions,
        load: &LoadOptions,
    ) -> Result<Vec<Contestant>, Unusable> {
        if !servers.targets.is_empty() {
            return Contestant::all(&servers.targets, load);
        }
        let usual = || Endpoint::usual(load.delivery.protocol).authority;
        let address = servers.url.clone().unwrap_or_else(usual);
        Contestant::all(&[NamedAddress { name: "server".to_owned(), address }], load)
    }

    /// Runs the plan once and holds the result against this client's ceiling.
    pub(crate) fn run(&self) -> Result<Report> {
        let mut report = run::run(&self.plan)?;
        report.hold_against(self.ceiling);
        Ok(report)
    }

    /// Measures the client's ceiling before the first run.
    pub(crate) fn weigh(&mut self) {
        self.ceiling = Ceiling::measure(&self.plan);
    }

    pub(crate) fn identity(&self) -> Identity {
        let endpoint = &self.plan.endpoint;
        Identity {
            name: self.name.clone(),
            url: endpoint.authority.clone(),
            protocol: endpoint.protocol.to_string(),
            connections: self.plan.connections,
            ceiling: self.ceiling,
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Identity { name, url, protocol, connections, ceiling } = self;
        let plural = if *connections == 1 { "" } else { "s" };
        write!(out, "{name} = {protocol} at {url}, {connections} connection{plural}")?;
        ceiling.map_or(Ok(()), |it| write!(out, ", this client can {:.0} /s", it.requests_per_s))
    }
}

fn faults(targets: &[NamedAddress]) -> Vec<String> {
    let mut faults = Vec::new();
    if targets.len() > TARGETS_MAX {
        faults.push(format!("{} times --target, at most {TARGETS_MAX}", targets.len()));
    }
    for (index, target) in targets.iter().enumerate() {
        let name = &target.name;
        if targets[..index].iter().any(|it| it.name == *name) {
            faults.push(format!("--target {name:?} twice: each needs a name of its own"));
        }
    }
    faults
}
