//! Which of the plugin's devices a model computes on.
//!
//! Pure. Devices go by the plugin's name for its platform and their place in its list: `tpu:1`.

use std::path::Path;

use backend_api::{Device, DeviceWish, Options};

/// What a plugin wants that finds no device, by its file's name; to be said behind its own words.
pub(crate) fn wants(plugin: &Path) -> &'static str {
    let name = plugin.file_name().map(|it| it.to_string_lossy()).unwrap_or_default();
    if name.starts_with("libtpu") {
        "; it is for machines with TPUs: xla_cpu_pjrt.so is for processors, xla_cuda_plugin.so for NVIDIA GPUs"
    } else if name.starts_with("xla_cuda") {
        "; it is for machines with NVIDIA GPUs: xla_cpu_pjrt.so is for processors, libtpu.so for TPUs"
    } else {
        ""
    }
}

/// What the plugin's devices are called; an error if nobody could name them.
pub(crate) fn names(platform: &str, count: usize) -> Result<Vec<Device>, String> {
    let count = u32::try_from(count).map_err(|_| format!("it has {count} devices"))?;
    match platform {
        "cpu" if count == 1 => Ok(vec![Device::Cpu]),
        "cpu" => Ok((0..count).map(Device::CpuPart).collect()),
        "tpu" => Ok((0..count).map(Device::Tpu).collect()),
        "cuda" | "gpu" => Ok((0..count).map(Device::Cuda).collect()),
        _ => Err(format!("its platform is {platform}, known are cpu, cuda and tpu")),
    }
}

/// Those that a model's instances are spread over, by their places: what it asks for, or all. GPUs are
/// in the order of their free memory, where it is known; else models of one instance each do not all
/// begin with the first device: `turn` counts the instances of those before it.
pub(crate) fn choose(
    there: &[Device],
    options: &Options,
    turn: usize,
) -> Result<Vec<usize>, String> {
    let is_meant = |it: &Device| match (&options.device, it) {
        // One that has failed the model, or has no room for it, is left out.
        (DeviceWish::Auto, Device::Cuda(number)) => {
            options.gpus.as_ref().is_none_or(|gpus| gpus.contains(number))
        }
        (DeviceWish::Auto, _) => true,
        (DeviceWish::On(Device::Cpu), Device::Cpu | Device::CpuPart(_)) => true,
        (DeviceWish::On(Device::CpuPart(0)), Device::Cpu) => true,
        (DeviceWish::On(wanted), it) => wanted == it,
    };
    let mut places: Vec<usize> =
        there.iter().enumerate().filter(|(_, it)| is_meant(it)).map(|(n, _)| n).collect();
    if let Some(turn) = turn.checked_rem(places.len()) {
        match (&options.device, &options.gpus) {
            (DeviceWish::Auto, Some(gpus)) => places.sort_by_key(|it| rank(there.get(*it), gpus)),
            _ => places.rotate_left(turn),
        }
        return Ok(places);
    }
    let names: Vec<String> = there.iter().map(ToString::to_string).collect();
    let names = names.join(", ");
    Err(match &options.device {
        DeviceWish::On(device) => format!("device {device}: its plugin has {names}"),
        DeviceWish::Auto => {
            format!("device auto: none of {names} has room for the model and has not failed it")
        }
    })
}

/// Place in the order of free memory; 0 for what is no GPU.
fn rank(device: Option<&Device>, gpus: &[u32]) -> usize {
    let place = |it: &Device| gpus.iter().position(|number| *it == Device::Cuda(*number));
    device.and_then(place).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Places of the chosen ones among so many devices, or the words.
    #[track_caller]
    fn check(
        there: (&str, usize),
        wish: &str,
        gpus: Option<&[u32]>,
        expect: Result<&[usize], &str>,
    ) {
        let options = Options {
            device: wish.parse().expect("a wish"),
            gpus: gpus.map(<[u32]>::to_vec),
            ..Options::default()
        };
        let there = names(there.0, there.1).expect("known");
        let got = choose(&there, &options, 0);
        assert_eq!(got.as_deref().map_err(String::as_str), expect, "{wish} of {there:?}");
    }

    #[test]
    fn a_wish_is_had_or_refused_with_what_there_is() {
        check(("tpu", 4), "auto", None, Ok(&[0, 1, 2, 3]));
        check(("tpu", 4), "tpu:2", None, Ok(&[2]));
        check(("tpu", 2), "tpu:2", None, Err("device tpu:2: its plugin has tpu:0, tpu:1"));
        check(("tpu", 1), "cpu", None, Err("device cpu: its plugin has tpu:0"));
        check(("cpu", 3), "cpu", None, Ok(&[0, 1, 2]));
        check(("cpu", 3), "cpu:1", None, Ok(&[1]));
        check(("cpu", 1), "cpu:0", None, Ok(&[0]));
        check(("cpu", 1), "cuda:0", None, Err("device cuda:0: its plugin has cpu"));
        check(("cpu", 2), "edgetpu", None, Err("device edgetpu: its plugin has cpu:0, cpu:1"));
    }

    #[test]
    fn models_begin_one_behind_the_other() {
        let there = names("tpu", 3).expect("known");
        let choose = |turn| choose(&there, &Options::default(), turn).expect("all");
        assert_eq!([choose(0), choose(1), choose(5)], [[0, 1, 2], [1, 2, 0], [2, 0, 1]]);
    }

    #[test]
    fn gpus_without_room_are_left_out() {
        check(("cuda", 3), "auto", None, Ok(&[0, 1, 2]));
        check(("cuda", 3), "auto", Some(&[2, 0]), Ok(&[2, 0]));
        check(("gpu", 3), "cuda:1", Some(&[1]), Ok(&[1]));
        let none = "device auto: none of cuda:0 has room for the model and has not failed it";
        check(("cuda", 1), "auto", Some(&[]), Err(none));
    }

    #[test]
    fn a_platform_that_nobody_could_name_is_refused() {
        let words = names("abacus", 1).expect_err("refused");
        assert_eq!(words, "its platform is abacus, known are cpu, cuda and tpu");
    }
}
