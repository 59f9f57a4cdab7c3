//! Calls of kernel functions (kfuncs), which aya 0.14 does not resolve: written over before the object is loaded.
//!
//! The id of a kfunc is that of its BTF type in the running kernel (`BPF_PSEUDO_KFUNC_CALL`, include/uapi/linux/bpf.h).
//! The relocations stay: aya passes over one whose instruction is no call of its own and whose symbol has no section.

use aya::Btf;
use aya_obj::btf::BtfKind;
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, RelocationTarget, SectionKind};

/// `r0 = 0`: what a function that is not there answers.
const NOTHING: [u8; 8] = [0xb7, 0, 0, 0, 0, 0, 0, 0];

/// Writes over the calls of all functions that `elf` does not define: `btf` is that of the running kernel. Where one of
/// them is missing there, all of them answer 0; the result says whether they are there.
///
/// Errors: `elf` is no object.
pub(super) fn resolve(elf: &mut [u8], btf: Option<&Btf>) -> Result<bool, object::Error> {
    let calls = calls(elf)?;
    let id = |name: &str| btf?.id_by_type_name_kind(name, BtfKind::Func).ok();
    let ids: Option<Vec<u32>> = calls.iter().map(|(_, name)| id(name)).collect();
    for (at, (start, _)) in calls.iter().enumerate() {
        let instruction = ids.as_ref().and_then(|ids| ids.get(at)).map_or(NOTHING, |id| call(*id));
        if let Some(place) = elf.get_mut(*start..start + instruction.len()) {
            place.copy_from_slice(&instruction);
        }
    }
    Ok(ids.is_some())
}

/// `call` with src_reg 2: a kfunc of the kernel itself, not of a module.
fn call(id: u32) -> [u8; 8] {
    let [a, b, c, d] = id.to_le_bytes();
    [0x85, 0x20, 0, 0, a, b, c, d]
}

/// Offset and function of each call that leaves the object.
fn calls(elf: &[u8]) -> Result<Vec<(usize, String)>, object::Error> {
    let file = object::File::parse(elf)?;
    let mut calls = Vec::new();
    for section in file.sections().filter(|section| section.kind() == SectionKind::Text) {
        let Some((start, _)) = section.file_range() else { continue };
        for (offset, relocation) in section.relocations() {
            let RelocationTarget::Symbol(index) = relocation.target() else { continue };
            let symbol = file.symbol_by_index(index)?;
            if symbol.is_undefined() {
                let at = usize::try_from(start + offset).unwrap_or(usize::MAX);
                calls.push((at, symbol.name()?.to_owned()));
            }
        }
    }
    Ok(calls)
}
