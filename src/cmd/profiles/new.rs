//! `profiles new`: a profile of chosen settings, which nothing proves.

use anyhow::Result;

use crate::cli::{BaselineChoice, JobArgs};
use crate::cmd::setup::job;
use crate::cmd::{Usage, machine};
use crate::io::output::print;
use crate::knobs::Value;
use crate::profile::Profile;

/// Prints the profile of the baseline with these values.
///
/// # Errors
/// [`Usage`] that names the knob and the cure: unknown, out of its range, or not to be had here.
pub fn run(baseline: Option<&BaselineChoice>, set: &[(String, String)]) -> Result<()> {
    let machine = machine::here()?;
    let baseline = job::baseline(baseline, &JobArgs::default(), &machine, false)?;
    let known = baseline.knobs.values();
    let values = set.iter().map(|(name, text)| {
        let Some(current) = known.get(name) else {
            let names = known.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            return Err(Usage(format!("--set {name}: no such knob: {names}")));
        };
        let value = current.kind().read(text);
        Ok((name, value.map_err(|problem| Usage(format!("--set {name}={text}: {problem}")))?))
    });
    let values = values.collect::<Result<Vec<(&String, Value)>, Usage>>()?;
    let values = values.iter().map(|(name, value)| (*name, value));
    let usage = |problem: String| Usage(format!("--set: {problem}"));
    let knobs = baseline.knobs.with(values).map_err(usage)?;
    let now = jiff::Timestamp::now().to_string();
    let profile = Profile::new(&machine, &baseline, &knobs, now).map_err(usage)?;
    print(&format!("{}\n", serde_json::to_string_pretty(&profile)?))
}
