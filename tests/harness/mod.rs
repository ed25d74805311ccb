//! A temporary results folder and the real tuner, with the fake worker behind it.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use wan22_tune::results::{Folder, Results};

/// What a program left behind.
pub struct Run {
    pub status: Option<i32>,
    #[allow(dead_code, reason = "not every test reads it")]
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    fn of(output: std::process::Output) -> Self {
        Self {
            status: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The same, which has to have ended with this status.
    #[allow(dead_code, reason = "not every test needs it")]
    #[track_caller]
    pub fn exits(self, status: i32) -> Self {
        assert_eq!(self.status, Some(status), "{}{}", self.stdout, self.stderr);
        self
    }
}

pub struct World {
    root: tempfile::TempDir,
}

/// A command being put together.
pub struct Tuner(pub Command);

impl World {
    pub fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap() }
    }

    /// `wan22-tune` with these arguments.
    #[allow(dead_code, reason = "not every test needs it")]
    pub fn tuner(&self, args: &[&str]) -> Tuner {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wan22-tune"));
        command.args(args).current_dir(self.root.path());
        // Tests run side by side, and nothing that is kept at home counts.
        command.env("WAN22_LOCK_DIR", self.root.path());
        command.env("XDG_DATA_HOME", self.root.path().join("data"));
        command.env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"));
        Tuner(command)
    }

    /// A tune with the fake worker, of several clips, so that batches differ, from nothing: what it starts
    /// from by itself depends on the machine.
    #[allow(dead_code, reason = "not every test needs it")]
    pub fn tune(&self, args: &[&str]) -> Tuner {
        let several = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/harness/several_clips.toml");
        let is_tune = args.first().is_none_or(|first| first.starts_with("--"));
        let is_said = args.iter().any(|arg| ["--workload", "--"].contains(arg));
        let workload: &[&str] = if is_tune && !is_said { &["--workload", several] } else { &[] };
        let cold: &[&str] = if is_tune && !args.contains(&"--cold") { &["--cold"] } else { &[] };
        let mut tuner = self.tuner(&[cold, workload, args].concat());
        tuner.0.env("WAN22_WORKER", fake_worker());
        tuner
    }

    /// The only results folder.
    #[allow(dead_code, reason = "not every test needs it")]
    pub fn folder(&self) -> PathBuf {
        let results = std::fs::read_dir(self.root.path().join("results")).unwrap();
        let folders: Vec<PathBuf> = results.map(|entry| entry.unwrap().path()).collect();
        assert_eq!(folders.len(), 1, "{folders:?}");
        folders[0].clone()
    }

    #[allow(dead_code, reason = "not every test needs it")]
    pub fn results(&self) -> Results {
        Results::open(&Folder::new(self.folder())).unwrap()
    }

    #[allow(dead_code, reason = "not every test needs it")]
    pub fn path(&self) -> &std::path::Path {
        self.root.path()
    }

    /// A world with a job called `job.sh`, as [`World::script`] writes it.
    #[allow(dead_code, reason = "not every test needs it")]
    pub fn with_job(text: &str) -> Self {
        let world = Self::new();
        world.script("job.sh", text);
        world
    }

    /// Writes a program in the shell's words. Another process does that: one that another test starts just now
    /// would have a file that this one writes to open as well, and what is written to can't be started.
    #[allow(dead_code, reason = "not every test needs it")]
    pub fn script(&self, name: &str, text: &str) {
        let begin = if text.starts_with("#!") { "" } else { "#!/bin/sh\n" };
        let write = ["-c", "printf '%s\\n' \"$1\" >\"$0\" && chmod 755 \"$0\"", name];
        let mut sh = Command::new("sh");
        sh.args(write).arg(format!("{begin}{text}")).current_dir(self.path());
        assert!(sh.status().unwrap().success());
    }

    /// Whether the journal of the tune under way has this many trials.
    #[allow(dead_code, reason = "not every test needs it")]
    pub fn has_trials(&self, trials: usize) -> bool {
        let Ok(mut folders) = std::fs::read_dir(self.root.path().join("results")) else {
            return false;
        };
        let Some(Ok(folder)) = folders.next() else { return false };
        let journal = std::fs::read_to_string(folder.path().join("trials.csv"));
        journal.unwrap_or_default().lines().count() > trials
    }
}

/// A tuner that runs.
pub struct Running(Child);

#[allow(dead_code, reason = "not every test needs it")]
impl Running {
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Waits until its journal has this many trials, or it has ended.
    pub fn wait_for_trials(&mut self, world: &World, trials: usize) {
        for _ in 0..6000 {
            std::thread::sleep(std::time::Duration::from_millis(100));
            if self.0.try_wait().unwrap().is_some() || world.has_trials(trials) {
                return;
            }
        }
        panic!("no {trials} trials within ten minutes");
    }

    /// Asks it to finish with what it has; one that has ended by itself can't be asked.
    pub fn interrupt(&self) {
        let _ = Command::new("kill").args(["-INT", &self.id().to_string()]).status().unwrap();
    }

    pub fn end(self) -> Run {
        Run::of(self.0.wait_with_output().unwrap())
    }

    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[allow(dead_code, reason = "not every test needs it")]
impl World {
    /// Whether the note of the trial under way has this text.
    pub fn is_running(&self, text: &str) -> bool {
        let note = self.folder().join(".running.json");
        std::fs::read_to_string(note).is_ok_and(|note| note.contains(text))
    }
}

#[allow(dead_code, reason = "not every test needs it")]
impl Tuner {
    pub fn start(mut self) -> Running {
        let pipes = self.0.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Running(pipes.spawn().unwrap())
    }

    /// Runs until this many trials are in the journal, then kills it.
    pub fn kill_after(self, world: &World, trials: usize) {
        let mut running = self.start();
        running.wait_for_trials(world, trials);
        running.kill();
    }

    /// Runs until the journal and the note of the trial under way are as wanted, then kills it.
    pub fn kill_in(self, world: &World, wanted: impl Fn(&[wan22_tune::trial::Trial]) -> bool) {
        let mut running = self.start();
        running.wait_for_trials(world, 1);
        for _ in 0..60_000 {
            if wanted(&world.results().trials) {
                return running.kill();
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("it never came to that");
    }
}

impl Tuner {
    /// Runs until this many trials are in the journal, then asks it to finish with what it has.
    #[allow(dead_code, reason = "not every test needs it")]
    pub fn run_until(self, world: &World, trials: usize) -> Run {
        let mut running = self.start();
        running.wait_for_trials(world, trials);
        running.interrupt();
        running.end()
    }

    #[allow(dead_code, reason = "not every test needs it")]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.0.env(name, value);
        self
    }

    #[allow(dead_code, reason = "not every test needs it")]
    pub fn run_in(mut self, folder: &std::path::Path) -> Run {
        self.0.current_dir(folder);
        self.run()
    }

    #[allow(dead_code, reason = "not every test needs it")]
    pub fn run(mut self) -> Run {
        Run::of(self.0.stdin(Stdio::null()).output().unwrap())
    }
}

/// Cargo builds examples beside the tests' own programs.
pub fn fake_worker() -> PathBuf {
    let tuner = PathBuf::from(env!("CARGO_BIN_EXE_wan22-tune"));
    let worker = tuner.with_file_name("examples").join("fake-worker");
    assert!(worker.is_file(), "{}: run `cargo test` without --test once", worker.display());
    worker
}
