//! Today: what a worker runs of its knobs before anybody tunes them.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, bail};

use super::runner;
use crate::cmd::{Usage, terminal};
use crate::knobs::program_environment::{custom_value, is_handed_over};
use crate::knobs::{Kind, Knobs, Value, Values, as_is};
use crate::runner::LocalRunner;
use crate::runner::nodes::agents::message::Hello;
use crate::runner::warm::defaults::{self, LoadedWorker};
use crate::space::SpaceFile;
use crate::workload::Workload;
use crate::workload::custom::{CustomJob, template};

/// Whether the worker of `runner`, if its job is one, has to say what it runs today of the knobs of
/// `file`.
pub fn is_open(runner: &LocalRunner, file: &SpaceFile) -> bool {
    let left = as_is::of_program(&runner.baseline.knobs.as_is);
    let is_worker = matches!(runner.custom_job, Some(CustomJob::Worker(_)));
    is_worker && (!file.guessed.is_empty() || file.knob.keys().any(|name| left.contains(name)))
}

/// Asks the worker of `runner`, if its job is one, what it runs today of the knobs of `file` that
/// nobody chose; the baseline has these values then. Returns the knobs that the worker reads without
/// saying that, after a line for each.
///
/// # Errors
/// [`Usage`] for a knob of its own of which it does not say that; it can't be started.
pub fn ask(
    runner: &mut LocalRunner,
    file: &SpaceFile,
    workload: &Workload,
    limit: Duration,
) -> Result<Option<LoadedWorker>> {
    let is_open = is_open(runner, file);
    if is_open { asked(runner, &file.guessed, workload, limit) } else { Ok(None) }
}

/// The same where only knobs that the tool has may be left to the worker.
///
/// # Errors
/// It can't be started.
pub fn read(
    runner: &mut LocalRunner,
    workload: &Workload,
    limit: Duration,
) -> Result<Option<LoadedWorker>> {
    let is_left = !as_is::of_program(&runner.baseline.knobs.as_is).is_empty();
    if is_left { asked(runner, &BTreeSet::new(), workload, limit) } else { Ok(None) }
}

fn asked(
    runner: &mut LocalRunner,
    guessed: &BTreeSet<String>,
    workload: &Workload,
    limit: Duration,
) -> Result<Option<LoadedWorker>> {
    let Some(CustomJob::Worker(worker)) = runner.custom_job.clone() else {
        return Ok(None);
    };
    let scratch = runner::scratch(&std::env::temp_dir())?;
    let asking = LocalRunner { scratch: scratch.path().to_owned(), ..runner.clone() };
    match (defaults::ask(&asking, &worker, workload, guessed, limit)?, guessed.first()) {
        (Ok(mut loaded), _) => {
            tell_unsaid(runner, &loaded.effect.without_default);
            settle(runner, guessed, &loaded.effect.applied)?;
            loaded.runs(runner.baseline.knobs.values());
            Ok(Some(loaded))
        }
        // The baseline's first trial will say it.
        (Err(_), None) => Ok(None),
        (Err(problem), Some(name)) => {
            let cure = "see `wan22-tune doctor --worker -- COMMAND`";
            bail!(
                "the worker does not run here, where it was asked for today's {name}: {problem}; {cure}"
            )
        }
    }
}

/// Says which knobs that the tool has are left alone, although the worker reads them.
fn tell_unsaid(runner: &LocalRunner, unsaid: &BTreeSet<String>) {
    let as_is = &runner.baseline.knobs.as_is;
    for name in unsaid.iter().filter(|name| is_handed_over(name) && as_is.contains(*name)) {
        terminal::tell(&format!(
            "the worker reads {name} and does not say what it runs today, so that it is not tuned: \
             say it by wan22_tune.knob(\"{name}\", VALUE)"
        ));
    }
}

/// Takes in what an agent's worker said, and which knobs it reads without saying it.
///
/// # Errors
/// [`Usage`] for a knob of the worker's own of which it does not say what runs today.
pub fn take(runner: &mut LocalRunner, file: &SpaceFile, hello: &Hello) -> Result<()> {
    tell_unsaid(runner, &hello.without_default);
    match runner.custom_job {
        Some(CustomJob::Worker(_)) => settle(runner, &file.guessed, &hello.baseline),
        _ => Ok(()),
    }
}

fn settle(runner: &mut LocalRunner, guessed: &BTreeSet<String>, said: &Values) -> Result<()> {
    let mut knobs = runner.baseline.knobs.clone();
    for name in guessed {
        let value = said.get(name).ok_or_else(|| unsaid(name, "does not say it"))?;
        let kind = knobs.custom[name].kind();
        let fitted = match template::switch(&value.to_string()).filter(|_| kind == Kind::Switch) {
            Some(is_on) => Ok(Value::Switch(is_on)),
            None => kind.fit(value),
        };
        let fitted = fitted.and_then(|value| custom_value(&value).map(|()| value));
        let fitted = fitted.map_err(|problem| unsaid(name, &format!("says {problem}")))?;
        knobs.custom.insert(name.clone(), fitted);
    }
    for (name, value) in said.iter().filter(|(name, _)| is_handed_over(name)) {
        if !knobs.as_is.contains(name) {
            continue;
        }
        let read = knobs.with([(name.as_str(), value)]);
        match read.and_then(|read| read.check_counts(&runner.machine).map(|()| read)) {
            // It is what runs today, so that nobody has to set it.
            Ok(read) => knobs = Knobs { as_is: knobs.as_is, ..read },
            Err(_) => terminal::tell(&format!(
                "the worker runs {name} = {value} today, which is none of the knob's values: the \
                 baseline leaves it so, and calls it {}",
                knobs.values()[name]
            )),
        }
    }
    runner.baseline = runner.baseline.clone().with(|baseline| *baseline = knobs);
    Ok(())
}

fn unsaid(name: &str, why: &str) -> anyhow::Error {
    Usage(format!(
        "what runs today of {name}: the worker {why}; name it in `applied`, as wan22_tune.knob(\"{name}\", \
         VALUE) in what is measured does, or say it: --knob '{name}=… default:VALUE'"
    ))
    .into()
}
