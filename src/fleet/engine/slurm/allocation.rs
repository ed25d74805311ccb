//! Allocation: the Slurm job that a process belongs to: its nodes, its CPUs, and until when.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::machine::ask::{ANSWER_TIMEOUT, ask};
use crate::runner::nodes::NodeList;

/// A Slurm job.
#[derive(Clone, Debug, Default)]
pub struct Allocation {
    id: String,
    /// Its nodes, as far as Slurm tells.
    pub nodes: NodeList,
    /// CPUs of this node that the job was given.
    pub cpus: Option<usize>,
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
    pub fn from_variables(
        variable: impl Fn(&str) -> Option<String>,
        squeue: impl Fn(&str) -> Option<String>,
    ) -> Option<Self> {
        let id = variable("SLURM_JOB_ID").filter(|id| {
            !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        })?;
        let number = |name| variable(name).and_then(|text| text.trim().parse::<i64>().ok());
        let epoch = number("SLURM_JOB_END_TIME").and_then(|end| Timestamp::from_second(end).ok());
        let nodes = variable("SLURM_JOB_NODELIST").and_then(|list| list.parse().ok());
        Some(Self {
            nodes: nodes.unwrap_or_default(),
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

    #[test]
    fn without_a_job_there_is_none() {
        assert!(job(&[], Some("2026-11-30T09:00:00")).is_none());
        assert!(job(&[("SLURM_JOB_ID", "")], None).is_none());
        assert!(job(&[("SLURM_JOB_ID", "1 -o %Z")], None).is_none(), "no options for squeue");
    }

    #[test]
    fn its_nodes_are_those_of_the_list() {
        let nodes = |list: &str| {
            let job = job(&[("SLURM_JOB_ID", "42"), ("SLURM_JOB_NODELIST", list)], None);
            job.unwrap().nodes.0.join(" ")
        };
        assert_eq!(nodes("n[08-10],gpu1"), "n08 n09 n10 gpu1");
        assert_eq!(nodes("n[1"), "");
    }

    #[test]
    fn squeue_tells_the_end_where_no_variable_does() {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let left = |variables: &[(&str, &str)], printed: Option<&str>| {
            let all = [&[("SLURM_JOB_ID", "42")], variables].concat();
            job(&all, printed).unwrap().left(now).map(|left| left.as_secs())
        };
        let end = Timestamp::from_second(1_700_000_600).unwrap().to_zoned(TimeZone::system());
        let printed = format!("{}\n", end.datetime().strftime("%Y-%m-%dT%H:%M:%S"));
        assert_eq!(left(&[], Some(&printed)), Some(600));
        assert_eq!(left(&[("SLURM_JOB_END_TIME", "1700000060")], Some(&printed)), Some(60));
        assert_eq!(left(&[("SLURM_JOB_END_TIME", "1600000000")], None), Some(0), "it is over");
        for none in [Some("N/A"), Some("NONE"), Some(""), None] {
            assert_eq!(left(&[], none), None, "{none:?}");
        }
    }
}
