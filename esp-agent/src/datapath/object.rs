//! The embedded eBPF object.

use super::DatapathError;

/// Aligned as ELF parsers want it.
#[repr(C, align(8))]
struct Aligned<T: ?Sized>(T);

static OBJECT: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/esp.o")));

/// The object's bytes.
///
/// Errors: [`DatapathError::NoObject`] when the build had none.
pub fn bytes() -> Result<&'static [u8], DatapathError> {
    if OBJECT.0.is_empty() { Err(DatapathError::NoObject) } else { Ok(&OBJECT.0) }
}
