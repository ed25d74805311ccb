//! What a scheduler gave this job: part of a node, and until when.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::Finding;
use crate::io::number::span;
use crate::machine::ask::{ANSWER_TIMEOUT, ask};
use crate::machine::{CpuSet, Machine};

/// What a tune takes to write its report, beside the warning that schedulers give.
const REPORT_MARGIN: Duration = Duration::from_secs(120);

/// A Slurm job.
#[derive(Clone, Debug, Default)]
pub struct Allocation {
    id: String,
    /// CPUs of this node that the job was given.
    cpus: Option<usize>,
    /// When it ends.
    end: Option<Timestamp>,
}

impl Allocation {
    /// The job that this process belongs to, if it does.
    pub fn of_process() -> Option<Self> {
        Self::from_variables(
            |name| std::env::var(name).ok(),
            |id| ask("squeue", &["-h", "-j", id, "-o", "%e"], ANSWER_TIMEOUT),
        )
    }

    /// The same from variables and from what `squeue` answers of a job's end.
    fn from_variables(
        variable: impl Fn(&str) -> Option<String>,
        squeue: impl Fn(&str) -> Option<String>,
    ) -> Option<Self> {
        let id = variable("SLURM_JOB_ID").filter(|id| {
            !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        })?;
        let number = |name| variable(name).and_then(|text| text.trim().parse::<i64>().ok());
        let epoch = number("SLURM_JOB_END_TIME").and_then(|end| Timestamp::from_second(end).ok());
        Some(Self {
            cpus: number("SLURM_CPUS_ON_NODE").and_then(|count| usize::try_from(count).ok()),
            end: epoch.or_else(|| local(squeue(&id)?.trim())),
            id,
        })
    }

    /// Its number.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// How long it still has, where it has an end.
    pub fn left(&self, now: Timestamp) -> Option<Duration> {
        Some(Duration::try_from(self.end?.duration_since(now)).unwrap_or_default())
    }

    /// Whether the job has the node's CPUs, and time for a tune of `budget`.
    pub fn examine(
        &self,
        machine: &Machine,
        budget: Option<Duration>,
        now: Timestamp,
    ) -> Vec<Finding> {
        vec![self.share(machine), self.time(budget, now)]
    }

    fn share(&self, machine: &Machine) -> Finding {
        let topic = "Slurm job";
        let all: CpuSet = machine.cores.iter().flat_map(|core| core.cpus.iter()).collect();
        let allowed = machine.allowed.len();
        let given = self.cpus.unwrap_or(allowed).min(allowed);
        let (id, all) = (&self.id, all.len());
        if given >= all {
            return Finding::fine(topic, format!("{id} has all {all} CPUs of the node"));
        }
        let unbound = if self.cpus.is_some_and(|cpus| cpus < allowed) {
            format!(", and may use {allowed}, others' too")
        } else {
            String::new()
        };
        let found = format!(
            "{id} was given {given} of {all} CPUs{unbound}: other jobs share the node, and what is \
             tuned is this part of it"
        );
        Finding::bad(topic, found, "sbatch --exclusive, or salloc --exclusive, for the whole node")
    }

    fn time(&self, budget: Option<Duration>, now: Timestamp) -> Finding {
        let topic = "job's end";
        let Some(left) = self.left(now) else { return Finding::unknown(topic) };
        let most = left.saturating_sub(REPORT_MARGIN);
        let found = format!("in {}", span(left.as_secs_f64()));
        let budget_flag = format!("--budget {}s", most.as_secs());
        match budget {
            _ if most.is_zero() => {
                let cure = "ask for more time: sbatch --time";
                Finding::bad(topic, format!("{found}: no time for a tune"), cure)
            }
            Some(budget) if budget > most => {
                let budget = span(budget.as_secs_f64());
                let found = format!("{found}: too soon for a budget of {budget} and the report");
                Finding::bad(topic, found, format!("{budget_flag} at most, or sbatch --time"))
            }
            Some(_) => Finding::fine(topic, format!("{found}: time for the budget")),
            None => Finding::fine(topic, format!("{found}: tune with {budget_flag} at most")),
        }
    }
}

