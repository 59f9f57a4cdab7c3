//! The size of each program: what the verifier walked, and what the CPU runs.

use crate::kernel::Kernel;
use anyhow::Result;

/// Size of one program.
#[derive(Clone, Debug)]
pub struct Size {
    /// Name.
    pub name: String,
    /// Instructions that the verifier walked, over all branches (its limit is one million).
    pub verified: u32,
    /// Instructions after the verifier's changes.
    pub translated: u32,
    /// Bytes of machine code; 0 without a JIT.
    pub jited_bytes: u32,
}

/// Bytes of one BPF instruction.
const INSTRUCTION: u32 = 8;

/// All programs of the object, by name.
///
/// # Errors
/// The kernel does not tell.
pub fn sizes(kernel: &Kernel) -> Result<Vec<Size>> {
    let mut sizes = Vec::new();
    for (name, program) in kernel.ebpf().programs() {
        let info = program.info()?;
        sizes.push(Size {
            name: name.to_owned(),
            verified: info.verified_instruction_count().unwrap_or(0),
            translated: info.size_translated().unwrap_or(0) / INSTRUCTION,
            jited_bytes: info.size_jitted(),
        });
    }
    sizes.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(sizes)
}
