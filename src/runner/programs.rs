//! The programs that a trial needs, and what the worker says of itself.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::process::{end, is_running};
use crate::io::held;

/// How long a worker may take to tell its version.
const VERSION_TIMEOUT: Duration = Duration::from_secs(20);

/// Bytes of a version that are looked at.
const LONGEST_VERSION: u64 = 4096;

/// The programs that a trial needs.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `wan22-tune`, for its `exec`.
    pub tuner: PathBuf,
    /// `wan22-worker`, or what stands in for it.
    pub worker: PathBuf,
}

impl Programs {
    /// What the worker says of itself and of its libtorch; `None` for one that does not say.
    pub fn version(&self) -> Option<String> {
        let quiet = || Stdio::null();
        let mut command = Command::new(held::program(&self.worker).ok()?);
        command.arg("--version").stdin(quiet()).stdout(Stdio::piped()).stderr(quiet());
        let mut child = command.process_group(0).spawn().ok()?;
        let asked = Instant::now();
        while is_running(&child) && asked.elapsed() < VERSION_TIMEOUT {
            std::thread::sleep(Duration::from_millis(5));
        }
        let output = child.stdout.take();
        let status = end(&mut child).ok()?;
        let mut text = String::new();
        output?.take(LONGEST_VERSION).read_to_string(&mut text).ok()?;
        status.success().then(|| text.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}