/// A time as `squeue` prints it, in the zone of this host; it says `NONE` or `N/A` where a job has
/// no limit.
fn local(text: &str) -> Option<Timestamp> {
    let time: DateTime = text.parse().ok()?;
    Some(time.to_zoned(TimeZone::system()).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(variables: &[(&str, &str)], end: Option<&str>) -> Option<Allocation> {
        let variable = |wanted: &str| {
            let found = variables.iter().find(|(name, _)| *name == wanted)?;
            Some(found.1.to_owned())
        };
        Allocation::from_variables(variable, |_| end.map(ToOwned::to_owned))
    }

    fn machine(allowed: &str) -> Machine {
        let mut machine =
            Machine::from_synthetic("package:1 [numa(memory=8GB)] core:4 pu:1").unwrap();
        machine.allowed = allowed.parse().unwrap();
        machine
    }

    fn found(findings: &[Finding], topic: &str) -> (String, bool) {
        let finding = findings.iter().find(|finding| finding.topic == topic).unwrap();
        (finding.found.clone().unwrap_or_default(), finding.cure.is_some())
    }

    const NOW: i64 = 1_700_000_000;

    fn examined(
        variables: &[(&str, &str)],
        end: Option<&str>,
        allowed: &str,
        budget: Option<u64>,
    ) -> Vec<Finding> {
        let job = job(&[variables, &[("SLURM_JOB_ID", "42")]].concat(), end).unwrap();
        let now = Timestamp::from_second(NOW).unwrap();
        job.examine(&machine(allowed), budget.map(Duration::from_secs), now)
    }

    #[test]
    fn without_a_job_nothing_is_said() {
        assert!(job(&[], Some("2026-11-30T09:00:00")).is_none());
        assert!(job(&[("SLURM_JOB_ID", "")], None).is_none());
        assert!(job(&[("SLURM_JOB_ID", "1 -o %Z")], None).is_none(), "no options for squeue");
    }

    #[test]
    fn a_part_of_a_node_is_told_whether_it_is_enforced_or_not() {
        let share = |variables: &[(&str, &str)], allowed: &str| {
            found(&examined(variables, None, allowed, None), "Slurm job")
        };
        assert_eq!(share(&[], "0-3"), ("42 has all 4 CPUs of the node".to_owned(), false));
        assert!(!share(&[("SLURM_CPUS_ON_NODE", "4")], "0-3").1);
        let (words, is_bad) = share(&[], "0");
        assert!(is_bad && words.starts_with("42 was given 1 of 4 CPUs: "), "{words}");
        let (words, is_bad) = share(&[("SLURM_CPUS_ON_NODE", "2")], "0-3");
        assert!(is_bad && words.starts_with("42 was given 2 of 4 CPUs, and may use 4"), "{words}");
    }

    #[test]
    fn the_jobs_end_is_held_against_the_budget() {
        let in_half_an_hour = (NOW + 1800).to_string();
        let end = [("SLURM_JOB_END_TIME", in_half_an_hour.as_str())];
        let time = |budget| examined(&end, None, "0-3", budget);
        let told = found(&time(None), "job's end");
        assert_eq!(told, ("in 30 min: tune with --budget 1680s at most".to_owned(), false));
        assert!(!found(&time(Some(1680)), "job's end").1);
        assert!(found(&time(Some(1681)), "job's end").1);
        let findings = time(Some(1800));
        assert_eq!(findings[1].cure.as_deref(), Some("--budget 1680s at most, or sbatch --time"));
    }

    #[test]
    fn squeue_tells_the_end_where_no_variable_does() {
        let zone = TimeZone::system();
        let end = Timestamp::from_second(NOW + 600).unwrap().to_zoned(zone).datetime();
        let printed = format!("{}\n", end.strftime("%Y-%m-%dT%H:%M:%S"));
        let findings = examined(&[], Some(&printed), "0-3", None);
        assert_eq!(found(&findings, "job's end").0, "in 10 min: tune with --budget 480s at most");
        for none in [Some("N/A"), Some("NONE"), Some(""), None] {
            assert_eq!(found(&examined(&[], none, "0-3", None), "job's end").0, "", "{none:?}");
        }
        let late = examined(&[("SLURM_JOB_END_TIME", "1700000060")], None, "0-3", None);
        assert!(found(&late, "job's end").1, "no time is left for a tune");
    }
}
