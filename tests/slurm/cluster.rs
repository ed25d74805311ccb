//! Cluster: a Slurm of several nodes on this host, which ends with its value.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/slurm/cluster.sh");

/// The job of [`Cluster::fleet`]: the search finds 3 blocks.
pub const JOB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/slurm/job.sh");

/// The flags of a tune of [`JOB`], whose whole space is nine candidates.
pub const TUNE: [&str; 6] =
    ["--no-built-in", "--knob", "blocks=0..8", "--strategy", "random", "--cold"];

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(180);

/// A Slurm of several nodes.
pub struct Cluster {
    root: TempDir,
}

impl Cluster {
    /// Starts one of nodes `n1`, `n2`, …
    pub fn up(nodes: usize, tracked: &str) -> Self {
        let root = tempfile::Builder::new().prefix("wan22-slurm-").tempdir().unwrap();
        let cluster = Self { root };
        let up = cluster.script("up", &[&nodes.to_string(), tracked]);
        assert!(up.status.success(), "{}", said(&up));
        let idle = cluster.slurm("sinfo", &["-h", "-N", "-p", "tune", "-t", "idle"]);
        assert_eq!(idle.lines().count(), nodes, "{idle}\n{}", said(&up));
        cluster
    }

    fn folder(&self) -> PathBuf {
        self.root.path().join("slurm")
    }

    fn script(&self, verb: &str, words: &[&str]) -> Output {
        let mut command = Command::new(SCRIPT);
        let command = command.arg(verb).arg(self.folder()).args(words).stdin(Stdio::null());
        command.output().unwrap()
    }

    /// Where tests keep their files.
    pub fn path(&self) -> &Path {
        self.root.path()
    }

    /// A program that finds this cluster.
    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        command.env("SLURM_CONF", self.folder().join("slurm.conf")).current_dir(self.path());
        command.env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"));
        command.stdin(Stdio::null());
        command
    }

    /// What one of Slurm's programs prints.
    pub fn slurm(&self, name: &str, words: &[&str]) -> String {
        let output = self.program(name).args(words).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// `wan22-tune`.
    pub fn tuner(&self, words: &[&str]) -> Command {
        let mut command = self.program(env!("CARGO_BIN_EXE_wan22-tune"));
        command.args(words);
        command
    }

    /// A fleet of these nodes, each of which is tuned.
    pub fn fleet(&self, dir: &str, words: &[&str]) -> Command {
        let mut command =
            self.tuner(&["fleet", dir, "--each=node", "--poll=0.5", "--partition=tune"]);
        // A node that is held must not hold the suite.
        let has_patience = words.iter().any(|word| word.starts_with("--patience"));
        command.args((!has_patience).then_some("--patience=60s"));
        command.args(words).args(TUNE).args(["--", JOB, "{blocks=8}"]);
        command
    }

    /// A program in the namespaces of a node.
    pub fn on(&self, node: usize, words: &[&str]) -> Command {
        let pid = self.slurmd(node).to_string();
        let mut command = self.program("nsenter");
        let folder = format!("--wd={}", self.path().display());
        command.args(["--mount", "--uts", &folder, "--target", &pid, "--"]).args(words);
        command
    }

    fn slurmd(&self, node: usize) -> u32 {
        let file = self.folder().join(format!("slurmd.n{node}.pid"));
        fs::read_to_string(file).unwrap().trim().parse().unwrap()
    }

    /// Ends whatever runs on a node, as a loss of power does.
    pub fn kill_node(&self, node: usize) {
        let space = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
        let its = space(&self.slurmd(node).to_string());
        assert!(its.is_some());
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let pid = entry.file_name().to_string_lossy().into_owned();
            if pid.bytes().all(|byte| byte.is_ascii_digit()) && space(&pid) == its {
                let _ = Command::new("kill").args(["-KILL", &pid]).status();
            }
        }
    }

    /// Starts a node again.
    pub fn start_node(&self, node: usize) {
        assert!(self.script("node", &[&node.to_string()]).status.success());
    }

    /// Ends the controller.
    pub fn kill_controller(&self) {
        let pid = fs::read_to_string(self.folder().join("ctld.pid")).unwrap();
        assert!(Command::new("kill").args(["-KILL", pid.trim()]).status().unwrap().success());
    }

    /// Starts the controller again, with what it knew.
    pub fn start_controller(&self) {
        let conf = self.folder().join("slurm.conf");
        assert!(self.program("slurmctld").arg("-f").arg(conf).status().unwrap().success());
    }

    /// The number of a node's job that runs.
    pub fn job_on(&self, node: &str) -> Option<String> {
        let jobs = self.slurm("squeue", &["-h", "-t", "running", "-w", node, "-o", "%i"]);
        jobs.lines().next().map(|id| id.trim().to_owned())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.slurm("scancel", &["--user=root", "--full", "--signal=KILL"]);
        self.script("down", &[]);
        // Whoever is left in a node's namespaces.
        let nodes = fs::read_dir(self.folder()).into_iter().flatten().flatten();
        let pids =
            nodes.filter(|entry| entry.file_name().to_string_lossy().starts_with("slurmd.n"));
        for pid in pids.filter_map(|entry| fs::read_to_string(entry.path()).ok()) {
            let _ = Command::new("kill").args(["-KILL", pid.trim()]).stderr(Stdio::null()).status();
        }
    }
}

/// A program that runs, and is ended with its value.
pub struct Running(pub Option<Child>);

impl Running {
    /// Starts it.
    pub fn start(mut command: Command) -> Self {
        let pipes = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(Some(pipes.spawn().unwrap()))
    }

    /// Waits for its end.
    pub fn end(mut self) -> Output {
        self.0.take().unwrap().wait_with_output().unwrap()
    }

    /// Sends it a signal.
    pub fn tell(&self, signal: &str) {
        let id = self.0.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &id]).status().unwrap().success());
    }

    /// Ends it at once.
    pub fn kill(mut self) {
        let mut child = self.0.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What a program said.
pub fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n{}{}", output.status, text(&output.stdout), text(&output.stderr))
}

/// Waits for something to be found.
pub fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < end, "{what} within {} s", PATIENCE.as_secs());
        sleep(Duration::from_millis(100));
    }
}

/// The rows of a node's journal; of an only tune.
pub fn journal(fleet: &Path, node: &str) -> Option<String> {
    let results = fs::read_dir(fleet.join("nodes").join(node).join("results")).ok()?;
    let folders: Vec<PathBuf> = results.flatten().map(|entry| entry.path()).collect();
    assert!(folders.len() <= 1, "{node} began twice: {folders:?}");
    fs::read_to_string(folders.first()?.join("trials.csv")).ok()
}

/// How many trials a journal has.
pub fn trials(journal: &str) -> usize {
    journal.lines().count().saturating_sub(1)
}
