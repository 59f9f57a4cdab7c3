//! The slot of an interface in the interface table.

use super::Target;
use crate::datapath::{DatapathError, fill::Filler, maps::on};
use esp_common::{IfaceSlot, iface::IFACE_NAME_LEN, names};

/// The interface's slot: the one with its name, else a free one, written before anything is attached.
pub(super) fn reserve(filler: &mut Filler, target: &Target) -> Result<(u32, IfaceSlot), DatapathError> {
    let found = match find(filler, &target.name)? {
        Some(found) => Some(found),
        None => find(filler, "")?,
    };
    let (index, mut slot) = found.ok_or_else(|| DatapathError::TooManyIfaces(target.name.clone()))?;
    if slot.ifindex != target.ifindex {
        // Another device under the name: nothing of ours is on it.
        slot = IfaceSlot { name: padded(&target.name), ifindex: target.ifindex, ..IfaceSlot::default() };
    }
    write(filler, index, slot)?;
    Ok((index, slot))
}

/// The slot with a name; the empty one finds a free slot.
pub(super) fn find(filler: &Filler, name: &str) -> Result<Option<(u32, IfaceSlot)>, DatapathError> {
    let slots = (0..).zip(filler.maps().ifaces.iter());
    for (index, slot) in slots {
        let slot = slot.map_err(on("read", names::MAP_IFACES))?;
        if slot.name() == name {
            return Ok(Some((index, slot)));
        }
    }
    Ok(None)
}

/// Writes a slot.
pub(super) fn write(filler: &mut Filler, index: u32, slot: IfaceSlot) -> Result<(), DatapathError> {
    filler.maps_mut().ifaces.set(index, slot, 0).map_err(on("write", names::MAP_IFACES))
}

fn padded(name: &str) -> [u8; IFACE_NAME_LEN] {
    let mut bytes = [0; IFACE_NAME_LEN];
    for (slot, byte) in bytes.iter_mut().take(IFACE_NAME_LEN - 1).zip(name.bytes()) {
        *slot = byte;
    }
    bytes
}
