//! The embedded eBPF object.

use super::{DatapathError, kfunc, newest};
use aya::Btf;
use esp_common::SadLayout;
use std::sync::OnceLock;

static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/esp.o"));

/// The object as this kernel is to have it.
struct Prepared {
    /// Words, because ELF parsers want it aligned.
    words: Vec<u64>,
    has_kfuncs: bool,
    sad: Option<SadLayout>,
}

static PREPARED: OnceLock<Prepared> = OnceLock::new();

/// The object's bytes, its calls of kernel functions resolved for the running kernel.
///
/// Errors: [`DatapathError::NoObject`] when the build had none, [`DatapathError::Object`].
pub fn bytes() -> Result<&'static [u8], DatapathError> {
    Ok(bytemuck::cast_slice(&prepared()?.words))
}

/// Whether the datapath can ask this kernel for an SA (`bpf_xdp_get_xfrm_state`, Linux 6.8).
///
/// Errors: as [`bytes`].
pub fn asks_kernel() -> Result<bool, DatapathError> {
    Ok(prepared()?.has_kfuncs)
}

/// Where this kernel keeps its SAs; `None` where the datapath cannot ask it, or it does not tell.
///
/// # Errors
/// As [`bytes`].
pub fn sad() -> Result<Option<SadLayout>, DatapathError> {
    Ok(prepared()?.sad)
}

fn prepared() -> Result<&'static Prepared, DatapathError> {
    if let Some(prepared) = PREPARED.get() {
        return Ok(prepared);
    }
    if OBJECT.is_empty() {
        return Err(DatapathError::NoObject);
    }
    let mut words = vec![0_u64; OBJECT.len().div_ceil(size_of::<u64>())];
    let elf: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
    elf.iter_mut().zip(OBJECT).for_each(|(to, from)| *to = *from);
    // Without BTF there are no kfuncs either.
    let btf = Btf::from_sys_fs().ok();
    let has_kfuncs = kfunc::resolve(elf, btf.as_ref()).map_err(DatapathError::Object)?;
    let sad = if has_kfuncs { newest::layout() } else { None };
    Ok(PREPARED.get_or_init(|| Prepared { words, has_kfuncs, sad }))
}
