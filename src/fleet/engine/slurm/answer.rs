//! Answer: what one of Slurm's programs prints, which is given up after half a minute.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::fleet::engine::{NODE_VARIABLE, Silent};

/// Seconds that a call may take: Slurm's programs wait for a controller that is away.
const PATIENCE_S: &str = "30";

/// How often a controller that is away is asked again before anything is known, and how long apart.
const AWAY: (usize, Duration) = (24, Duration::from_secs(5));

/// What Slurm's programs say where the controller does not answer them. It may have done all the same
/// what it was asked for.
const NO_ANSWER: [&str; 13] = [
    "unable to contact",
    "unable to connect",
    "connection timed out",
    "connect failure",
    "connection refused",
    "socket timed out",
    "zero bytes were transmitted",
    "missing socket",
    "connection reset",
    "broken pipe",
    "message send failure",
    "message receive failure",
    "shutdown failure",
];

/// What one of Slurm's programs prints, asked again while its controller is away.
///
/// # Errors
/// As [`answer`], in the end.
pub fn patiently(program: &str, words: &[String]) -> Result<String> {
    let (tries, pause) = AWAY;
    for _ in 1..tries {
        match answer(program, words, b"") {
            Err(error) if error.is::<Silent>() => std::thread::sleep(pause),
            answered => return answered,
        }
    }
    answer(program, words, b"")
}

/// Whether it is the controller that can't be reached.
fn is_away(said: &str) -> bool {
    let said = said.to_lowercase();
    NO_ANSWER.iter().any(|words| said.contains(words))
}

/// Whether Slurm's programs get a variable: not what a user filters or formats lists by, nor the
/// options of a job in which this was typed, nor what makes another job of one, nor another job's node.
fn is_ours(variable: &str) -> bool {
    let is_of_lists = ["SQUEUE_", "SINFO_"].iter().any(|start| variable.starts_with(start));
    let is_of_job =
        variable.starts_with("SLURM_") && !["SLURM_CONF", "SLURM_JWT"].contains(&variable);
    let others = ["SBATCH_EXCLUSIVE", "SBATCH_ARRAY_INX", "SBATCH_WAIT", NODE_VARIABLE];
    let is_other = others.contains(&variable);
    !is_of_lists && !is_of_job && !is_other
}

/// What one of Slurm's programs prints, which is given `input`.
///
/// # Errors
/// What it says where it fails; [`Silent`] where it does not answer.
pub fn answer(program: &str, words: &[String], input: &[u8]) -> Result<String> {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", PATIENCE_S, program]).args(words);
    let inherited = std::env::vars_os().map(|(name, _)| name);
    inherited.filter(|name| !is_ours(&name.to_string_lossy())).for_each(|name| {
        command.env_remove(name);
    });
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn().with_context(|| format!("starting {program}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(input);
    }
    let output = child.wait_with_output().with_context(|| program.to_owned())?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let (said, program) = (said.join("; "), program.to_owned());
    match output.status.code() {
        Some(124 | 137) => {
            let why = format!("no answer within {PATIENCE_S} s");
            Err(Silent { program, why }.into())
        }
        Some(127) => bail!("{program}: not found: type this on a host of Slurm's"),
        _ if is_away(&said) => Err(Silent { program, why: said }.into()),
        _ => bail!("{program}: {said}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_for_another_job_does_not_reach_slurm() {
        let ours = ["PATH", "SLURM_CONF", "SBATCH_PARTITION", "WAN22_WORKER"];
        assert!(ours.into_iter().all(is_ours));
        let others = ["SLURM_JOB_ID", "SQUEUE_FORMAT", "SBATCH_WAIT", "WAN22_FLEET_NODE"];
        assert!(!others.into_iter().any(is_ours));
    }

    /// As Slurm 22.05 said it to a fleet whose controller was killed in mid-answer, and to a typing error.
    #[test]
    fn a_controller_that_dies_in_mid_answer_is_away() {
        assert!(is_away("slurm_load_partitions error: Unexpected missing socket error"));
        assert!(!is_away("invalid partition specified: debg"));
    }
}
