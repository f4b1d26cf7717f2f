//! Whom a rule tells: an orchestrator that trains models, or somebody who wants to know.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use server_base::settings::Section;
use toml::Value;
use url::Url;

use crate::event::Cause;
use crate::rule::name;

/// `[target.NAME]` of the settings file.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// What it is, and what it is asked for.
    pub kind: TargetKind,
    /// Its address, without what its interface puts behind it.
    pub url: Url,
    /// Who we are there.
    pub auth: Auth,
    /// For connection, request and answer.
    pub timeout: Duration,
    /// May it lie at a private address?
    pub private: bool,
    /// What a run is given: names and texts with `{model}`, `{version}` and the like in them.
    pub parameters: BTreeMap<String, String>,
}

/// Kinds of targets.
#[derive(Clone, Debug, PartialEq)]
pub enum TargetKind {
    /// Airflow 3, a DAG.
    Airflow {
        /// Its name.
        dag: String,
    },
    /// Argo Workflows, a template.
    ArgoWorkflows {
        /// Where it lies.
        namespace: String,
        /// Its name.
        template: String,
    },
    /// Argo Events, a webhook.
    ArgoEvents,
    /// Kubeflow Pipelines 2.
    Kubeflow {
        /// Id of the pipeline.
        pipeline: String,
        /// Id of its version.
        version: Option<String>,
        /// Id of the experiment.
        experiment: Option<String>,
        /// Who runs it.
        service_account: Option<String>,
    },
    /// GitHub, `repository_dispatch`.
    Github {
        /// `owner/name`.
        repository: String,
        /// The event's type.
        event: String,
    },
    /// Databricks, a job.
    Databricks {
        /// Its number.
        job: u64,
    },
    /// CloudEvents over HTTP.
    Webhook {
        /// Attributes in headers instead of in the body.
        is_binary: bool,
    },
}

impl Target {
    /// Whether it may be told. Broken data is nobody's reason to train a model.
    pub fn takes(&self, cause: Cause) -> bool {
        !cause.is_alert() || !self.trains()
    }

    /// Does it train models, as far as one can know?
    pub fn trains(&self) -> bool {
        !matches!(self.kind, TargetKind::Webhook { .. })
    }

    /// Can it be asked how a run is?
    pub fn can_be_asked(&self) -> bool {
        match self.kind {
            TargetKind::Airflow { .. }
            | TargetKind::ArgoWorkflows { .. }
            | TargetKind::Kubeflow { .. }
            | TargetKind::Databricks { .. } => true,
            TargetKind::ArgoEvents | TargetKind::Github { .. } | TargetKind::Webhook { .. } => {
                false
            }
        }
    }

    /// The word for its kind.
    pub fn label(&self) -> &'static str {
        match self.kind {
            TargetKind::Airflow { .. } => "airflow",
            TargetKind::ArgoWorkflows { .. } => "argo_workflows",
            TargetKind::ArgoEvents => "argo_events",
            TargetKind::Kubeflow { .. } => "kubeflow",
            TargetKind::Github { .. } => "github",
            TargetKind::Databricks { .. } => "databricks",
            TargetKind::Webhook { .. } => "webhook",
        }
    }
}

/// How a target knows us. Secrets are never here, only where they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// It does not ask.
    None,
    /// A token, sent as it is.
    Token(Source),
    /// Airflow's own login, which gives a token for a day.
    Password {
        /// The user's name.
        user: String,
        /// The password.
        password: Source,
    },
    /// The key of Standard Webhooks' signature, and possibly a token too.
    Signature {
        /// One key in a line; all of them sign, so that keys can be changed.
        key: Source,
        /// The token.
        token: Option<Source>,
    },
}

impl Auth {
    /// Where its secrets are.
    pub(crate) fn sources(&self) -> Vec<&Source> {
        match self {
            Auth::None => Vec::new(),
            Auth::Token(source) => vec![source],
            Auth::Password { password, .. } => vec![password],
            Auth::Signature { key, token } => [key].into_iter().chain(token).collect(),
        }
    }
}

/// Where a secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// In a file, read anew each time: secrets change.
    File(PathBuf),
    /// In the environment.
    Variable(String),
}

impl Target {
    pub(crate) fn read(section: &mut Section<'_>) -> Option<Target> {
        let url = section.with("url", address);
        let timeout = section.integer("timeout_s", 1..=300).unwrap_or(30);
        let timeout = Duration::from_secs(u64::try_from(timeout).unwrap_or(30));
        // Clusters are private.
        let private = section.boolean("allow_private_addresses").unwrap_or(true);
        let word = section.with("kind", |it| match it.as_str() {
            Some(word) if KINDS.contains(&word) => Ok(word),
            _ => Err(format!("{it} is none of {}", KINDS.join(", "))),
        });
        let faults = [("kind", word.is_some()), ("url", url.is_some())];
        for (key, _) in faults.into_iter().filter(|(_, is_there)| !is_there) {
            if !section.has(key) {
                section.fault(key, "is missing");
            }
        }
        let kind = kind(word?, section);
        let auth = auth(word?, section);
        // A webhook is told all there is; and who asks Argo Events or GitHub gets the event itself.
        let takes = !matches!(word?, "webhook" | "argo_events");
        let given = takes.then(|| section.with("parameters", parameters)).flatten();
        let parameters = given.unwrap_or_else(|| {
            let usual = ["model", "version", "rule", "key"];
            let usual = usual.map(|it| (it.to_owned(), format!("{{{it}}}")));
            // These are told all there is anyway.
            let told = matches!(word, Some("airflow" | "github"));
            if told { BTreeMap::new() } else { usual.into() }
        });
        Some(Target { kind: kind?, url: url?, auth: auth?, timeout, private, parameters })
    }
}

