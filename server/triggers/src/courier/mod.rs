//! Tells targets, and asks them about runs: one file for each interface, one client for all.

mod airflow;
mod argo;
mod databricks;
mod github;
mod kubeflow;
mod reply;
mod secrets;
mod shape;
mod webhook;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};
use serde_json::Value;
use server_registry::{Answered, Call, Environment, ErrorKind, Limits, Outbound};

use crate::config::Config;
use crate::event::Event;
use crate::limits::ANSWER_BYTES_MAX;
use crate::moment::Moment;
use crate::target::{Auth, Target, TargetKind};
use reply::{good, judged};
use secrets::{Secret, secret};
use shape::Shape;

pub(crate) use reply::Trouble;

/// A delivery that went well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Delivered {
    /// The target's name for what it does now, if it can be asked.
    pub(crate) run: Option<String>,
    /// It knew the key: an attempt before this one went well too.
    pub(crate) was_there: bool,
    /// What an operator should know.
    pub(crate) note: Option<String>,
}

impl Delivered {
    fn new(run: Option<String>) -> Delivered {
        Delivered { run, was_there: false, note: None }
    }
}

/// How a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunState {
    /// It has not ended.
    Running,
    /// It has ended well.
    Succeeded,
    /// It has ended otherwise, or is gone.
    Failed,
}

/// What is needed to speak to all targets.
#[derive(Debug)]
pub(crate) struct Courier {
    /// By target: each has times of its own.
    clients: BTreeMap<String, Outbound>,
    environment: Environment,
    /// Tokens of logins, by target, until they are refused.
    tokens: Mutex<BTreeMap<String, Secret>>,
}

impl Courier {
    pub(crate) fn new(config: &Config, environment: Environment) -> Courier {
        let clients = config.targets.iter();
        let client = |it: &Target| Outbound::new(limits(it.timeout), it.private);
        let clients = clients.map(|(name, it)| (name.clone(), client(it)));
        Courier { clients: clients.collect(), environment, tokens: Mutex::default() }
    }

    /// Secrets that cannot be had now. Those of files may come later.
    pub(crate) fn lacks(&self, config: &Config) -> Vec<String> {
        let sources = config.targets.iter().flat_map(|(name, target)| {
            target.auth.sources().into_iter().map(move |source| (name, source))
        });
        let faults = sources.filter_map(|(name, source)| {
            let fault = secret(source, &self.environment).err()?;
            Some(format!("target {name}: {fault}"))
        });
        faults.collect()
    }

    /// Tells a target. `at` is the time that a signature bears.
    pub(crate) async fn deliver(
        &self,
        (name, target): (&str, &Target),
        event: &Event,
        at: Moment,
    ) -> Result<Delivered, Trouble> {
        let to = (name, target);
        if let TargetKind::Kubeflow { .. } = target.kind
            && let Some(run) = self.known(to, event).await?
        {
            return Ok(Delivered { run: Some(run), was_there: true, note: None });
        }
        let shape = self.submission(target, event, at)?;
        let answered = self.ask(to, shape).await?;
        let is_conflict = answered.status == http::StatusCode::CONFLICT;
        let named =
            matches!(target.kind, TargetKind::Airflow { .. } | TargetKind::ArgoWorkflows { .. });
        let was_there = is_conflict && named;
        let answered = if was_there { answered } else { judged(answered)? };
        let body = reply::json(&answered.body);
        let run = match &target.kind {
            TargetKind::Airflow { .. } => Some(airflow::run(event)),
            TargetKind::ArgoWorkflows { .. } => Some(argo::run(event)),
            TargetKind::Kubeflow { .. } => body["run_id"].as_str().map(str::to_owned),
            TargetKind::Databricks { .. } => body["run_id"].as_u64().map(|it| it.to_string()),
            TargetKind::ArgoEvents | TargetKind::Github { .. } | TargetKind::Webhook { .. } => None,
        };
        let mut note = None;
        if let TargetKind::Airflow { dag } = &target.kind {
            note = self.paused(to, dag).await;
        }
        Ok(Delivered { was_there, note, ..Delivered::new(run) })
    }

    /// Asks how a run is.
    pub(crate) async fn look(&self, to: (&str, &Target), run: &str) -> Result<RunState, Trouble> {
        let (shape, state): (Shape, fn(&Value) -> RunState) = match &to.1.kind {
            TargetKind::Airflow { dag } => (airflow::look(dag, run), airflow::state),
            TargetKind::ArgoWorkflows { namespace, .. } => {
                (argo::look(namespace, run), argo::state)
            }
            TargetKind::Kubeflow { .. } => (kubeflow::look(run), kubeflow::state),
            TargetKind::Databricks { .. } => (databricks::look(run), databricks::state),
            TargetKind::ArgoEvents | TargetKind::Github { .. } | TargetKind::Webhook { .. } => {
                return Err(Trouble::Never("it cannot be asked about runs".to_owned()));
            }
        };
        let answered = self.ask(to, shape).await?;
        if answered.status == http::StatusCode::NOT_FOUND {
            // Somebody has deleted it: it will not end any more.
            return Ok(RunState::Failed);
        }
        Ok(state(&reply::json(&judged(answered)?.body)))
    }

