//! What a server says: bounded, and looked through for the reason of a start that failed.

use std::{
    fs,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use crate::sys::errno;

/// The log is put aside at this length: there are two of it at most.
pub(super) const LIMIT: u64 = 4 << 20;
/// How much of the log's end is looked through.
const END: u64 = 16 << 10;

/// Puts it aside where it has grown long; the one put aside before is gone then. Ganesha opens it anew
/// for each line, so it need not be told.
pub(super) fn bound(log: &Path, aside: &Path) -> io::Result<()> {
    match fs::metadata(log) {
        Ok(found) if found.len() > LIMIT => {
            fs::rename(log, aside).map_err(errno::on("put aside", log))
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(errno::on("look at", log)(error)),
    }
}

/// Where the next line will be.
pub(super) fn end(log: &Path) -> u64 {
    fs::metadata(log).map_or(0, |log| log.len())
}

/// Where its last lines begin.
pub(super) fn last_lines(log: &Path) -> u64 {
    end(log).saturating_sub(END)
}

/// The weightiest thing that was said since, in the log or, before there was one, in the output: what
/// the dynamic linker says, for one.
pub(super) fn reason(log: &Path, since: u64, output: &Path) -> String {
    let said = read_from(log, since).ok().and_then(|text| weighty(&text));
    let printed = || fs::read_to_string(output).ok().and_then(|text| last(&text));
    said.or_else(printed).unwrap_or_else(|| "it said nothing".to_owned())
}

fn read_from(path: &Path, offset: u64) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut text = Vec::new();
    file.take(END).read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The last two lines that are no small talk, without what comes before their messages: the last one
/// alone often is "cannot continue".
fn weighty(log: &str) -> Option<String> {
    // `date : epoch … : host : nfs-ganesha-PID[thread] function :COMPONENT :LEVEL :message`
    let message = |line: &str| {
        let (_, message) =
            [":FATAL :", ":MAJ :", ":CRIT :"].iter().find_map(|level| line.split_once(level))?;
        Some(message.trim().to_owned())
    };
    let messages: Vec<_> = log.lines().filter_map(message).collect();
    let end = &messages[messages.len().saturating_sub(2)..];
    (!end.is_empty()).then(|| end.join("; "))
}

fn last(text: &str) -> Option<String> {
    text.lines().rev().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_the_weightiest_thing_that_the_log_says() {
        let log = "\
21/11/2026 12:31:14 : epoch 6b : vm : nfs-ganesha-1[main] main :MAIN :EVENT :Starting
21/11/2026 12:31:14 : epoch 6b : vm : nfs-ganesha-1[main] bind :DISP :FATAL :Cannot bind NFS tcp6 socket, error 98 (Address already in use)
21/11/2026 12:31:14 : epoch 6b : vm : nfs-ganesha-1[main] main :MAIN :CRIT :Error while parsing
";

        assert_eq!(
            weighty(log).unwrap(),
            "Cannot bind NFS tcp6 socket, error 98 (Address already in use); Error while parsing"
        );
        assert_eq!(weighty("nothing"), None);
    }
}
