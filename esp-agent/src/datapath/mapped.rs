//! The memory of a map that can be mapped: read and written without a system call.

use super::DatapathError;
use aya::maps::MapData;
use std::{
    io,
    os::fd::{AsFd as _, AsRawFd as _},
    ptr::NonNull,
    sync::atomic::AtomicU64,
};

/// All values of an array map with `BPF_F_MMAPABLE`, as words: the datapath and other processes change them at any time.
#[derive(Debug)]
pub struct Mapped {
    start: NonNull<AtomicU64>,
    words: usize,
}

// SAFETY: it owns the mapping, and all access is by atomics.
unsafe impl Send for Mapped {}
// SAFETY: as above.
unsafe impl Sync for Mapped {}

impl Mapped {
    /// Maps the values of `map`.
    ///
    /// Errors: the kernel's; the map is not an array that can be mapped.
    pub fn of(map: &MapData, name: &'static str) -> Result<Self, DatapathError> {
        let info = map.info().map_err(|source| DatapathError::Map { what: "look at", name, source })?;
        // The kernel rounds a value up to eight bytes (`array_map_alloc`).
        let bytes = u64::from(info.value_size().next_multiple_of(8)) * u64::from(info.max_entries());
        let bytes = usize::try_from(bytes).map_err(|error| failed(name, io::Error::other(error)))?;
        Self::part(map, name, 0, bytes)
    }

    /// Maps so many bytes of the values from `first` on, both multiples of a page.
    ///
    /// Errors: as above; the values are fewer.
    pub fn part(
        map: &MapData,
        name: &'static str,
        first: usize,
        bytes: usize,
    ) -> Result<Self, DatapathError> {
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        let first = libc::off_t::try_from(first).map_err(|error| failed(name, io::Error::other(error)))?;
        let fd = map.fd().as_fd().as_raw_fd();
        // SAFETY: a new mapping at a place of the kernel's choice, of a file descriptor that is open.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), bytes, access, kind, fd, first) };
        if start == libc::MAP_FAILED {
            return Err(failed(name, io::Error::last_os_error()));
        }
        let start =
            NonNull::new(start.cast()).ok_or_else(|| failed(name, io::ErrorKind::InvalidData.into()))?;
        Ok(Self { start, words: bytes / size_of::<u64>() })
    }
}

fn failed(name: &'static str, source: io::Error) -> DatapathError {
    DatapathError::Map { what: "map the memory of", name, source: aya::maps::MapError::IoError(source) }
}

impl AsRef<[AtomicU64]> for Mapped {
    fn as_ref(&self) -> &[AtomicU64] {
        // SAFETY: so many words are mapped from `start`, which is on a page boundary, for as long as `self` lives; they are
        // initialised, and who changes them under us does so in whole words or less, which atomics allow.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.words) }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: exactly what was mapped in `of`; no reference outlives `self`. It cannot fail for such a range.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.words * size_of::<u64>()) };
    }
}
