//! Limits of what a step may use, where nothing but its own shell can set them: those of each process
//! (`ulimit`, of POSIX shells in general `-v` for memory, `-u` or `-p` for processes).

use crate::workflow::plan::Resources;

/// The lines that set them, for `sh`. A limit that the machine does not let us set is not set.
pub(super) fn program(limits: &Resources) -> String {
    let mut lines = String::new();
    if let Some(bytes) = limits.memory_bytes {
        lines += &format!("ulimit -v {} 2>/dev/null\n", (bytes / 1024).max(1));
    }
    if let Some(pids) = limits.pids {
        lines += &format!("ulimit -u {pids} 2>/dev/null || ulimit -p {pids} 2>/dev/null\n");
    }
    lines
}

/// What they come to, for the log.
pub(in crate::exec) fn note(limits: &Resources) -> String {
    let mut parts = Vec::new();
    if let Some(bytes) = limits.memory_bytes {
        parts.push(format!("memory {bytes} bytes by ulimit (address space of each process)"));
    }
    if let Some(pids) = limits.pids {
        parts.push(format!("{pids} processes by ulimit (of the whole user, not for root)"));
    }
    if limits.cpu_millis.is_some() {
        parts.push("CPUs are not limited by this executor".to_owned());
    }
    format!("resources: {}", parts.join(", "))
}
