//! Which endpoint a path means.

use std::borrow::Cow;

use http::{HeaderValue, Method, Response, StatusCode, header};
use percent_encoding::percent_decode_str;

use super::error_response;
use crate::body::ResponseBody;

/// Everything that can be asked. A closed set: also the values of a label on `/metrics`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Live,
    Ready,
    Server,
    Model,
    ModelReady,
    Infer,
    Index,
    Load,
    Unload,
    Rollouts,
    Rollout,
    RolloutStart,
    RolloutPromote,
    RolloutHold,
    RolloutResume,
    RolloutAbort,
    Drift,
    Labels,
    Performance,
    Triggers,
    TriggerFire,
    TriggerMute,
    TriggerUnmute,
    Promote,
    RollBack,
    Forget,
    Traffic,
    SystemMemory,
    SystemMemoryRegister,
    SystemMemoryUnregister,
    CudaMemory,
    CudaMemoryRegister,
    CudaMemoryUnregister,
    None,
}

impl Endpoint {
    pub(crate) const COUNT: usize = 33;

    /// The path, with names for what varies.
    pub(crate) fn template(self) -> &'static str {
        match self {
            Endpoint::Live => "/v2/health/live",
            Endpoint::Ready => "/v2/health/ready",
            Endpoint::Server => "/v2",
            Endpoint::Model => "/v2/models/{model}",
            Endpoint::ModelReady => "/v2/models/{model}/ready",
            Endpoint::Infer => "/v2/models/{model}/infer",
            Endpoint::Index => "/v2/repository/index",
            Endpoint::Load => "/v2/repository/models/{model}/load",
            Endpoint::Unload => "/v2/repository/models/{model}/unload",
            Endpoint::Rollouts => "/v2/rollouts",
            Endpoint::Rollout | Endpoint::RolloutStart => "/v2/models/{model}/rollout",
            Endpoint::RolloutPromote => "/v2/models/{model}/rollout/promote",
            Endpoint::RolloutHold => "/v2/models/{model}/rollout/hold",
            Endpoint::RolloutResume => "/v2/models/{model}/rollout/resume",
            Endpoint::RolloutAbort => "/v2/models/{model}/rollout/abort",
            Endpoint::Drift => "/v2/models/{model}/drift",
            Endpoint::Labels => "/v2/models/{model}/labels",
            Endpoint::Performance => "/v2/models/{model}/performance",
            Endpoint::Triggers => "/v2/triggers",
            Endpoint::TriggerFire => "/v2/triggers/{trigger}/fire",
            Endpoint::TriggerMute => "/v2/triggers/{trigger}/mute",
            Endpoint::TriggerUnmute => "/v2/triggers/{trigger}/unmute",
            Endpoint::Promote => "/v2/models/{model}/promote",
            Endpoint::RollBack => "/v2/models/{model}/rollback",
            Endpoint::Forget => "/v2/models/{model}/forget",
            Endpoint::Traffic => "/v2/models/{model}/traffic",
            Endpoint::SystemMemory => "/v2/systemsharedmemory/region/{region}/status",
            Endpoint::SystemMemoryRegister => "/v2/systemsharedmemory/region/{region}/register",
            Endpoint::SystemMemoryUnregister => "/v2/systemsharedmemory/region/{region}/unregister",
            Endpoint::CudaMemory => "/v2/cudasharedmemory/region/{region}/status",
            Endpoint::CudaMemoryRegister => "/v2/cudasharedmemory/region/{region}/register",
            Endpoint::CudaMemoryUnregister => "/v2/cudasharedmemory/region/{region}/unregister",
            Endpoint::None => "other",
        }
    }

    fn method(self) -> Method {
        match self {
            Endpoint::Live
            | Endpoint::Ready
            | Endpoint::Server
            | Endpoint::Model
            | Endpoint::ModelReady
            | Endpoint::Rollouts
            | Endpoint::Rollout
            | Endpoint::Drift
            | Endpoint::Performance
            | Endpoint::Triggers
            | Endpoint::Traffic
            | Endpoint::SystemMemory
            | Endpoint::CudaMemory
            | Endpoint::None => Method::GET,
            Endpoint::Infer
            | Endpoint::Index
            | Endpoint::Load
            | Endpoint::Unload
            | Endpoint::RolloutStart
            | Endpoint::RolloutPromote
            | Endpoint::RolloutHold
            | Endpoint::RolloutResume
            | Endpoint::RolloutAbort
            | Endpoint::Labels
            | Endpoint::TriggerFire
            | Endpoint::TriggerMute
            | Endpoint::TriggerUnmute
            | Endpoint::Promote
            | Endpoint::RollBack
            | Endpoint::Forget
            | Endpoint::SystemMemoryRegister
            | Endpoint::SystemMemoryUnregister
            | Endpoint::CudaMemoryRegister
            | Endpoint::CudaMemoryUnregister => Method::POST,
        }
    }
}

/// An endpoint and what its path names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) endpoint: Endpoint,
    /// Or the trigger, or the region. Empty where the path names none.
    pub(crate) model: String,
    /// Empty where the path names none.
    pub(crate) version: String,
}

