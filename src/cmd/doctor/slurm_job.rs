//! What a scheduler gave this job, as advice: part of a node, and until when.

use std::time::Duration;

use jiff::Timestamp;

use super::Advice;
use crate::fleet::engine::Allocation;
use crate::io::number::span;
use crate::machine::Machine;

/// What a tune takes to write its report, beside the warning that schedulers give.
const REPORT_MARGIN: Duration = Duration::from_secs(120);

/// Whether the job has the node's CPUs, and time for a tune of `budget`.
pub fn examine(
    job: &Allocation,
    machine: &Machine,
    budget: Option<Duration>,
    now: Timestamp,
) -> Vec<Advice> {
    vec![share(job, machine), time(job, budget, now)]
}

fn share(job: &Allocation, machine: &Machine) -> Advice {
    let topic = "Slurm job";
    let all = machine.all_cpus();
    let allowed = machine.allowed.len();
    let given = job.cpus.unwrap_or(allowed).min(allowed);
    let (id, all) = (job.id(), all.len());
    if given >= all {
        return Advice::fine(topic, format!("{id} has all {all} CPUs of the node"));
    }
    let unbound = if job.cpus.is_some_and(|cpus| cpus < allowed) {
        format!(", and may use {allowed}, others' too")
    } else {
        String::new()
    };
    let found = format!(
        "{id} was given {given} of {all} CPUs{unbound}: other jobs share the node, and what is \
         tuned is this part of it"
    );
    Advice::bad(topic, found, "sbatch --exclusive, or salloc --exclusive, for the whole node")
}

fn time(job: &Allocation, budget: Option<Duration>, now: Timestamp) -> Advice {
    let topic = "job's end";
    let Some(left) = job.left(now) else { return Advice::unknown(topic) };
    let most = left.saturating_sub(REPORT_MARGIN);
    let found = format!("in {}", span(left.as_secs_f64()));
    let budget_flag = format!("--budget {}s", most.as_secs());
    match budget {
        _ if most.is_zero() => {
            let cure = "ask for more time: sbatch --time";
            Advice::bad(topic, format!("{found}: no time for a tune"), cure)
        }
        Some(budget) if budget > most => {
            let budget = span(budget.as_secs_f64());
            let found = format!("{found}: too soon for a budget of {budget} and the report");
            Advice::bad(topic, found, format!("{budget_flag} at most, or sbatch --time"))
        }
        Some(_) => Advice::fine(topic, format!("{found}: time for the budget")),
        None => Advice::fine(topic, format!("{found}: tune with {budget_flag} at most")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(allowed: &str) -> Machine {
        let mut machine = Machine::synthetic("package:1 [numa(memory=8GB)] core:4 pu:1");
        machine.allowed = allowed.parse().unwrap();
        machine
    }

    fn found(findings: &[Advice], topic: &str) -> (String, bool) {
        let finding = findings.iter().find(|finding| finding.topic == topic).unwrap();
        (finding.found.clone().unwrap_or_default(), finding.cure.is_some())
    }

    const NOW: i64 = 1_700_000_000;

    fn examined(variables: &[(&str, &str)], allowed: &str, budget: Option<u64>) -> Vec<Advice> {
        let variable = |wanted: &str| {
            let mut all = variables.iter().chain(&[("SLURM_JOB_ID", "42")]);
            Some(all.find(|(name, _)| *name == wanted)?.1.to_owned())
        };
        let job = Allocation::from_variables(variable, |_| None).unwrap();
        let now = Timestamp::from_second(NOW).unwrap();
        examine(&job, &machine(allowed), budget.map(Duration::from_secs), now)
    }

    #[test]
    fn a_part_of_a_node_is_told_whether_it_is_enforced_or_not() {
        let share = |variables: &[(&str, &str)], allowed: &str| {
            found(&examined(variables, allowed, None), "Slurm job")
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
        let time = |budget| examined(&end, "0-3", budget);
        let told = found(&time(None), "job's end");
        assert_eq!(told, ("in 30 min: tune with --budget 1680s at most".to_owned(), false));
        assert!(!found(&time(Some(1680)), "job's end").1);
        assert!(found(&time(Some(1681)), "job's end").1);
        let findings = time(Some(1800));
        assert_eq!(findings[1].cure.as_deref(), Some("--budget 1680s at most, or sbatch --time"));
    }

    #[test]
    fn without_an_end_or_time_left_it_is_said() {
        assert_eq!(found(&examined(&[], "0-3", None), "job's end"), (String::new(), false));
        let late = examined(&[("SLURM_JOB_END_TIME", "1700000060")], "0-3", None);
        assert!(found(&late, "job's end").1, "no time is left for a tune");
    }
}
