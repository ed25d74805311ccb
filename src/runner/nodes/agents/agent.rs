//! Agent: a program on a node that runs trials there, as its tuner sees it.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;

use super::message::{AgentMessage, TunerMessage};
use crate::machine::threads;

/// What an agent does.
#[derive(Debug)]
pub(super) enum Event {
    /// It says something.
    Said(AgentMessage),
    /// It ended, or nobody can reach it.
    Gone,
}

/// The agent's process, or that of the launcher on this machine.
#[derive(Debug)]
pub(super) struct Agent {
    child: Child,
    stdin: Option<ChildStdin>,
    last_words: Arc<Mutex<String>>,
}

impl Agent {
    /// Starts it; `tell` is called with everything that it does, from another thread.
    ///
    /// # Errors
    /// It can't be started.
    pub fn start(
        mut command: Command,
        mut tell: impl FnMut(Event) + Send + 'static,
    ) -> Result<Self> {
        // In the tuner's own process group: what has another one is taken for a trial's orphan. Ctrl-C
        // asks both to finish.
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let program = command.get_program().display().to_string();
        let mut child = threads::started(program, command.stderr(Stdio::piped()).spawn())?;
        let (stdin, last_words) = (child.stdin.take(), Arc::default());
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let agent = Self { child, stdin, last_words };
        let last_words = Arc::clone(&agent.last_words);
        threads::spawn(move || {
            for line in stderr.into_iter().flat_map(lines) {
                let line = String::from_utf8_lossy(&line).trim().to_owned();
                if !line.is_empty() {
                    *last_words.lock().unwrap_or_else(PoisonError::into_inner) = line;
                }
            }
        })?;
        threads::spawn(move || {
            for line in stdout.into_iter().flat_map(lines) {
                if let Some(reply) = reply(&line) {
                    tell(Event::Said(reply));
                }
            }
            tell(Event::Gone);
        })?;
        Ok(agent)
    }

    /// Tells it something; where that does not arrive it is gone.
    pub fn tell(&mut self, message: &TunerMessage) {
        let Some(stdin) = &mut self.stdin else { return };
        let line = serde_json::to_string(message).map(|text| text + "\n").unwrap_or_default();
        if stdin.write_all(line.as_bytes()).and_then(|()| stdin.flush()).is_err() {
            self.stdin = None;
        }
    }

    /// The last line that it, or what started it, said to people.
    pub fn last_words(&self) -> String {
        self.last_words.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells it to end.
    pub fn dismiss(&mut self) {
        self.stdin = None;
    }

    /// Waits for its end until `deadline`; what is left then is killed with the value.
    pub fn end(&mut self, deadline: Instant) {
        self.dismiss();
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() >= deadline {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a line says. Launchers and shells may print what they like, in front of it, too: a title for a
/// terminal has no end of line.
fn reply(line: &[u8]) -> Option<Reply> {
    let start = line.iter().position(|byte| b"{\"".contains(byte))?;
    serde_json::from_slice(&line[start..]).ok()
}

/// What `source` says, line by line, until its end.
fn lines(source: impl Read) -> impl Iterator<Item = Vec<u8>> {
    BufReader::new(source).split(b'\n').map_while(Result::ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_launcher_may_print_what_it_likes_before_a_reply() {
        let read = |line: &str| reply(line.as_bytes()).map(|reply| format!("{reply:?}"));
        for line in ["\"asks\"", "\u{1b}]0;me@n1\u{7}Welcome! \"asks\"", "  \"asks\"\r"] {
            assert_eq!(read(line).as_deref(), Some("Asks"), "{line:?}");
        }
        assert_eq!(read("motd: {\"refused\":\"why\"}").as_deref(), Some("Refused(\"why\")"));
        for line in ["", "Welcome!", "{", "\"", "{\"who\":1}"] {
            assert_eq!(read(line), None, "{line:?}");
        }
    }
}
