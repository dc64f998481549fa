//! Another program in the place of this one: a command that only finds out whom to ask. It is a person's own
//! program, with that person's environment, directories and terminal.

use std::{
    ffi::{OsStr, OsString},
    io,
    os::unix::process::CommandExt,
    process::Command,
};

/// Becomes that program; what is returned says why not.
pub fn become_program(program: &OsStr, arguments: &[OsString]) -> io::Error {
    #[expect(clippy::disallowed_methods, reason = "a place that starts programs")]
    let mut command = Command::new(program);
    command.args(arguments).exec()
}
