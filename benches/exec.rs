//! What `wan22-tune exec` costs over starting the command plainly: `cargo bench --bench exec`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints for those who run it")]

use std::process::Command;
use std::time::{Duration, Instant};

use wan22_tune::knobs::{Baseline, Preset};
use wan22_tune::machine::Machine;
use wan22_tune::profile::Profile;
use wan22_tune::stats;

const STARTS: usize = 100;

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("profile.json");
    let machine = Machine::detect().expect("this machine");
    let baseline = Baseline::fit(Preset::detect(&machine), &machine);
    let now = jiff::Timestamp::now().to_string();
    let profile = Profile::new(&machine, &baseline, &baseline.knobs, now).expect("its baseline");
    profile.write(&file).expect("a profile");
    let (mut plain, mut launched) = (Vec::new(), Vec::new());
    // In turn, so that a neighbour's noise hits both.
    for _ in 0..STARTS {
        plain.push(time(&mut Command::new("/bin/true")));
        let mut exec = Command::new(env!("CARGO_BIN_EXE_wan22-tune"));
        exec.args(["exec", "--quiet", "--profile"]).arg(&file).args(["--", "/bin/true"]);
        launched.push(time(&mut exec));
    }
    let median = |times: &[Duration]| {
        let seconds: Vec<f64> = times.iter().map(Duration::as_secs_f64).collect();
        stats::median(&seconds).expect("there were starts") * 1000.0
    };
    let (plain, launched) = (median(&plain), median(&launched));
    println!(
        "plain {plain:.2} ms, exec {launched:.2} ms: {:.2} ms more, median of {STARTS}",
        launched - plain
    );
}

fn time(command: &mut Command) -> Duration {
    let start = Instant::now();
    assert!(command.status().expect("it starts").success());
    start.elapsed()
}
