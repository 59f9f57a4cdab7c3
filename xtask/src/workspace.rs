//! Where things lie in the work tree.

use std::path::{Path, PathBuf};

/// The root of the work tree.
pub(crate) fn root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

/// Directory of the eBPF build: its own, so that its flags leave the workspace's cache alone.
pub(crate) fn bpf_dir() -> PathBuf {
    root().join("target/bpf")
}

/// Root of `cargo install` for the project's own tools.
pub(crate) fn tools_dir() -> PathBuf {
    root().join("target/tools")
}

/// Directory of the VM kernels, one subdirectory for each version.
pub(crate) fn kernels_dir() -> PathBuf {
    root().join("target/vm")
}

/// Directory that a command in the VM may write to by default.
pub(crate) fn vm_out_dir() -> PathBuf {
    root().join("target/vm-out")
}

/// The search path with the project's own tools first.
pub(crate) fn search_path() -> std::ffi::OsString {
    let mut path = tools_dir().join("bin").into_os_string();
    // The administration directories are missing from the path of a plain user on Debian.
    for part in [std::env::var_os("PATH").unwrap_or_default(), "/usr/sbin:/sbin".into()] {
        path.push(":");
        path.push(part);
    }
    path
}

/// Finds a program in [`search_path`].
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&search_path()).map(|dir| dir.join(name)).find(|path| path.is_file())
}

/// Whether the effective user is root.
pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}
