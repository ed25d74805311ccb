//! Batch jobs that run the tuner, and what they leave.

use std::fs;
use std::path::PathBuf;

use wan22_tune::results::{Folder, Results};

use crate::cluster::{Cluster, until};

/// The tuner.
pub const TUNER: &str = env!("CARGO_BIN_EXE_wan22-tune");

/// Submits a job that has these nodes to itself and runs the tuner with these words of a shell; its
/// number.
pub fn submit(cluster: &Cluster, nodes: &[usize], words: &str) -> String {
    let names: Vec<String> = nodes.iter().map(|node| format!("n{node}")).collect();
    let place = [format!("--nodes={}", nodes.len()), format!("--nodelist={}", names.join(","))];
    let wrapped = format!("--wrap=exec {TUNER} {words}");
    let mut sbatch = cluster.program("sbatch");
    sbatch.args(["--parsable", "--exclusive", "--no-requeue", "--no-kill", "--output=job-%j.log"]);
    let done = sbatch.args(place).arg(wrapped).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{said}");
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}

fn state(cluster: &Cluster, job: &str) -> String {
    // Nothing where the controller does not answer.
    cluster.slurm("squeue", &["-h", "-t", "all", "-j", job, "-o", "%T"]).trim().to_owned()
}

/// Whether the job is over, and its nodes are free.
pub fn is_over(cluster: &Cluster, job: &str) -> bool {
    let state = state(cluster, job);
    !state.is_empty() && !["PENDING", "RUNNING", "COMPLETING"].contains(&&*state)
}

/// Waits until the job runs.
pub fn begun(cluster: &Cluster, job: &str) {
    until("a job begins", || (state(cluster, job) != "PENDING").then_some(()));
}

/// Waits until the job is over.
pub fn ended(cluster: &Cluster, job: &str) {
    until("a job ends", || is_over(cluster, job).then_some(()));
}

/// The results of a tune that writes below `name`, once there are any.
pub fn folder(cluster: &Cluster, name: &str) -> Option<Folder> {
    let folders = fs::read_dir(cluster.path().join(name)).ok()?;
    let mut paths = folders.flatten().map(|entry| entry.path());
    paths.find(|path: &PathBuf| path.join("trials.csv").exists()).map(Folder::new)
}

/// The rows of a journal that are whole.
pub fn rows(folder: &Folder) -> String {
    let text = fs::read_to_string(folder.journal()).unwrap_or_default();
    text[..text.rfind('\n').map_or(0, |end| end + 1)].to_owned()
}

/// What was read back; nothing where a row can't be read, or one is missing between others.
pub fn whole(folder: &Folder) -> Option<Results> {
    let results = Results::open(folder).ok()?;
    let numbers = results.trials.iter().map(|trial| trial.number);
    let is_whole = results.lost.is_empty() && numbers.eq(1..=results.trials.len() as u64);
    is_whole.then_some(results)
}

/// What the program said, for those who look for a cause.
pub fn log(cluster: &Cluster, job: &str) -> String {
    fs::read_to_string(cluster.path().join(format!("job-{job}.log"))).unwrap_or_default()
}
