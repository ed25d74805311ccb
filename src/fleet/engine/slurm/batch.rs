//! Batch: a job as `sbatch` gets it, with its time limit, its log and its script.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::answer::{answer, patiently};
use crate::fleet::engine::Silent;
use crate::io::shell;

/// Time for whatever goes on around a tune: starting, the trial that runs on, the report.
const MARGIN: Duration = Duration::from_secs(600);

/// Seconds of warning before a time limit, in which a tune writes its profile.
const WARNING_S: u64 = 90;

/// How often a job is looked for of which nobody knows whether it was submitted, and how long apart.
const LOOKS: (usize, Duration) = (24, Duration::from_secs(5));

/// How long a job may take whose tune has this budget.
pub fn limit(budget: Duration) -> Duration {
    budget + MARGIN
}

/// Whom Slurm tells to end, before the job's time does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warned {
    /// Nobody: there is nothing to write.
    Nobody,
    /// Its steps.
    Steps,
    /// Its script.
    Script,
}

/// A job to submit.
#[derive(Clone, Debug)]
pub struct BatchJob {
    /// Its name.
    pub name: String,
    /// Where what it says is appended to; `%j` stands for its number.
    pub log: PathBuf,
    /// After which it is ended.
    pub limit: Duration,
    /// Who is told before.
    pub warned: Warned,
    /// Further flags.
    pub flags: Vec<String>,
    /// The line that its script becomes, for a POSIX shell. It need not be a text.
    pub line: OsString,
}

impl BatchJob {
    /// The words for `sbatch`, which reads the script from its input.
    pub fn words(&self) -> Vec<String> {
        let mut words = vec![
            "--parsable".to_owned(),
            format!("--job-name={}", self.name),
            format!("--time={}", self.limit.as_secs().div_ceil(60)),
            "--open-mode=append".to_owned(),
            format!("--output={}", self.log.display()),
        ];
        let signal = match self.warned {
            Warned::Nobody => None,
            Warned::Steps => Some("TERM"),
            Warned::Script => Some("B:TERM"),
        };
        words.extend(signal.map(|signal| format!("--signal={signal}@{WARNING_S}")));
        words.extend(self.flags.iter().cloned());
        words
    }

    /// What would be typed to submit it.
    pub fn described(&self) -> String {
        let wrapped = format!("--wrap=exec {}", self.line.display());
        shell::text(&[vec!["sbatch".to_owned()], self.words(), vec![wrapped]].concat())
    }

    /// Submits it, and returns its number.
    ///
    /// # Errors
    /// What `sbatch` says; [`Silent`] where it does not answer.
    pub fn submit(&self) -> Result<String> {
        let script = [&b"#!/bin/sh\nexec "[..], self.line.as_encoded_bytes(), b"\n"].concat();
        let printed = answer("sbatch", &self.words(), &script)?;
        id(&printed)
            .with_context(|| format!("sbatch printed no number of a job: {}", printed.trim()))
    }

    /// Submits it under a name that no other job has. Where `sbatch` does not answer, that name tells
    /// whether the job came through all the same; it is never submitted twice.
    ///
    /// # Errors
    /// What `sbatch` says; that nothing is known of the job, and what to type.
    pub fn submit_once(&self) -> Result<String> {
        let silent = match self.submit() {
            Err(error) if error.is::<Silent>() => error,
            submitted => return submitted,
        };
        let (looks, pause) = LOOKS;
        let named = format!("--name={}", self.name);
        let words = ["--noheader", "--states=all", &named, "--format=%i"].map(str::to_owned);
        let unknown =
            || format!("{silent}: unless `squeue {named}` shows a job, type the same again");
        for look in 0..looks {
            std::thread::sleep(if look > 0 { pause } else { Duration::ZERO });
            let printed = patiently("squeue", &words).with_context(unknown)?;
            if let Some(id) = printed.split_whitespace().next() {
                return Ok(id.to_owned());
            }
        }
        bail!(unknown())
    }
}

/// The number that `sbatch` prints, perhaps with a cluster behind it, and with a site's words before.
fn id(printed: &str) -> Option<String> {
    let id = printed.trim().lines().last()?.split(';').next()?.trim();
    (!id.is_empty() && id.bytes().all(|digit| digit.is_ascii_digit())).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_job_stands_in_the_last_line() {
        for (printed, number) in [
            ("12\n", Some("12")),
            ("12;cluster\n", Some("12")),
            ("*** welcome ***\n12\n", Some("12")),
            ("", None),
            ("no job\n", None),
        ] {
            assert_eq!(id(printed).as_deref(), number, "{printed}");
        }
    }

    fn batch(limit: Duration, warned: Warned) -> BatchJob {
        let (name, log) = ("wan22-tune".to_owned(), "it's-%j.log".into());
        let (flags, line) = (vec!["--nodes=2-8".to_owned()], "'my tune' --budget 30m".into());
        BatchJob { name, log, limit, warned, flags, line }
    }

    #[test]
    fn a_tune_has_ten_minutes_more_than_its_budget_in_whole_minutes() {
        for (budget_s, minutes) in [(1, 11), (60, 11), (61, 12), (1800, 40), (0, 10)] {
            let limit = limit(Duration::from_secs(budget_s));
            let words = batch(limit, Warned::Script).words();
            assert!(words.contains(&format!("--time={minutes}")), "{budget_s}: {words:?}");
        }
    }

    #[test]
    fn who_is_warned_is_told_a_minute_and_a_half_before() {
        let signal = |warned| {
            let words = batch(Duration::from_secs(60), warned).words();
            words.into_iter().find(|word| word.starts_with("--signal"))
        };
        assert_eq!(signal(Warned::Steps).as_deref(), Some("--signal=TERM@90"));
        assert_eq!(signal(Warned::Script).as_deref(), Some("--signal=B:TERM@90"));
        assert_eq!(signal(Warned::Nobody), None);
    }

    #[test]
    fn what_is_described_can_be_typed() {
        let typed = batch(Duration::from_secs(60), Warned::Nobody).described();
        let words = [
            "sbatch",
            "--parsable",
            "--job-name=wan22-tune",
            "--time=1",
            "--open-mode=append",
            "--output=it's-%j.log",
            "--nodes=2-8",
            "--wrap=exec 'my tune' --budget 30m",
        ];
        assert_eq!(shell::parted(&typed).unwrap(), words);
    }
}
