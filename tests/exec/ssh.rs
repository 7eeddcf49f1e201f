//! The ssh executor, against real servers.

use crate::conformance::{Venue, conforms};
use crate::sshd::{Sshd, runs_below};

fn venue() -> Venue {
    let sshd = Sshd::start();
    let workspaces = sshd.workspaces();
    Venue::new("ssh", sshd.options(), sshd).leaving(move || runs_below(&workspaces))
}

mod suite {
    use super::*;
    conforms!(super::venue);
    conforms!(super::venue: a_server_that_hides_is_found);
}
