//! What LiteRT is told: `[litert]` of a `model.toml`.

use std::path::PathBuf;

use backend_api::{DelegateOptions, Device, DeviceWish};
use server_base::settings::Section;
use toml::Value;

use crate::config::ModelConfig;

/// Options of a delegate: TensorFlow Lite's own limit.
const OPTIONS_MAX: usize = 256;

/// The section, of a model that is to run there.
pub(crate) fn read(section: &mut Section<'_>, wish: &DeviceWish) -> DelegateOptions {
    if !section.has("delegate") && *wish != DeviceWish::On(Device::EdgeTpu) {
        let text = "expected is the path of a library, or device = \"edgetpu\" above";
        section.fault("delegate", text);
    }
    DelegateOptions {
        library: section.with("delegate", file).unwrap_or_default(),
        options: section.with("delegate_options", pairs).unwrap_or_default(),
    }
}

/// The library is code that is run: it has to be said where it lies, and not by where a process happens
/// to stand.
fn file(value: &Value) -> Result<PathBuf, String> {
    let path = value.as_str().map(PathBuf::from).filter(|it| it.is_absolute());
    path.ok_or_else(|| format!("{value} is no absolute path in quotes"))
}

/// Names and values as text, which is all that a delegate is given.
fn pairs(value: &Value) -> Result<Vec<(String, String)>, String> {
    let table = value.as_table().filter(|it| it.len() <= OPTIONS_MAX);
    let table =
        table.ok_or_else(|| format!("expected is a table of at most {OPTIONS_MAX} keys"))?;
    let text = |it: &Value| match it {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Boolean(flag) => Some(flag.to_string()),
        Value::Datetime(_) | Value::Array(_) | Value::Table(_) => None,
    };
    let pair = |(name, value): (&String, &Value)| {
        let text = text(value).filter(|it| !it.contains('\0') && !name.contains('\0'));
        Ok((
            name.clone(),
            text.ok_or_else(|| format!("{name}: {value} is no text, number or truth value"))?,
        ))
    };
    table.iter().map(pair).collect()
}

/// Reports what only LiteRT would open.
pub(crate) fn check(config: &ModelConfig, root: &mut Section<'_>) {
    let engine = config.engine.as_deref().unwrap_or("auto");
    let is_edgetpu = config.options.device == DeviceWish::On(Device::EdgeTpu);
    if !["litert", "auto"].contains(&engine) {
        if config.options.delegate.is_some() {
            root.fault("litert", &format!("the engine is {engine}"));
        }
        if is_edgetpu {
            root.fault(
                "device",
                &format!("\"edgetpu\" is for engine litert, the engine is {engine}"),
            );
        }
    }
}
