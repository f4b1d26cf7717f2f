//! How a version is served. Decided at load, fixed from then on.

use std::collections::BTreeMap;
use std::time::Duration;

use backend_api::Device;

use crate::padding::Padding;
use crate::policy::Batching;

/// All that was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The engine's name for clients: `onnxruntime_onnx`.
    pub platform: &'static str,
    /// How many instances run side by side.
    pub instances: usize,
    /// May an instance whose runs are short become a task of the data runtime?
    pub inline: bool,
    /// Where they run: one behind the other, and again from the first; without any, on the processor.
    pub devices: Vec<Device>,
    /// Cores that a run uses.
    pub width: usize,
    /// How much of the cores the version gets beside others.
    pub weight: u32,
    /// How requests are joined.
    pub batching: Batching,
    /// What they are padded to.
    pub padding: Padding,
    /// How long a request may take that does not say.
    pub timeout: Duration,
    /// Where the version comes from and what it has proven: for those who ask for its metadata.
    pub facts: BTreeMap<String, String>,
}

impl Plan {
    /// One instance on the processor, and of everything else what is usual.
    pub fn plain(platform: &'static str, timeout: Duration) -> Plan {
        Plan {
            platform,
            instances: 1,
            inline: true,
            devices: vec![Device::Cpu],
            width: 1,
            weight: 1,
            batching: Batching::default(),
            padding: Padding::default(),
            timeout,
            facts: BTreeMap::new(),
        }
    }

    /// Where an instance runs.
    pub fn device(&self, instance: usize) -> Device {
        let turn = instance.checked_rem(self.devices.len()).unwrap_or(0);
        self.devices.get(turn).cloned().unwrap_or(Device::Cpu)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where four instances run.
    #[track_caller]
    fn check(devices: &[Device], expect: [Device; 4]) {
        let plan = Plan {
            platform: "fake",
            instances: 4,
            inline: true,
            devices: devices.to_vec(),
            width: 1,
            weight: 1,
            batching: Batching::default(),
            padding: Padding::default(),
            timeout: Duration::from_secs(1),
            facts: BTreeMap::new(),
        };
        assert_eq!([0, 1, 2, 3].map(|it| plan.device(it)), expect);
    }

    #[test]
    fn instances_are_spread() {
        let [cpu, one, two] = [Device::Cpu, Device::Tpu(1), Device::Tpu(2)];
        check(&[], [0; 4].map(|_| cpu.clone()));
        check(std::slice::from_ref(&one), [0; 4].map(|_| one.clone()));
        check(&[two.clone(), one.clone()], [two.clone(), one.clone(), two, one]);
    }
}