/// Why a path leads nowhere.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoRoute {
    /// Nothing is there.
    NotFound,
    /// Something is, but not for that method.
    Method(Method),
    /// The path is no text.
    NotUtf8,
}

impl NoRoute {
    pub(crate) fn response(&self) -> Response<ResponseBody> {
        match self {
            NoRoute::NotFound => error_response(StatusCode::NOT_FOUND, "Not Found"),
            NoRoute::NotUtf8 => error_response(StatusCode::BAD_REQUEST, "the path is not UTF-8"),
            NoRoute::Method(allowed) => not_allowed(allowed),
        }
    }
}

/// Something is there, but for another method.
pub(crate) fn not_allowed(allowed: &Method) -> Response<ResponseBody> {
    let mut response = error_response(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
    if let Ok(allowed) = HeaderValue::from_str(allowed.as_str()) {
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    response
}

impl Route {
    /// Finds the endpoint. Names in the path may be percent-encoded; a slash in a name stays one.
    pub(crate) fn find(method: &Method, path: &str) -> Result<Route, NoRoute> {
        let segments: Vec<&str> = path.trim_start_matches('/').split('/').take(8).collect();
        let (endpoint, model, version) = match segments.as_slice() {
            ["v2"] => (Endpoint::Server, "", ""),
            ["v2", "health", "live"] => (Endpoint::Live, "", ""),
            ["v2", "health", "ready"] => (Endpoint::Ready, "", ""),
            ["v2", "models", model] => (Endpoint::Model, *model, ""),
            ["v2", "models", model, "ready"] => (Endpoint::ModelReady, *model, ""),
            ["v2", "models", model, "infer"] => (Endpoint::Infer, *model, ""),
            ["v2", "models", model, "versions", version] => (Endpoint::Model, *model, *version),
            ["v2", "models", model, "versions", version, "ready"] => {
                (Endpoint::ModelReady, *model, *version)
            }
            ["v2", "models", model, "versions", version, "infer"] => {
                (Endpoint::Infer, *model, *version)
            }
            ["v2", "models", model, "drift"] => (Endpoint::Drift, *model, ""),
            ["v2", "models", model, "versions", version, "drift"] => {
                (Endpoint::Drift, *model, *version)
            }
            ["v2", "models", model, "labels"] => (Endpoint::Labels, *model, ""),
            ["v2", "models", model, "performance"] => (Endpoint::Performance, *model, ""),
            ["v2", "models", model, "versions", version, "performance"] => {
                (Endpoint::Performance, *model, *version)
            }
            ["v2", "rollouts"] => (Endpoint::Rollouts, "", ""),
            ["v2", "models", model, "rollout"] if *method == Method::POST => {
                (Endpoint::RolloutStart, *model, "")
            }
            ["v2", "models", model, "rollout"] => (Endpoint::Rollout, *model, ""),
            ["v2", "models", model, "rollout", command] => {
                let endpoint = match *command {
                    "promote" => Endpoint::RolloutPromote,
                    "hold" => Endpoint::RolloutHold,
                    "resume" => Endpoint::RolloutResume,
                    "abort" => Endpoint::RolloutAbort,
                    _ => return Err(NoRoute::NotFound),
                };
                (endpoint, *model, "")
            }
            ["v2", "triggers"] => (Endpoint::Triggers, "", ""),
            ["v2", "triggers", name, "fire"] => (Endpoint::TriggerFire, *name, ""),
            ["v2", "triggers", name, "mute"] => (Endpoint::TriggerMute, *name, ""),
            ["v2", "triggers", name, "unmute"] => (Endpoint::TriggerUnmute, *name, ""),
            ["v2", "models", model, "promote"] => (Endpoint::Promote, *model, ""),
            ["v2", "models", model, "rollback"] => (Endpoint::RollBack, *model, ""),
            ["v2", "models", model, "forget"] => (Endpoint::Forget, *model, ""),
            ["v2", "models", model, "traffic"] => (Endpoint::Traffic, *model, ""),
            ["v2", "repository", "index"] => (Endpoint::Index, "", ""),
            ["v2", "repository", "models", model, "load"] => (Endpoint::Load, *model, ""),
            ["v2", "repository", "models", model, "unload"] => (Endpoint::Unload, *model, ""),
            ["v2", "systemsharedmemory", rest @ ..] => memory(rest, SYSTEM)?,
            ["v2", "cudasharedmemory", rest @ ..] => memory(rest, CUDA)?,
            _ => return Err(NoRoute::NotFound),
        };
        let allowed = endpoint.method();
        let head = *method == Method::HEAD && allowed == Method::GET;
        if *method != allowed && !head {
            return Err(NoRoute::Method(allowed));
        }
        Ok(Route { endpoint, model: decode(model)?, version: decode(version)? })
    }
}

const SYSTEM: [Endpoint; 3] =
    [Endpoint::SystemMemory, Endpoint::SystemMemoryRegister, Endpoint::SystemMemoryUnregister];
const CUDA: [Endpoint; 3] =
    [Endpoint::CudaMemory, Endpoint::CudaMemoryRegister, Endpoint::CudaMemoryUnregister];

/// Of regions: all of them, or the one that is named.
fn memory<'a>(
    rest: &[&'a str],
    [status, register, unregister]: [Endpoint; 3],
) -> Result<(Endpoint, &'a str, &'a str), NoRoute> {
    let (region, what) = match rest {
        [what] => ("", *what),
        ["region", region, what] => (*region, *what),
        _ => return Err(NoRoute::NotFound),
    };
    let endpoint = match what {
        "status" => status,
        "register" if !region.is_empty() => register,
        "unregister" => unregister,
        _ => return Err(NoRoute::NotFound),
    };
    Ok((endpoint, region, ""))
}

fn decode(segment: &str) -> Result<String, NoRoute> {
    let decoded = percent_decode_str(segment).decode_utf8().map_err(|_| NoRoute::NotUtf8)?;
    Ok(Cow::into_owned(decoded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(method: Method, path: &str, expect: Result<(Endpoint, &str, &str), NoRoute>) {
        let expect = expect.map(|(endpoint, model, version)| Route {
            endpoint,
            model: model.to_owned(),
            version: version.to_owned(),
        });
        assert_eq!(Route::find(&method, path), expect, "{path}");
    }

    #[test]
    fn paths_lead_to_endpoints() {
        check(Method::GET, "/v2", Ok((Endpoint::Server, "", "")));
        check(Method::HEAD, "/v2/health/ready", Ok((Endpoint::Ready, "", "")));
        check(Method::POST, "/v2/models/m/infer", Ok((Endpoint::Infer, "m", "")));
        check(Method::POST, "/v2/models/m/versions/3/infer", Ok((Endpoint::Infer, "m", "3")));
        check(Method::GET, "/v2/models/a%20b%2Fc", Ok((Endpoint::Model, "a b/c", "")));
        check(Method::POST, "/v2/repository/models/m/unload", Ok((Endpoint::Unload, "m", "")));
        check(Method::GET, "/v2/models/m/rollout", Ok((Endpoint::Rollout, "m", "")));
        check(Method::POST, "/v2/models/m/rollout", Ok((Endpoint::RolloutStart, "m", "")));
        check(Method::GET, "/v2/models/m/drift", Ok((Endpoint::Drift, "m", "")));
        check(Method::GET, "/v2/models/m/versions/3/drift", Ok((Endpoint::Drift, "m", "3")));
        check(Method::POST, "/v2/models/m/labels", Ok((Endpoint::Labels, "m", "")));
        let path = "/v2/models/m/versions/3/performance";
        check(Method::GET, path, Ok((Endpoint::Performance, "m", "3")));
        check(Method::GET, "/v2/triggers", Ok((Endpoint::Triggers, "", "")));
        check(Method::POST, "/v2/triggers/t/fire", Ok((Endpoint::TriggerFire, "t", "")));
        check(Method::POST, "/v2/models/m/promote", Ok((Endpoint::Promote, "m", "")));
        check(Method::POST, "/v2/models/m/rollback", Ok((Endpoint::RollBack, "m", "")));
        check(Method::POST, "/v2/models/m/forget", Ok((Endpoint::Forget, "m", "")));
        check(Method::POST, "/v2/models/m/rollout/hold", Ok((Endpoint::RolloutHold, "m", "")));
        check(Method::GET, "/v2/models/m/traffic", Ok((Endpoint::Traffic, "m", "")));
        check(Method::GET, "/v2/systemsharedmemory/status", Ok((Endpoint::SystemMemory, "", "")));
        let path = "/v2/systemsharedmemory/region/a%2Fb";
        let status = format!("{path}/status");
        check(Method::GET, &status, Ok((Endpoint::SystemMemory, "a/b", "")));
        let register = format!("{path}/register");
        check(Method::POST, &register, Ok((Endpoint::SystemMemoryRegister, "a/b", "")));
        let unregister = "/v2/systemsharedmemory/unregister";
        check(Method::POST, unregister, Ok((Endpoint::SystemMemoryUnregister, "", "")));
        let register = "/v2/cudasharedmemory/region/r/register";
        check(Method::POST, register, Ok((Endpoint::CudaMemoryRegister, "r", "")));
    }

    #[test]
    fn or_nowhere() {
        for path in [
            "/",
            "/v1/models/m",
            "/v2/models",
            "/v2/models/m/explain",
            "/v2/systemsharedmemory",
            "/v2/systemsharedmemory/register",
            "/v2/systemsharedmemory/region//register",
            "/v2/systemsharedmemory/region/r",
            "/v2/systemsharedmemory/region/r/drop",
            "/v2/models/m/versions/1/x/y/z/w",
        ] {
            check(Method::GET, path, Err(NoRoute::NotFound));
        }
        check(Method::GET, "/v2/models/m/infer", Err(NoRoute::Method(Method::POST)));
        check(Method::DELETE, "/v2", Err(NoRoute::Method(Method::GET)));
        check(Method::GET, "/v2/models/%ff", Err(NoRoute::NotUtf8));
    }
}
