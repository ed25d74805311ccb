//! `resume`: goes on with a tune that was cut short, or gives it more time.

use std::fs;
use std::io::{BufRead, IsTerminal};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::Prepared;
use crate::cli::{Cli, ResumeArgs, TuneArgs};
use crate::cmd::setup::custom;
use crate::cmd::{Usage, terminal, tune};
use crate::knobs::as_is;
use crate::machine::{Gpu, Machine};
use crate::results::{Folder, Results, owners};
use crate::space::{Resumed, Tune};
use crate::trial::journal::Journal;
use crate::tune::budget::Budget;
use crate::tune::in_flight;

/// Goes on with the same search: same flags, seed and journal.
///
/// # Errors
/// What differs from the tune that was cut short, or no time is left.
pub fn run(args: &ResumeArgs) -> Result<()> {
    let folder = Folder::new(&args.dir);
    let mut results = Results::open(&folder).context(if folder.journal().exists() {
        "this tune can't go on"
    } else {
        "not a tune that can go on: one that was cut before its first trial starts anew"
    })?;
    let mut flags = flags(&results)?;
    results.lost.iter().for_each(|lost| terminal::tell(&format!("warning: trials.csv: {lost}")));
    if let Some(others) = owners::others(&folder).filter(|_| !args.trust) {
        agree(&results, &flags, &others)?;
    }
    flags.repetitions = results.tune.repetitions;
    flags.runner.wait |= args.wait;
    flags.view = args.view;
    flags.trials = args.trials.or(flags.trials);
    let sources = super::sources::again(&flags.warm_start, &folder);
    let flags = custom::suit(&flags.at(results.tune.custom_job.as_ref()))?;
    let tool = &results.tune.tool;
    same("tool", &Value::from(tool.as_str()), &Value::from(crate::TOOL))?;
    let mut prepared = Prepared::new(&flags, results.tune.arguments.clone(), sources)?;
    as_before(&mut prepared, &results.tune);
    prepared.ask(&flags)?;
    compare(&results, &flags, &prepared)?;
    sweep(&folder)?;
    let knobs = prepared.runner.baseline.knobs.values();
    let repetitions = flags.repetitions().most as usize;
    let (mut journal, mut trials) = Journal::reopen(&folder.journal(), &knobs, repetitions)?;
    let died = in_flight::take(&folder, &trials, journal.next_number())?;
    died.iter().try_for_each(|trial| journal.append(trial))?;
    if died.iter().any(|trial| !trial.node.is_empty()) {
        // Of trials that ran side by side rows were missing between others.
        (journal, trials) = Journal::reopen(&folder.journal(), &knobs, repetitions)?;
    } else {
        trials.extend(died);
    }
    results.trials.clone_from(&trials);
    let budget = budget(&mut results, args.budget, prepared.asked)?;
    tune::write_space(&folder, &results.space, &results.workload, &results.tune)?;
    tune::carry_on(&flags, prepared, budget, &folder, results.tune, (journal, trials))
}

/// The flags of the tune's own command line.
fn flags(results: &Results) -> Result<TuneArgs> {
    let words = &results.tune.arguments;
    if words.is_empty() {
        bail!("space.toml: tune.arguments is missing: a version that could not go on made it");
    }
    Ok(Cli::read(words).context("space.toml: tune.arguments")?.tune)
}

/// Asks whether to run what a folder says that `others` may have written.
///
/// # Errors
/// [`Usage`] where nobody can be asked, or the answer is no.
fn agree(results: &Results, flags: &TuneArgs, others: &str) -> Result<()> {
    let command = results.tune.arguments.join(" ");
    let worker = flags.runner.worker.as_ref().and_then(Option::as_ref);
    let worker =
        worker.map_or(String::new(), |path| format!(", with the worker {}", path.display()));
    let own = results
        .tune
        .custom_job
        .as_ref()
        .map_or(String::new(), |own| format!(" ({})", own.describe()));
    let what = format!("{others}; going on would run `wan22-tune {command}`{own}{worker}");
    let usage = |why: &str| Usage(format!("{what}: {why}"));
    if !std::io::stdin().is_terminal() {
        return Err(usage("read it and say --trust, or make the folder yours alone").into());
    }
    terminal::tell(&format!("{what}. Run it? [y/N]"));
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    let is_yes = ["y", "yes"].contains(&answer.trim().to_lowercase().as_str());
    if is_yes { Ok(()) } else { Err(usage("not run").into()) }
}

