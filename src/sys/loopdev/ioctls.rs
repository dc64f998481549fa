//! The loop driver's ioctls, from <linux/loop.h>: one safe function each.
#![expect(unsafe_code, reason = "ioctl: the kernel reads and writes the structures below")]

use std::{
    ffi::c_void,
    fs::File,
    os::{
        fd::{AsRawFd, RawFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

use rustix::{
    io::{Errno, Result},
    ioctl::{Getter, IntegerSetter, Ioctl, IoctlOutput, Opcode, Setter, ioctl},
};

const LOOP_SET_FD: Opcode = 0x4C00;
const LOOP_CLR_FD: Opcode = 0x4C01;
const LOOP_SET_STATUS64: Opcode = 0x4C04;
const LOOP_GET_STATUS64: Opcode = 0x4C05;
const LOOP_SET_CAPACITY: Opcode = 0x4C07;
const LOOP_SET_DIRECT_IO: Opcode = 0x4C08;
const LOOP_SET_BLOCK_SIZE: Opcode = 0x4C09;
const LOOP_CONFIGURE: Opcode = 0x4C0A;
const LOOP_CTL_ADD: Opcode = 0x4C80;
const LOOP_CTL_REMOVE: Opcode = 0x4C81;
const LOOP_CTL_GET_FREE: Opcode = 0x4C82;

pub(super) const LO_FLAGS_READ_ONLY: u32 = 1;
pub(super) const LO_FLAGS_AUTOCLEAR: u32 = 4;
pub(super) const LO_FLAGS_DIRECT_IO: u32 = 16;

/// `struct loop_info64`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Status {
    pub(super) lo_device: u64,
    pub(super) lo_inode: u64,
    lo_rdevice: u64,
    pub(super) lo_offset: u64,
    pub(super) lo_sizelimit: u64,
    lo_number: u32,
    lo_encrypt_type: u32,
    lo_encrypt_key_size: u32,
    pub(super) lo_flags: u32,
    lo_file_name: [u8; 64],
    lo_crypt_name: [u8; 64],
    lo_encrypt_key: [u8; 32],
    lo_init: [u64; 2],
}

/// `struct loop_config`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Config {
    fd: u32,
    block_size: u32,
    info: Status,
    reserved: [u64; 8],
}

// The sizes that the kernel expects (linux/loop.h on every 64-bit machine).
const _: () = assert!(size_of::<Status>() == 232 && size_of::<Config>() == 304);

impl Status {
    /// Whole image, named for people, with these flags; everything else is off.
    fn named(path: &Path, lo_flags: u32) -> Self {
        let mut lo_file_name = [0; 64];
        // The last byte stays 0; a long path is cut, as losetup does it.
        for (to, from) in lo_file_name.iter_mut().take(63).zip(path.as_os_str().as_bytes()) {
            *to = *from;
        }
        Self {
            lo_device: 0,
            lo_inode: 0,
            lo_rdevice: 0,
            lo_offset: 0,
            lo_sizelimit: 0,
            lo_number: 0,
            lo_encrypt_type: 0,
            lo_encrypt_key_size: 0,
            lo_flags,
            lo_file_name,
            lo_crypt_name: [0; 64],
            lo_encrypt_key: [0; 32],
            lo_init: [0; 2],
        }
    }
}

/// The number of a device that is free at this moment; made if all are taken.
pub(super) fn get_free(control: &File) -> Result<u32> {
    // SAFETY: LOOP_CTL_GET_FREE takes no argument and answers by its return value.
    unsafe { ioctl(control, GetFree) }
}

/// `LOOP_CTL_REMOVE` and `LOOP_CTL_ADD`: the same number as a new device. One in use is `EBUSY`.
pub(super) fn renew(control: &File, number: u32) -> Result<()> {
    let number = usize::try_from(number).map_err(|_| Errno::INVAL)?;
    // SAFETY: both take the number itself, and no memory.
    unsafe {
        ioctl(control, IntegerSetter::<LOOP_CTL_REMOVE>::new_usize(number))?;
        ioctl(control, IntegerSetter::<LOOP_CTL_ADD>::new_usize(number))
    }
}

/// `LOOP_CONFIGURE`: bind, name and set direct I/O in one step (Linux 5.8). Block size 0: the
/// kernel's choice.
pub(super) fn configure(node: &File, image: &File, path: &Path) -> Result<()> {
    let config = Config {
        fd: unsigned(image.as_raw_fd())?,
        block_size: 0,
        info: Status::named(path, LO_FLAGS_DIRECT_IO),
        reserved: [0; 8],
    };
    // SAFETY: the kernel reads one `loop_config`, which `Config` mirrors.
    unsafe { ioctl(node, Setter::<LOOP_CONFIGURE, Config>::new(config)) }
}

/// The same on older kernels, in two steps; gives the device back if the second one fails.
pub(super) fn set_fd_and_name(node: &File, image: &File, path: &Path) -> Result<()> {
    set_integer::<LOOP_SET_FD>(node, usize::try_from(image.as_raw_fd()).map_err(|_| Errno::BADF)?)?;
    let named = set_flags(node, Status::named(path, 0), 0);
    if named.is_err() {
        let _ = clear(node);
    }
    named
}

/// `LOOP_SET_STATUS64` with other flags: of these the kernel lets autoclear be taken back.
pub(super) fn set_flags(node: &File, status: Status, lo_flags: u32) -> Result<()> {
    let status = Status { lo_flags, ..status };
    // SAFETY: the kernel reads one `loop_info64`, which `Status` mirrors.
    unsafe { ioctl(node, Setter::<LOOP_SET_STATUS64, Status>::new(status)) }
}

/// What the device is bound to; `ENXIO` if nothing.
pub(super) fn status(node: &File) -> Result<Status> {
    // SAFETY: the kernel writes one whole `loop_info64`, of which every bit pattern is valid.
    unsafe { ioctl(node, Getter::<LOOP_GET_STATUS64, Status>::new()) }
}

pub(super) fn clear(node: &File) -> Result<()> {
    set_integer::<LOOP_CLR_FD>(node, 0)
}

pub(super) fn set_capacity(node: &File) -> Result<()> {
    set_integer::<LOOP_SET_CAPACITY>(node, 0)
}

pub(super) fn set_direct_io(node: &File) -> Result<()> {
    set_integer::<LOOP_SET_DIRECT_IO>(node, 1)
}

pub(super) fn set_block_size(node: &File, bytes: usize) -> Result<()> {
    set_integer::<LOOP_SET_BLOCK_SIZE>(node, bytes)
}

fn set_integer<const OPCODE: Opcode>(node: &File, value: usize) -> Result<()> {
    // SAFETY: only called with opcodes above whose argument is a plain number, or ignored.
    unsafe { ioctl(node, IntegerSetter::<OPCODE>::new_usize(value)) }
}

fn unsigned(fd: RawFd) -> Result<u32> {
    u32::try_from(fd).map_err(|_| Errno::BADF)
}

struct GetFree;

// SAFETY: no argument, nothing is written, the answer is the return value.
unsafe impl Ioctl for GetFree {
    type Output = u32;

    const IS_MUTATING: bool = false;

    fn opcode(&self) -> Opcode {
        LOOP_CTL_GET_FREE
    }

    fn as_ptr(&mut self) -> *mut c_void {
        std::ptr::null_mut()
    }

    unsafe fn output_from_ptr(out: IoctlOutput, _: *mut c_void) -> Result<u32> {
        u32::try_from(out).map_err(|_| Errno::INVAL)
    }
}
