//! What every guest has to pass.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use wan22_tune::architecture::Architecture;
use wan22_tune::knobs::memory::MemoryMode;
use wan22_tune::knobs::placement::{Layout, PoolSizes};
use wan22_tune::knobs::{Baseline, Knobs, Preset, Value};
use wan22_tune::launch::proven;
use wan22_tune::machine::Machine;
use wan22_tune::runner::programs::Programs;
use wan22_tune::runner::{LocalRunner, Repetitions, Runner, TrialRequest};
use wan22_tune::trial::{Outcome, Trial};
use wan22_tune::workload::{Workload, WorkloadFile};

const SEVERAL_CLIPS: &str = include_str!("../harness/several_clips.toml");

/// Starts a trial in every layout with every memory mode that this machine is said to have, and
/// wants each to be read back as asked. Says how many there were.
pub fn every_setting_holds() -> usize {
    let scratch = tempfile::tempdir().unwrap();
    let workload = WorkloadFile::parse(SEVERAL_CLIPS).unwrap().size(0);
    let runner = runner(scratch.path().to_owned(), workload.model.architecture());
    let mut trials = 0;
    for knobs in settings(&runner.machine, &runner.baseline.knobs) {
        let trial = trial(&runner, &workload, &knobs);
        let words = format!("layout {}, memory mode {}", knobs.affinity, knobs.memory_mode);
        assert_eq!(trial.outcome, Outcome::Ok, "{words}: {}", trial.detail);
        println!("{words}: as asked, in {:.1} s", trial.wall_s);
        trials += 1;
    }
    trials
}

/// Trials of a worker and of a command that take memory until somebody stops them. The tuner does
/// not: it is told that there is more than the machine has.
pub fn trials_of_devourers() -> [Trial; 2] {
    let scratch = tempfile::tempdir().unwrap();
    let workload = WorkloadFile::parse(SEVERAL_CLIPS).unwrap().size(0);
    let mut runner = runner(scratch.path().to_owned(), workload.model.architecture());
    let knobs = runner.baseline.knobs.clone();
    // `tail` keeps a line until it has seen its end.
    runner.programs.worker = scratch.path().join("devourer");
    fs::write(&runner.programs.worker, "#!/bin/sh\nexec tail /dev/zero\n").unwrap();
    fs::set_permissions(&runner.programs.worker, fs::Permissions::from_mode(0o755)).unwrap();
    let of_worker = trial(&runner, &workload, &knobs);
    let command = r#"{"command": {"words": ["tail", "/dev/zero"], "folder": "/",
                                  "profile_env": "WAN22_PROFILE", "warmup": 0}}"#;
    runner.custom_job = Some(serde_json::from_str(command).unwrap());
    [of_worker, trial(&runner, &workload, &knobs)]
}

fn trial(runner: &LocalRunner, workload: &Workload, knobs: &Knobs) -> Trial {
    let once = Repetitions::exactly(1);
    let limit = Duration::from_secs(60);
    runner.run(&TrialRequest::alone(workload.clone(), knobs.values(), once, limit)).unwrap()
}

/// What the tuner prints and what it warns of.
pub fn tuner(arguments: &[&str]) -> (String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_wan22-tune")).args(arguments).output().unwrap();
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(output.status.success(), "{stderr}");
    (stdout, stderr)
}

fn runner(scratch: PathBuf, parts: Architecture) -> LocalRunner {
    let machine = proven(Machine::detect().unwrap());
    let baseline = Baseline::fit(Preset::Threadripper5995wx, &machine);
    let tuner = PathBuf::from(env!("CARGO_BIN_EXE_wan22-tune"));
    let worker = tuner.with_file_name("examples").join("touching-worker");
    LocalRunner {
        programs: Programs { tuner, worker },
        custom_job: None,
        parts,
        weights: None,
        // What the models would need: the stand-in has none.
        memory_bytes: 1 << 40,
        device_bytes: None,
        images: Vec::new(),
        scratch,
        stop: Default::default(),
        machine,
        baseline,
    }
}

/// The baseline in each layout and memory mode; the model on a third of the CPUs, so that spread
/// and compact layouts differ and partitions have room.
fn settings(machine: &Machine, baseline: &Knobs) -> Vec<Knobs> {
    let model = (machine.thread_limit() / 3).max(1);
    let demand = PoolSizes {
        model,
        io: baseline.io_workers,
        preprocess: baseline.preprocess_workers,
        batch: baseline.batch_workers,
    };
    let word = |word: &str| Value::Word(word.to_owned());
    let mut settings = Vec::new();
    for (layout, _) in Layout::distinct(machine, demand) {
        for mode in MemoryMode::of(machine) {
            let values = [
                ("intra_op_threads", Value::Integer(model as i64)),
                ("affinity", word(layout.into())),
                ("memory_mode", word(mode.into())),
            ];
            let knobs = baseline.with(values.iter().map(|(name, value)| (*name, value))).unwrap();
            // Some modes exist on some layouts only.
            settings.extend(knobs.resolve(machine).is_ok().then_some(knobs));
        }
    }
    settings
}