/// Leaves to the program what the tune left to it: an earlier version chose a value of every knob that
/// only a program can apply.
fn as_before(prepared: &mut Prepared, tune: &Tune) {
    if tune.as_is.is_some() && tune.program_as_is.is_empty() && prepared.agents.is_none() {
        let outside = as_is::all();
        prepared.runner.baseline = prepared.runner.baseline.clone().with(|baseline| {
            baseline.as_is.retain(|name| outside.contains(name));
        });
    }
}

/// The budget to go on with, of which asking a worker took `asked`; noted in `results.tune`.
fn budget(results: &mut Results, more: Option<Duration>, asked: Duration) -> Result<Budget> {
    let spending = results.spending()?;
    let started = jiff::Timestamp::now().to_string();
    let spent_s = results.spent_s()?;
    let budget = match more {
        Some(more) => {
            results.tune.budget_s = spent_s + more.as_secs_f64();
            Budget::start(more).after(asked)
        }
        None => Budget::start(spending.budget).after(spending.spent + asked),
    };
    if budget.left().is_zero() {
        let cure = "give it more time, such as --budget 30m";
        bail!(Usage(format!("its budget is spent ({spent_s:.0} s): {cure}")));
    }
    let budget_s = more.map(|more| more.as_secs_f64());
    results.tune.resumed.push(Resumed { started, budget_s, spent_s: Some(spent_s) });
    (results.tune.ended, results.tune.trials) = (None, None);
    Ok(budget)
}

/// Takes away the folders of trials that died with their tuner, but for their notes.
fn sweep(folder: &Folder) -> Result<()> {
    for entry in fs::read_dir(folder.path()).with_context(|| folder.path().display().to_string())? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(crate::cmd::setup::runner::SCRATCH) {
            fs::remove_dir_all(entry.path()).with_context(|| entry.path().display().to_string())?;
        }
    }
    Ok(())
}

/// Refuses to go on where anything that decides what a trial measures has changed.
fn compare(results: &Results, flags: &TuneArgs, now: &Prepared) -> Result<()> {
    match now.agents {
        None => machine(&results.machine, &now.runner.machine)?,
        // Any nodes of the class will do.
        Some(_) => {
            let class = |machine: &Machine| Value::from(machine.class());
            same("the nodes' class", &class(&results.machine), &class(&now.runner.machine))?;
        }
    }
    let then = versions(results.tune.worker.clone());
    for ((field, then), (_, now)) in then.iter().zip(versions(now.worker())) {
        same(field, then, &now)?;
    }
    let Results { workload, tune, .. } = results;
    if let Some(then) = &tune.as_is {
        same("tune.as_is", &json(then), &json(&as_is::environment()))?;
    }
    let left = as_is::of_program(&now.runner.baseline.knobs.as_is);
    same("tune.program_as_is", &json(&tune.program_as_is), &json(&left))?;
    same("own", &json(&tune.custom_job), &json(&now.runner.custom_job))?;
    same("workload", &json(&tune.full), &json(&now.job.full()))?;
    let sizes = now.job.sizes();
    if !sizes.contains(workload) {
        let sizes: Vec<String> = sizes.iter().map(ToString::to_string).collect();
        bail!("workload differs: the tune ran {workload}, the job now has {}", sizes.join(", "));
    }
    let (space, _) = now.space(flags, workload)?;
    same("space", &json(&results.space.to_file()), &json(&space.to_file()))
}

