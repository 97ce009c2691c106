//! Room for many connections, each of which is an open file.

use rustix::fd::RawFd;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs::File;

/// Room is made for so many at the most: half a megabyte of the kernel's memory.
const ROOM: usize = 65_536;

/// Lets this process open as many files as the system allows, and makes room for `count` of them; says how many it may
/// open. The usual soft limit of 1,024 is for programs that use `select`.
///
/// To be called before there are threads. The kernel doubles the table of a process's open files when it is full, and
/// where threads share it, whoever opens the 65th file, the 257th, the 513th, and so on waits until no core looks at the
/// old one any more. That took 7 to 20 ms each, in which nobody is accepted.
pub fn make_room(count: usize) -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // macOS refuses to allow as many as it says.
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let allowed = if raised.is_ok() { maximum } else { current };
    let allowed = allowed.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
    let last = count.min(allowed).min(ROOM).saturating_sub(1);
    let last = RawFd::try_from(last).unwrap_or(RawFd::MAX);
    // Opened at that number and closed again, which leaves the table as large. A failure costs the time above.
    if let Ok(file) = File::open("/dev/null") {
        let _ = rustix::io::fcntl_dupfd_cloexec(file, last);
    }
    allowed
}
