//! One heap for a program that downloads, or stays for years.
//!
//! glibc gives threads heaps of their own, up to eight for each core, and what one of them has given back another does
//! not take: an agent with five thousand seeds has 178 MB in sixteen heaps and 122 MB in one, a download at 500 MiB/s
//! 110 and 70 MiB. How many there may be it reads when a program starts (mallopt(3), `M_ARENA_MAX`), so the program is
//! started once more, in its own process.

/// Has this process go on in one heap: it becomes its program anew, with the same arguments.
///
/// Returns in the program so started, and where nothing is to change: another C library, a choice that the owner has
/// made, a system that does not let it. To be called before a command does anything, or prints it.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn in_one_heap() {
    use std::os::unix::process::CommandExt as _;

    let is_chosen = std::env::var_os(HEAPS).is_some()
        || std::env::var_os("GLIBC_TUNABLES").is_some_and(|all| all.to_string_lossy().contains("malloc.arena_max"));
    let Ok(program) = std::env::current_exe() else { return };
    if is_chosen {
        return;
    }
    let mut arguments = std::env::args_os();
    let mut command = std::process::Command::new(program);
    command.arg0(arguments.next().unwrap_or_default()).args(arguments).env(HEAPS, "1");
    let error = command.exec();
    tracing::debug!(%error, "cannot start anew in one heap");
}

/// Does nothing: how many heaps there are is another C library's own affair.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub const fn in_one_heap() {}

/// What glibc reads. Programs that are started on an owner's behalf are not to.
pub(super) const HEAPS: &str = "MALLOC_ARENA_MAX";