/// The worker's version and its libtorch's, as [`Prepared::worker`] has both.
fn versions(worker: Option<String>) -> [(&'static str, Value); 2] {
    let worker = worker.unwrap_or_default();
    let (tool, libtorch) = worker.split_once(", libtorch ").unwrap_or((&worker, ""));
    [("worker", tool.into()), ("libtorch", libtorch.into())]
}

/// What of a machine decides which settings are fast and which can be had: not kernels and notes,
/// which change without changing that. The host's name tells clones of one image apart.
fn machine(then: &Machine, now: &Machine) -> Result<()> {
    const DECIDING: [&str; 9] =
        ["host_key", "host", "cpu", "packages", "l3_groups", "cores", "allowed", "limits", "gpus"];
    let (old, new) = (json(&without_addresses(then)), json(&without_addresses(now)));
    for field in DECIDING {
        same(&format!("machine.{field}"), &old[field], &new[field])?;
    }
    if then.fingerprint() != now.fingerprint() {
        same("machine.memory_bytes", &old["memory_bytes"], &new["memory_bytes"])?;
        same("machine.nodes", &old["nodes"], &new["nodes"])?;
    }
    Ok(())
}

/// A machine without what older versions did not know of its GPUs, and what any equal one may have.
fn without_addresses(machine: &Machine) -> Machine {
    let gpu =
        |gpu: &Gpu| Gpu { uuid: String::new(), pci: String::new(), numa_node: None, ..gpu.clone() };
    Machine { gpus: machine.gpus.iter().map(gpu).collect(), ..machine.clone() }
}

fn json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).expect("plain data")
}

/// Refuses two values that differ, with the path of the first difference.
fn same(path: &str, then: &Value, now: &Value) -> Result<()> {
    let Some((path, then, now)) = difference(path, then, now) else { return Ok(()) };
    bail!(
        "{path} differs: the tune ran with {then}, now it is {now}; what was measured under the one \
         says nothing of the other, so start a new tune"
    )
}

/// The first place where two values differ.
fn difference(path: &str, then: &Value, now: &Value) -> Option<(String, String, String)> {
    let inner = |key: &str, then: Option<&Value>, now: Option<&Value>| {
        let null = Value::Null;
        difference(&format!("{path}.{key}"), then.unwrap_or(&null), now.unwrap_or(&null))
    };
    match (then, now) {
        (Value::Object(old), Value::Object(new)) => {
            let keys = old.keys().chain(new.keys());
            keys.into_iter().find_map(|key| inner(key, old.get(key), new.get(key)))
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            let pairs = old.iter().zip(new).enumerate();
            pairs.into_iter().find_map(|(i, (a, b))| inner(&i.to_string(), Some(a), Some(b)))
        }
        _ => (then != now).then(|| (path.to_owned(), then.to_string(), now.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn another_gpu_of_the_same_kind_is_as_good() {
        let with = |gpu: Gpu| {
            let machine = Machine::synthetic("package:1 [numa(memory=8GB)] core:2 pu:1");
            Machine { gpus: vec![gpu], ..machine }
        };
        let of = |model: &str| Gpu { model: model.to_owned(), ..Gpu::default() };
        let now = with(Gpu { uuid: "GPU-a".to_owned(), numa_node: Some(1), ..of("L4") });
        assert!(machine(&with(of("L4")), &now).is_ok());
        let refused = machine(&with(of("T4")), &now).unwrap_err().to_string();
        assert!(refused.starts_with("machine.gpus.0.model differs"), "{refused}");
    }

    #[test]
    fn the_first_difference_is_named_with_both_values() {
        let then = json!({"cpu": {"model": "A", "isa": ["avx2"]}, "cores": [1, 2]});
        let now = json!({"cpu": {"model": "A", "isa": ["avx512f"]}, "cores": [1, 2]});
        let refused = same("machine", &then, &now).unwrap_err().to_string();
        assert!(
            refused.starts_with(
                "machine.cpu.isa.0 differs: the tune ran with \"avx2\", now it is \"avx512f\""
            ),
            "{refused}"
        );
        assert!(same("machine", &then, &then).is_ok());
        assert!(same("machine", &then, &json!({"cpu": {}})).is_err());
    }
}
