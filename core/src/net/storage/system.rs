//! What the operating system does with a torrent's files: reads and writes at an offset, sends to a socket, and a
//! rename that replaces nothing.

use std::fs::{self, File};
use std::io;
#[cfg(target_os = "linux")]
use std::os::fd::AsFd;
use std::path::Path;

use bytes::Bytes;

use super::super::resume::Stamp;

/// How the file at `path` looks now, or `None` if that cannot be told.
pub(super) fn stamp(path: &Path) -> Option<Stamp> {
    let found = fs::metadata(path).ok()?;
    let modified = found.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some((found.len(), u64::try_from(modified.as_nanos()).ok()?))
}

/// One system call for all parts, unless the system gives less than it was asked for.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn read_at(file: &File, parts: Vec<&mut [u8]>, mut offset: u64) -> io::Result<()> {
    let mut slices: Vec<io::IoSliceMut<'_>> = parts.into_iter().map(io::IoSliceMut::new).collect();
    let mut rest = &mut slices[..];
    while !rest.is_empty() {
        match rustix::io::preadv(file, rest, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                offset += read as u64;
                io::IoSliceMut::advance_slices(&mut rest, read);
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

#[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
pub(super) fn read_at(file: &File, parts: Vec<&mut [u8]>, mut offset: u64) -> io::Result<()> {
    for part in parts {
        std::os::unix::fs::FileExt::read_exact_at(file, part, offset)?;
        offset += part.len() as u64;
    }
    Ok(())
}

#[cfg(windows)]
pub(super) fn read_at(file: &File, parts: Vec<&mut [u8]>, mut offset: u64) -> io::Result<()> {
    use std::os::windows::fs::FileExt as _;
    for part in parts {
        let mut done = 0;
        while done < part.len() {
            match file.seek_read(&mut part[done..], offset)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => {
                    done += read;
                    offset += read as u64;
                }
            }
        }
    }
    Ok(())
}

/// Has the system send bytes of a file to a socket, as many as this takes. `Unsupported` if the file ends there, cannot
/// be read, or lies where the system does not send from.
#[cfg(target_os = "linux")]
pub(super) fn send_from(file: &File, mut offset: u64, length: u64, socket: impl AsFd) -> io::Result<usize> {
    use rustix::io::Errno;
    let count = usize::try_from(length).unwrap_or(usize::MAX);
    match rustix::fs::sendfile(socket, file, Some(&mut offset), count) {
        Ok(0) | Err(Errno::INVAL | Errno::NOSYS | Errno::IO) => Err(io::ErrorKind::Unsupported.into()),
        Ok(sent) => Ok(sent),
        Err(errno) => Err(errno.into()),
    }
}

/// One system call for a whole run of blocks, unless the system takes less than it was given.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn write_at(file: &File, blocks: &[Bytes], mut offset: u64) -> io::Result<()> {
    const MOST: usize = 512;
    for blocks in blocks.chunks(MOST) {
        let mut slices: Vec<io::IoSlice<'_>> = blocks.iter().map(|block| io::IoSlice::new(block)).collect();
        let mut rest = &mut slices[..];
        while !rest.is_empty() {
            match rustix::io::pwritev(file, rest, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    offset += written as u64;
                    io::IoSlice::advance_slices(&mut rest, written);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
    Ok(())
}

#[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
pub(super) fn write_at(file: &File, blocks: &[Bytes], mut offset: u64) -> io::Result<()> {
    for block in blocks {
        std::os::unix::fs::FileExt::write_all_at(file, block, offset)?;
        offset += block.len() as u64;
    }
    Ok(())
}

#[cfg(windows)]
pub(super) fn write_at(file: &File, blocks: &[Bytes], mut offset: u64) -> io::Result<()> {
    use std::os::windows::fs::FileExt as _;
    for block in blocks {
        let mut rest = &block[..];
        while !rest.is_empty() {
            match file.seek_write(rest, offset)? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => {
                    offset += written as u64;
                    rest = &rest[written..];
                }
            }
        }
    }
    Ok(())
}

/// Renames, unless something has the new name.
pub(super) fn rename_to_new(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(()),
            // The file system does not know the flag.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::NOTSUP) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    if fs::symlink_metadata(to).is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    fs::rename(from, to)
}
