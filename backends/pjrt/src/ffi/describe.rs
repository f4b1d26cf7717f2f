//! What a plugin says of its devices.
//!
//! Part of `ffi.rs`: texts and lists are the plugin's, as there.

use backend_api::Device;

use super::{Client, copied, list};
use crate::functions::{
    DescriptionAttributes, DescriptionId, DescriptionKind, DescriptionText, DeviceDescription,
    DeviceMemories, Handle, HardwareId, MemoryKind, MemoryStats, NamedValue, ProcessIndex,
};

impl Client {
    /// A line for each device: what it is, where it stands, its memory.
    pub(crate) fn describe(&self) -> Result<Vec<String>, String> {
        self.devices.iter().map(|(device, name)| self.describe_one(*device, name)).collect()
    }

    fn describe_one(&self, device: Handle, name: &Device) -> Result<String, String> {
        let api = &self.api;
        let asked = DeviceDescription { device, ..DeviceDescription::default() };
        let description = api.call(asked)?.description;
        let text = api.call(DescriptionText { description, ..DescriptionText::default() })?;
        let kind = api.call(DescriptionKind { description, ..DescriptionKind::default() })?;
        // SAFETY: the texts live as long as the device.
        let mut line = unsafe {
            format!("{name}: {}, {}", copied(text.text, text.len), copied(kind.text, kind.len))
        };
        // Numbers that not every plugin gives.
        let id = api.call(DescriptionId { description, id: 0 }).map(|it| it.id);
        let process = api.call(ProcessIndex { description, index: 0 }).map(|it| it.index);
        let hardware = api.call(HardwareId { device, id: 0 }).map(|it| it.id);
        for (name, number) in [("id", id), ("process", process), ("local hardware id", hardware)] {
            line.extend(number.ok().map(|it| format!(", {name} {it}")));
        }
        let asked = DescriptionAttributes { description, ..DescriptionAttributes::default() };
        if let Ok(found) = api.call(asked) {
            // SAFETY: the list, its names and values live as long as the device.
            for it in unsafe { list(found.attributes, found.len) } {
                line.push_str(&format!(", {}", attribute(it)));
            }
        }
        let memories = api.call(DeviceMemories { device, ..DeviceMemories::default() })?;
        // SAFETY: as for the attributes.
        for &memory in unsafe { list(memories.memories, memories.len) } {
            let kind = api.call(MemoryKind { memory, ..MemoryKind::default() })?;
            // SAFETY: the text lives as long as the device.
            line.push_str(&format!(", memory {}", unsafe { copied(kind.text, kind.len) }));
        }
        // Not every device counts its memory.
        if let Ok(found) = api.call(MemoryStats { device, ..MemoryStats::default() }) {
            line.push_str(&format!(", {} MiB in use", found.in_use >> 20));
            if found.limit_is_set {
                line.push_str(&format!(" of {}", found.limit >> 20));
            }
        }
        Ok(line)
    }
}

fn attribute(it: &NamedValue) -> String {
    // SAFETY: the name has that length; the kind says which of the values it is, and text and list
    // have the length that stands beside them.
    unsafe {
        let name = copied(it.name, it.name_len);
        match it.kind {
            0 => format!("{name} {}", copied(it.value.text, it.len)),
            1 => format!("{name} {}", it.value.whole),
            2 => format!("{name} {:?}", list(it.value.list, it.len)),
            3 => format!("{name} {}", it.value.float),
            4 => format!("{name} {}", it.value.flag),
            _ => name,
        }
    }
}
