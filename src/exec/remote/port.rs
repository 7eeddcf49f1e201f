//! Whether ports take connections, asked from where jobs run.

use std::time::Duration;

use super::host;
use super::site::Site;
use crate::engine::executor::{Cancel, ExecError, ports};

/// Longest wait for one connection.
const PATIENCE: Duration = Duration::from_secs(2);
/// Exit code of [`REACH`] where nothing can make a connection.
const NO_TOOL: i32 = 44;

/// Looks a port, `$1` in four hexadecimal digits, up among those on which something listens (state
/// 0A, see proc(5) on /proc/net/tcp). A connection might disturb who listens, and needs a tool.
const LISTENS: &str = r#"cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | while read -r n local remote state rest; do
[ "${local##*:}" = "$1" ] && [ "$state" = 0A ] && echo yes; done; exit 0"#;

/// Connects to port `$2` of `$1` with what there is.
const REACH: &str = r#"if command -v bash >/dev/null 2>&1; then exec bash -c 'exec 3<>"/dev/tcp/$1/$2"' bash "$1" "$2"; fi
if command -v nc >/dev/null 2>&1; then exec nc -w 1 "$1" "$2" </dev/null; fi
exit 44"#;

impl Site {
    /// Whether a process of this machine listens on a port.
    pub(in crate::exec) async fn listens(&self, port: &str) -> Result<bool, ExecError> {
        let Some((port, _)) = ports(port) else { return Ok(true) };
        let number = format!("{port:04X}");
        let command = ["sh", "-c", LISTENS, "sh", &number];
        let done = host::run(self.host.as_ref(), &command, Vec::new(), &Cancel::new()).await?;
        Ok(!done.checked("tell its open ports", self.host.as_ref())?.stdout.is_empty())
    }

    /// Whether a port of a container beside the job can be connected to, from the job's own.
    pub(in crate::exec) async fn reaches(&self, name: &str, port: &str) -> Result<bool, ExecError> {
        let Some((_, port)) = ports(port) else { return Ok(true) };
        let number = port.to_string();
        let command = ["sh", "-c", REACH, "sh", name, &number];
        let cancel = Cancel::new();
        let asked = host::run(self.host.as_ref(), &command, Vec::new(), &cancel);
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(done) => match done?.code {
                NO_TOOL => Err(ExecError::infrastructure(format!(
                    "{} has neither bash nor nc, so the port {number} of service `{name}` cannot be asked; give \
                     the service a `health` script",
                    self.host.describe()
                ))),
                code => Ok(code == 0),
            },
            Err(_) => Ok(false),
        }
    }
}