const KINDS: [&str; 7] =
    ["airflow", "argo_workflows", "argo_events", "kubeflow", "github", "databricks", "webhook"];

fn kind(word: &str, section: &mut Section<'_>) -> Option<TargetKind> {
    match word {
        "airflow" => Some(TargetKind::Airflow { dag: required(section, "dag", part)? }),
        "argo_workflows" => {
            let namespace = required(section, "namespace", part);
            let template = required(section, "template", part);
            Some(TargetKind::ArgoWorkflows { namespace: namespace?, template: template? })
        }
        "argo_events" => Some(TargetKind::ArgoEvents),
        "kubeflow" => {
            let version = section.with("pipeline_version", part);
            let experiment = section.with("experiment", part);
            let service_account = section.with("service_account", part);
            let pipeline = required(section, "pipeline", part)?;
            Some(TargetKind::Kubeflow { pipeline, version, experiment, service_account })
        }
        "github" => {
            let repository = required(section, "repository", |it| {
                let parts = it.as_str().and_then(|it| it.split_once('/'));
                let both = parts.filter(|(owner, name)| is_part(owner) && is_part(name));
                both.map(|(owner, name)| format!("{owner}/{name}"))
                    .ok_or_else(|| format!("{it} is not \"owner/name\""))
            });
            let event = section.with("event", name).unwrap_or_else(|| "retrain".to_owned());
            Some(TargetKind::Github { repository: repository?, event })
        }
        "databricks" => {
            let job = section.integer("job", 1..=usize::MAX >> 1);
            if job.is_none() && !section.has("job") {
                section.fault("job", "is missing");
            }
            Some(TargetKind::Databricks { job: u64::try_from(job?).unwrap_or_default() })
        }
        _ => {
            let modes = [("structured", false), ("binary", true)];
            let is_binary = section.choice("mode", &modes).unwrap_or(false);
            Some(TargetKind::Webhook { is_binary })
        }
    }
}

fn auth(word: &str, section: &mut Section<'_>) -> Option<Auth> {
    let token = source(section, ("token_file", "token_env"));
    match word {
        "airflow" => {
            let password = source(section, ("password_file", "password_env"));
            let user = section.text("user").map(str::to_owned);
            match (token, user, password) {
                (Some(token), None, None) => Some(Auth::Token(token)),
                (None, Some(user), Some(password)) => Some(Auth::Password { user, password }),
                (None, None, None) => Some(Auth::None),
                _ => {
                    section.fault("user", "expected a token, or user and password_file");
                    None
                }
            }
        }
        "webhook" => match (source(section, ("secret_file", "secret_env")), token) {
            (Some(key), token) => Some(Auth::Signature { key, token }),
            (None, Some(token)) => Some(Auth::Token(token)),
            (None, None) => Some(Auth::None),
        },
        _ => Some(token.map_or(Auth::None, Auth::Token)),
    }
}

fn source(section: &mut Section<'_>, (file, env): (&'static str, &'static str)) -> Option<Source> {
    let path = section.text(file).map(|it| Source::File(it.into()));
    let variable = section.text(env).map(|it| Source::Variable(it.to_owned()));
    if path.is_some() && variable.is_some() {
        section.fault(env, &format!("{file} is given too"));
    }
    path.or(variable)
}

fn required(
    section: &mut Section<'_>,
    key: &'static str,
    parse: impl FnOnce(&Value) -> Result<String, String>,
) -> Option<String> {
    if !section.has(key) {
        section.fault(key, "is missing");
    }
    section.with(key, parse)
}

/// What becomes a part of a path.
fn part(value: &Value) -> Result<String, String> {
    let part = value.as_str().filter(|it| is_part(it));
    part.map(str::to_owned)
        .ok_or_else(|| format!("{value} is no name: letters, digits, dots, - and _"))
}

fn is_part(text: &str) -> bool {
    let allowed = |it: char| it.is_ascii_alphanumeric() || "-_.".contains(it);
    !text.is_empty() && text.len() <= 253 && text.chars().all(allowed) && !text.starts_with('.')
}

/// Credentials do not belong into an address: it is shown.
fn address(value: &Value) -> Result<Url, String> {
    let text = value.as_str().unwrap_or_default();
    let shown = if text.contains('@') { "what is given" } else { text };
    let wrong = || format!("{shown:?} is no address like \"https://host:port\"");
    let url = Url::parse(text).map_err(|_| wrong())?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(wrong());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds credentials: expected them in a file".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("has a query or fragment: expected none".to_owned());
    }
    Ok(url)
}

/// Placeholders that texts of parameters may hold.
pub(crate) const PLACES: [&str; 8] =
    ["model", "version", "rule", "cause", "key", "window_from", "window_to", "event"];

fn parameters(value: &Value) -> Result<BTreeMap<String, String>, String> {
    let table = value.as_table().ok_or_else(|| format!("{value} is no table"))?;
    if table.len() > 32 {
        return Err(format!("{} parameters, at most 32", table.len()));
    }
    let one = |(key, it): (&String, &Value)| {
        let text = it.as_str().map_or_else(|| it.to_string(), str::to_owned);
        for inner in text.split('{').skip(1) {
            let place = inner.split('}').next().unwrap_or_default();
            if !PLACES.contains(&place) {
                return Err(format!("{key} = {it}: {{{place}}} is none of {}", PLACES.join(", ")));
            }
        }
        Ok((key.clone(), text))
    };
    table.iter().map(one).collect()
}
