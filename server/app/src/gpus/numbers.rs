//! Which of the driver's GPUs an engine calls `cuda:0`. Pure: the environment is a parameter.
//!
//! NVML counts in the order of the PCI bus. CUDA counts the fastest first, unless `CUDA_DEVICE_ORDER`
//! says `PCI_BUS_ID`, and only those of `CUDA_VISIBLE_DEVICES`, in the order in which they stand there.

use backend_nvml::Gpu;

/// What the environment says to CUDA.
#[derive(Clone, Debug, Default)]
pub(crate) struct Visible {
    /// `CUDA_DEVICE_ORDER`.
    pub(crate) order: Option<String>,
    /// `CUDA_VISIBLE_DEVICES`.
    pub(crate) devices: Option<String>,
}

/// NVML's numbers by CUDA's; `None` if that cannot be known from here.
pub(crate) fn numbers(gpus: &[Gpu], visible: &Visible) -> Option<Vec<u32>> {
    let bus: Vec<u32> = gpus.iter().map(|it| it.index).collect();
    // GPUs of one kind are equally fast, and then CUDA counts as the bus does.
    let kind = gpus.first().and_then(|it| it.name.as_ref());
    let is_one_kind = gpus.iter().all(|it| it.name.is_some() && it.name.as_ref() == kind);
    let is_bus = visible.order.as_deref() == Some("PCI_BUS_ID") || gpus.len() == 1 || is_one_kind;
    let Some(devices) = &visible.devices else { return is_bus.then_some(bus) };
    let mut numbers = Vec::new();
    for word in devices.split(',').map(str::trim) {
        let found = if word.starts_with("MIG-") {
            return None; // a part of a GPU, of which NVML tells in another way
        } else if word.starts_with("GPU-") {
            let is_meant = |it: &&Gpu| it.uuid.as_ref().is_some_and(|it| it.starts_with(word));
            let mut meant = gpus.iter().filter(is_meant).map(|it| it.index);
            meant.next().filter(|_| meant.next().is_none())
        } else {
            let place = word.parse::<usize>().ok().and_then(|it| bus.get(it).copied());
            if place.is_some() && !is_bus {
                return None;
            }
            place
        };
        // CUDA leaves off at the first that is none. What stands there twice means nothing.
        match found {
            Some(it) if numbers.contains(&it) => return None,
            Some(it) => numbers.push(it),
            None => break,
        }
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpu(index: u32, name: &str, uuid: &str) -> Gpu {
        Gpu { index, name: Some(name.into()), uuid: Some(uuid.into()), ..Gpu::default() }
    }

    #[track_caller]
    fn check(gpus: &[Gpu], (order, devices): (Option<&str>, Option<&str>), expect: Option<&[u32]>) {
        let owned = |it: Option<&str>| it.map(str::to_owned);
        let visible = Visible { order: owned(order), devices: owned(devices) };
        assert_eq!(numbers(gpus, &visible).as_deref(), expect, "{visible:?}");
    }

    #[test]
    fn numbers_are_those_of_cuda() {
        let alike = [gpu(0, "A", "GPU-aa1"), gpu(1, "A", "GPU-aa2"), gpu(2, "A", "GPU-b")];
        check(&[], (None, None), Some(&[]));
        check(&alike, (None, None), Some(&[0, 1, 2]));
        check(&alike, (None, Some("2, 0")), Some(&[2, 0]));
        check(&alike, (None, Some("1,7,0")), Some(&[1]));
        check(&alike, (None, Some("-1")), Some(&[]));
        check(&alike, (None, Some("")), Some(&[]));
        check(&alike, (None, Some("1,1")), None);
        check(&alike, (None, Some("GPU-b,GPU-aa1")), Some(&[2, 0]));
        check(&alike, (None, Some("GPU-aa")), Some(&[]));
        check(&alike, (None, Some("MIG-1")), None);
        let mixed = [gpu(0, "A", "GPU-a"), gpu(1, "B", "GPU-b")];
        check(&mixed, (None, None), None);
        check(&mixed, (None, Some("1")), None);
        check(&mixed, (Some("FASTEST_FIRST"), Some("GPU-b")), Some(&[1]));
        check(&mixed, (Some("PCI_BUS_ID"), None), Some(&[0, 1]));
        check(&mixed, (Some("PCI_BUS_ID"), Some("1,0")), Some(&[1, 0]));
        check(&mixed[..1], (None, None), Some(&[0]));
    }
}
