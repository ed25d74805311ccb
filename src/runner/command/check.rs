//! The check of a run's output, by a command of the user's.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::Result;

use super::run::Run;
use super::{CommandTrial, Failure};
use crate::machine::threads;
use crate::runner::process::heartbeat::Pulse;
use crate::runner::process::output::Output;
use crate::runner::process::{self, termination};
use crate::trial::{Outcome, STOPPED};

impl CommandTrial<'_> {
    /// Runs the check, which finds the output of `run` on its standard input; how it failed.
    pub(super) fn check(&self, run: &Run, started: Instant) -> Result<Option<Failure>> {
        let Some(check) = &self.command.check else { return Ok(None) };
        let child = Command::new("sh")
            .args(["-c", check])
            .current_dir(&self.command.folder)
            .env(&self.command.profile_env, self.profile)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn();
        let mut child = threads::started("the --check command with sh", child)?;
        let begun = Instant::now();
        if let Some(mut stdin) = child.stdin.take() {
            let text = run.stdout.bytes().to_vec();
            // A check that reads none of it is none the worse.
            let _ = threads::spawn(move || stdin.write_all(&text));
        }
        let pipe = child.stderr.take();
        let said = pipe.and_then(|pipe| threads::spawn(move || Output::of(pipe)).ok());
        let (limit, _) = self.limit(started, begun);
        let (mut pulse, mut gap) = (Pulse::start(), None);
        while gap.is_none()
            && process::is_running(&child)
            && begun.elapsed() < limit
            && !(self.stop)()
        {
            std::thread::sleep(std::time::Duration::from_millis(2));
            gap = pulse.beat();
        }
        let is_late = process::is_running(&child);
        let status = process::end(&mut child)?;
        let said = said.and_then(|said| said.join().ok()).unwrap_or_default().last_words();
        let interrupted = |why: &str| Some((Outcome::Interrupted, why.to_owned()));
        if let Some(gap) = gap {
            return Ok(interrupted(&gap));
        }
        Ok(match status.code() {
            _ if is_late && (self.stop)() => interrupted(STOPPED),
            _ if is_late => Some((Outcome::Timeout, "the check did not end".to_owned())),
            _ if termination::is_stop(status, self.stop) => interrupted(STOPPED),
            Some(0) => None,
            _ if termination::by_others(status).is_some() => {
                interrupted(&format!("the check: {}", termination::described(status, &said)))
            }
            Some(code) => {
                Some((Outcome::WrongOutput, format!("the check exited with {code}: {said}")))
            }
            None => Some((Outcome::WrongOutput, format!("the check was killed: {said}"))),
        })
    }
}