    fn submission(&self, target: &Target, event: &Event, at: Moment) -> Result<Shape, Trouble> {
        let given = shape::parameters(&target.parameters, event);
        Ok(match &target.kind {
            TargetKind::Airflow { dag } => airflow::submit(dag, event, &given),
            TargetKind::ArgoWorkflows { namespace, template } => {
                argo::submit((namespace, template), event, &given)
            }
            TargetKind::ArgoEvents => webhook::event(false, event),
            TargetKind::Kubeflow { .. } => kubeflow::submit(&target.kind, event, &given),
            TargetKind::Github { repository, event: name } => {
                github::submit((repository, name), event, &given)
            }
            TargetKind::Databricks { job } => databricks::submit(*job, event, &given),
            TargetKind::Webhook { is_binary } => {
                let shape = webhook::event(*is_binary, event);
                match &target.auth {
                    Auth::Signature { key, .. } => {
                        let keys = secret(key, &self.environment).map_err(Trouble::again)?;
                        webhook::signed(shape, &keys, &event.key, at).map_err(Trouble::Never)?
                    }
                    Auth::None | Auth::Token(_) | Auth::Password { .. } => shape,
                }
            }
        })
    }

    /// Kubeflow knows no keys, so it is looked whether a run has the name.
    async fn known(&self, to: (&str, &Target), event: &Event) -> Result<Option<String>, Trouble> {
        let answered = judged(self.ask(to, kubeflow::search(event)).await?)?;
        Ok(kubeflow::found(&reply::json(&answered.body), event))
    }

    /// Airflow takes runs of a DAG that is paused, and lets them wait.
    async fn paused(&self, to: (&str, &Target), dag: &str) -> Option<String> {
        let answered = self.ask(to, airflow::about(dag)).await.ok()?;
        let body = reply::json(&answered.body);
        let is_paused = body["is_paused"].as_bool().unwrap_or(false);
        is_paused.then(|| format!("DAG {dag} is paused: the run waits until somebody resumes it"))
    }

    async fn ask(&self, to: (&str, &Target), shape: Shape) -> Result<Answered, Trouble> {
        let answered = self.send(to, shape.clone(), self.token(to).await?).await?;
        let is_login = matches!(to.1.auth, Auth::Password { .. });
        if answered.status != http::StatusCode::UNAUTHORIZED || !is_login {
            return Ok(answered);
        }
        // The login of before may have run out.
        self.tokens().remove(to.0);
        self.send(to, shape, self.token(to).await?).await
    }

    /// Whoever panicked here has left a map of tokens.
    fn tokens(&self) -> MutexGuard<'_, BTreeMap<String, Secret>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn token(&self, (name, target): (&str, &Target)) -> Result<Option<Secret>, Trouble> {
        let source = match &target.auth {
            Auth::None => return Ok(None),
            Auth::Token(source) => Some(source),
            Auth::Signature { token, .. } => token.as_ref(),
            Auth::Password { user, password } => {
                if let Some(token) = self.tokens().get(name) {
                    return Ok(Some(token.clone()));
                }
                let password = secret(password, &self.environment).map_err(Trouble::again)?;
                let shape = airflow::login(user, password.expose());
                let answered = self.send((name, target), shape, None).await?;
                let token = airflow::token(&good(answered)?)?;
                self.tokens().insert(name.to_owned(), token.clone());
                return Ok(Some(token));
            }
        };
        let Some(source) = source else { return Ok(None) };
        secret(source, &self.environment).map(Some).map_err(Trouble::again)
    }

    async fn send(
        &self,
        (name, target): (&str, &Target),
        shape: Shape,
        token: Option<Secret>,
    ) -> Result<Answered, Trouble> {
        let client = self.clients.get(name);
        let client = client.ok_or_else(|| Trouble::Never(format!("there is no target {name}")))?;
        let mut headers = HeaderMap::new();
        for (name, value) in &shape.headers {
            let value = HeaderValue::from_str(value);
            let wrong = |_| Trouble::Never(format!("header {name} cannot be sent"));
            headers.insert(*name, value.map_err(wrong)?);
        }
        if let Some(token) = token {
            let value = HeaderValue::try_from(format!("Bearer {}", token.expose()));
            let wrong = |_| Trouble::again("the token holds what HTTP cannot send".to_owned());
            let mut value = value.map_err(wrong)?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        let url = shape.url(&target.url).map_err(Trouble::Never)?;
        let call = Call { method: shape.method, url, headers, body: shape.body };
        client.call(call).await.map_err(|error| {
            let stays = matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Policy);
            let words = error.to_string();
            if stays { Trouble::Never(words) } else { Trouble::again(words) }
        })
    }
}

fn limits(timeout: Duration) -> Limits {
    Limits {
        answer_bytes_max: ANSWER_BYTES_MAX,
        redirects_max: 0,
        connect_max: timeout.min(Duration::from_secs(10)),
        head_max: timeout,
        look_max: timeout,
        idle_max: timeout,
        ..Limits::default()
    }
}

#[cfg(test)]
#[path = "../courier_tests.rs"]
mod tests;
