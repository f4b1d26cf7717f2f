//! What a model takes and gives, as its metadata says.
//!
//! Fetched by the clients before a run, or defined by the options of `echo`.

use anyhow::{Context, Result, ensure};
use proto::inference::ModelMetadataResponse;
use proto::inference::model_metadata_response::TensorMetadata;
use serde::{Deserialize, Serialize};

use crate::tensor::Datatype;

/// The length that stands for "varies from request to request".
pub(crate) const FREE: i64 = -1;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signature {
    pub(crate) model: String,
    pub(crate) versions: Vec<String>,
    pub(crate) inputs: Vec<Port>,
    pub(crate) outputs: Vec<Port>,
}

/// One input or output. In `shape`, [`FREE`] as first axis means rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Port {
    pub(crate) name: String,
    pub(crate) datatype: Datatype,
    pub(crate) shape: Vec<i64>,
}

impl Signature {
    /// Do requests carry a number of rows of their own choice?
    pub(crate) fn batched(&self) -> bool {
        self.inputs.iter().any(Port::batched)
    }

    pub(crate) fn from_proto(metadata: ModelMetadataResponse) -> Result<Signature> {
        let ports = |tensors: Vec<TensorMetadata>| -> Result<Vec<Port>> {
            tensors.into_iter().map(|it| Port::new(it.name, &it.datatype, it.shape)).collect()
        };
        Ok(Signature {
            model: metadata.name,
            versions: metadata.versions,
            inputs: ports(metadata.inputs)?,
            outputs: ports(metadata.outputs)?,
        })
    }

    pub(crate) fn to_proto(&self) -> ModelMetadataResponse {
        let tensors = |ports: &[Port]| ports.iter().map(Port::to_proto).collect();
        ModelMetadataResponse {
            name: self.model.clone(),
            versions: self.versions.clone(),
            platform: "echo".to_owned(),
            inputs: tensors(&self.inputs),
            outputs: tensors(&self.outputs),
        }
    }

    /// Reads the body of `GET /v2/models/{model}`.
    pub(crate) fn from_json(body: &[u8]) -> Result<Signature> {
        let raw: RawSignature = serde_json::from_slice(body)
            .context("the model's metadata is not what was expected")?;
        let ports = |tensors: Vec<RawPort>| -> Result<Vec<Port>> {
            tensors.into_iter().map(|it| Port::new(it.name, &it.datatype, it.shape)).collect()
        };
        let (inputs, outputs) = (ports(raw.inputs)?, ports(raw.outputs)?);
        Ok(Signature { model: raw.name, versions: raw.versions, inputs, outputs })
    }

    pub(crate) fn to_json(&self) -> Vec<u8> {
        let ports = |ports: &[Port]| ports.iter().map(Port::to_raw).collect();
        let raw = RawSignature {
            name: self.model.clone(),
            versions: self.versions.clone(),
            inputs: ports(&self.inputs),
            outputs: ports(&self.outputs),
        };
        serde_json::to_vec(&raw).expect("strings and integers always encode")
    }
}

impl Port {
    pub(crate) fn new(name: String, datatype: &str, shape: Vec<i64>) -> Result<Port> {
        let datatype = Datatype::parse(datatype).with_context(|| format!("tensor {name:?}"))?;
        for &axis in &shape {
            ensure!(
                axis >= FREE,
                "tensor {name:?}: axis of {axis} in {shape:?}, expected -1 or more"
            );
        }
        Ok(Port { name, datatype, shape })
    }

    /// Reads `name:DTYPE:dims`, where dims look like `-1x30`; empty dims are a scalar.
    pub(crate) fn parse(text: &str) -> Result<Port> {
        let mut parts = text.rsplitn(3, ':');
        let (dims, datatype, name) = (parts.next(), parts.next(), parts.next());
        let (Some(dims), Some(datatype), Some(name)) = (dims, datatype, name) else {
            anyhow::bail!("{text:?} is not name:DTYPE:dims, such as image:FP32:-1x784");
        };
        let axis = |axis: &str| {
            axis.parse::<i64>()
                .with_context(|| format!("{axis:?} in {text:?} is not an axis length"))
        };
        let shape = dims.split('x').filter(|it| !it.is_empty()).map(axis).collect::<Result<_>>()?;
        Port::new(name.to_owned(), datatype, shape)
    }

    pub(crate) fn batched(&self) -> bool {
        self.shape.first() == Some(&FREE)
    }

    /// Indices of the axes that vary and are not rows.
    pub(crate) fn free_axes(&self) -> impl Iterator<Item = usize> {
        self.shape
            .iter()
            .enumerate()
            .skip(1)
            .filter(|(_, axis)| **axis == FREE)
            .map(|(index, _)| index)
    }

    fn to_proto(&self) -> TensorMetadata {
        TensorMetadata {
            name: self.name.clone(),
            datatype: self.datatype.name().to_owned(),
            shape: self.shape.clone(),
        }
    }

    fn to_raw(&self) -> RawPort {
        RawPort {
            name: self.name.clone(),
            datatype: self.datatype.name().to_owned(),
            shape: self.shape.clone(),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct RawSignature {
    name: String,
    #[serde(default)]
    versions: Vec<String>,
    #[serde(default)]
    inputs: Vec<RawPort>,
    #[serde(default)]
    outputs: Vec<RawPort>,
}

#[derive(Serialize, Deserialize)]
struct RawPort {
    name: String,
    datatype: String,
    shape: Vec<i64>,
}
