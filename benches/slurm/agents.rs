//! Agents: what a search over many of them costs its tuner, all on this machine.

use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use wan22_tune::results::Folder;

use crate::batch::{self, TUNER};
use crate::cpu;
use crate::setting::setting;
use crate::truth::{Truth, tables};

/// How many times as long a run takes as in the other benches: 1.3 s at best, 3.4 s in the middle.
const LONGER: f64 = 10.0;

pub fn print() -> Result<()> {
    let (nodes, budget) = (setting("NODES", 64)?, setting("BUDGET", "5m".to_owned())?);
    let root = tempfile::tempdir()?;
    let (truth, tables) = (Truth::pipeline(), tables(root.path()));
    let host = fs::read_to_string("/proc/sys/kernel/hostname")?;
    truth.write(&tables, host.trim(), LONGER)?;
    let flags =
        [format!("--budget={budget}"), format!("--nodes={nodes}"), "--launcher=".to_owned()];
    let mut tuner = Command::new(TUNER);
    tuner.args(flags).arg("--quiet").args(truth.words(&tables)).current_dir(root.path());
    tuner.env("WAN22_LOCK_DIR", root.path()).env("XDG_CACHE_HOME", root.path());
    let (started, mut child) = (Instant::now(), tuner.stdin(Stdio::null()).spawn()?);
    let (mut own_s, pid) = (0.0, child.id().to_string());
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        // One that has ended says nothing any more.
        own_s = cpu::seconds(&pid).map_or(own_s, |[now_s, _]| now_s.max(own_s));
        sleep(Duration::from_millis(100));
    };
    ensure!(status.success(), "{status}");
    let wall_s = started.elapsed().as_secs_f64();
    let results = fs::read_dir(root.path().join("results"))?.next().context("no results")??;
    let results = batch::whole(&Folder::new(results.path())).context("its journal is not whole")?;
    let trials = results.trials.len();
    println!(
        "{nodes} agents, {budget}: {trials} trials in {wall_s:.0} s; their tuner took {own_s:.1} s of CPU, \
         {:.1} ms per trial: {:.2}% of a CPU",
        1000.0 * own_s / trials as f64,
        100.0 * own_s / wall_s
    );
    Ok(())
}
