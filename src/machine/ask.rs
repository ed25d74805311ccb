//! Asking another program something, without waiting for it indefinitely.

use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::machine::threads;

/// How long a driver's or a scheduler's program may take to answer.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// What a program prints; `None` where it is absent, fails or takes too long.
pub fn ask(program: &str, arguments: &[&str], patience: Duration) -> Option<String> {
    let end = Instant::now() + patience;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut pipe = child.stdout.take()?;
    let (sender, text) = mpsc::channel();
    let reader = threads::spawn(move || {
        let mut bytes = Vec::new();
        if pipe.read_to_end(&mut bytes).is_ok() {
            // Nobody listens any more where the patience has ended.
            let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
        }
    });
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if reader.is_ok() && Instant::now() < end => sleep(Duration::from_millis(5)),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
        }
    };
    // A grandchild may hold the pipe open: the reader is then left to itself.
    let left = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(100));
    text.recv_timeout(left).ok().filter(|_| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_comes_whole_or_not_at_all() {
        let sh = |script: &str| ask("sh", &["-c", script], ANSWER_TIMEOUT);
        assert_eq!(sh("echo one; echo two"), Some("one\ntwo\n".to_owned()));
        assert_eq!(sh("echo one; exit 1"), None);
        assert_eq!(ask("no-such-program", &[], ANSWER_TIMEOUT), None);
    }

    #[test]
    fn nobody_is_waited_for_beyond_patience() {
        let short = Duration::from_millis(50);
        assert_eq!(ask("sleep", &["1000"], short), None);
        // The child ends at once and leaves somebody behind who holds the pipe.
        assert_eq!(ask("sh", &["-c", "sleep 60 & echo left"], short), None);
    }
}
