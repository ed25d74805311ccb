//! Slurm: `sinfo` lists, `sbatch` starts, `squeue` tells, `scancel` ends. Accounting is never asked,
//! and each call is given up after half a minute.

mod allocation;
mod answer;
mod batch;

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Result, bail};

use self::answer::{answer, patiently};
use super::{Engine, EngineJob, JobState, Site, SubmittedJob, Task};
use crate::fleet::Node;
use crate::io::shell;
use crate::runner::nodes::NodeList;

pub use allocation::Allocation;
pub use batch::{BatchJob, Warned, limit};

/// Flags of a job that has all of its nodes: alone there it still has but a share of the memory.
pub const WHOLE_NODE: [&str; 2] = ["--exclusive", "--mem=0"];

/// What is handed to Slurm as it is.
#[derive(Clone, Debug, Default)]
pub struct SlurmOptions {
    /// `--partition`.
    pub partition: Option<String>,
    /// `--account`.
    pub account: Option<String>,
    /// `--qos`.
    pub qos: Option<String>,
    /// `--constraint`.
    pub constraint: Option<String>,
    /// The nodes to take; all where it names none.
    pub nodes: NodeList,
    /// The nodes to leave alone.
    pub exclude: NodeList,
    /// Further words for `sbatch`.
    pub words: Vec<String>,
}

/// Slurm, as its programs answer.
#[derive(Debug)]
pub struct Slurm {
    options: SlurmOptions,
    site: Site,
    /// What this fleet's jobs' names begin with.
    prefix: String,
    /// The nodes of the last list, those included that were not asked for: a job is kept off them.
    all: BTreeSet<String>,
    /// The longest that their partition lets a job run.
    longest: Option<Duration>,
    settles: Duration,
}

impl Slurm {
    /// The engine of a fleet whose folder has this digest.
    pub fn new(mut options: SlurmOptions, site: Site, digest: &str, settles: Duration) -> Self {
        // What `sbatch` takes where no flag says it.
        let usual = std::env::var("SBATCH_PARTITION").ok().filter(|name| !name.is_empty());
        options.partition = options.partition.or(usual);
        let (prefix, all, longest) = (format!("wan22:{digest}:"), BTreeSet::new(), None);
        Self { options, site, prefix, all, longest, settles }
    }

    /// Whether this host has Slurm's programs.
    pub fn is_here() -> bool {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&paths).any(|folder| folder.join("sbatch").is_file())
    }

    /// What a job's batch has beside what all have.
    fn flags(&self, job: &EngineJob) -> Vec<String> {
        let SlurmOptions { partition, account, qos, constraint, words, .. } = &self.options;
        let mut flags = vec![
            "--nodes=1".to_owned(),
            "--ntasks=1".to_owned(),
            format!("--chdir={}", self.site.work_folder.display()),
        ];
        flags.extend(match job.task {
            // Beside whatever runs there.
            Task::Probe => vec!["--cpus-per-task=1".to_owned(), "--mem=200M".to_owned()],
            Task::Tune | Task::Verify => {
                WHOLE_NODE.into_iter().chain(["--requeue"]).map(str::to_owned).collect()
            }
        });
        let given = [("partition", partition), ("account", account), ("qos", qos)];
        let given = given.into_iter().chain([("constraint", constraint)]);
        flags.extend(given.filter_map(|(name, value)| Self::flag(name, value.as_ref())));
        match job.place.as_slice() {
            [node] => flags.push(format!("--nodelist={node}")),
            nodes => {
                let others = self.all.iter().filter(|name| !nodes.contains(name));
                let others: Vec<&str> = others.map(String::as_str).collect();
                flags.extend(
                    (!others.is_empty()).then(|| format!("--exclude={}", others.join(","))),
                );
            }
        }
        flags.extend(words.iter().cloned());
        flags
    }

    /// A step, which gets its signals at once; of the batch script Slurm does not tell everything.
    fn batch(&self, job: &EngineJob) -> BatchJob {
        let EngineJob { task, key, .. } = job;
        let step = ["srun", "--ntasks=1", "--cpu-bind=none"].map(str::to_owned);
        let limit = self.site.limit(*task);
        let log = self.site.folder.join("log").join(format!("{task}-{key}.log"));
        BatchJob {
            name: format!("{}{task}:{key}", self.prefix),
            // A percent sign begins what Slurm fills in.
            log: log.display().to_string().replace('%', "%%").into(),
            // A tune that is cut by a partition's limit goes on in the next job.
            limit: self.longest.map_or(limit, |longest| limit.min(longest)),
            warned: if *task == Task::Probe { Warned::Nobody } else { Warned::Steps },
            flags: self.flags(job),
            line: shell::line(&[&step[..], &self.site.words(job)].concat()),
        }
    }

    fn flag(name: &str, value: Option<&String>) -> Option<String> {
        value.map(|value| format!("--{name}={value}"))
    }

    /// Of the nodes that are listed those that were asked for.
    fn wanted(&self, mut listed: Vec<Node>) -> Result<Vec<Node>> {
        let SlurmOptions { nodes: NodeList(wanted), exclude: NodeList(left), .. } = &self.options;
        let of = self.options.partition.as_ref();
        let of = of.map_or("the default partition".to_owned(), |name| format!("partition {name}"));
        for name in wanted.iter().filter(|name| !self.all.contains(*name)) {
            if !self.site.folder.join("nodes").join(name).exists() {
                bail!(
                    "--nodes: there is no node {name} in {of}: `sinfo -N` lists \
                     nodes and partitions; --partition names another one"
                );
            }
            // It is gone since the fleet began; what it measured is not.
            let reason = Some("sinfo does not list it any more".to_owned());
            listed.push(Node { state: "gone".to_owned(), reason, ..Node::named(name) });
        }
        listed.retain(|node| {
            (wanted.is_empty() || wanted.contains(&node.name))
                && !left.contains(&node.name)
                && has(node, self.options.constraint.as_deref())
        });
        if listed.is_empty() {
            bail!(
                "Slurm lists no node in {of} that --nodes, --exclude and \
                 --constraint leave: `sinfo -N` lists nodes and partitions"
            );
        }
        Ok(listed)
    }
}

impl Engine for Slurm {
    fn nodes(&mut self) -> Result<Vec<Node>> {
        let format =
            ["--noheader", "--Node", "--format=%N|%T|%c|%f|%G|%P|%l|%E"].map(str::to_owned);
        let partition = Self::flag("partition", self.options.partition.as_ref());
        let words: Vec<String> = format.into_iter().chain(partition).collect();
        let (listed, longest) =
            listed(&patiently("sinfo", &words)?, self.options.partition.is_none());
        let shown = ["show", "node", "--oneliner"].map(str::to_owned);
        let shares = shares(&patiently("scontrol", &shown)?);
        self.all = listed.iter().map(|node| node.name.clone()).collect();
        self.longest = longest;
        let mut nodes = self.wanted(listed)?;
        for node in &mut nodes {
            node.kind = node.kind.split('\t').next().unwrap_or_default().to_owned();
            if let Some((cpus, kept)) = shares.get(&node.name) {
                node.cpus = cpus.or(node.cpus);
                node.kept.clone_from(kept);
            }
        }
        Ok(nodes)
    }

    fn submit(&mut self, job: &EngineJob) -> Result<String> {
        self.batch(job).submit()
    }

    fn described(&self, job: &EngineJob) -> String {
        self.batch(job).described()
    }

    fn jobs(&mut self) -> Result<Vec<SubmittedJob>> {
        // `%j` comes last: a name may hold any letter.
        let user = format!("--user={}", rustix::process::geteuid().as_raw());
        let words = ["--noheader", "--states=all", &user, "--format=%i|%T|%r|%N|%j"];
        let printed = answer("squeue", &words.map(str::to_owned), b"")?;
        Ok(printed.lines().filter_map(|line| known(line, &self.prefix)).collect())
    }

    fn cancel(&mut self, id: &str) {
        // One that is over by now can't be ended.
        let _ = answer("scancel", &[id.to_owned()], b"");
    }

    fn hurry(&mut self, id: &str) {
        let words = ["update".to_owned(), format!("JobId={id}"), "StartTime=now".to_owned()];
        let _ = answer("scontrol", &words, b"");
    }

    fn settles(&self) -> Duration {
        self.settles
    }

    fn is_lasting(&self) -> bool {
        true
    }
}

/// The nodes that `sinfo` lists, each once, and the longest that a job may run there, where that has a
/// limit; `of_default` leaves those of the default partition, where there is one.
fn listed(printed: &str, of_default: bool) -> (Vec<Node>, Option<Duration>) {
    let column = |line: &str, at: usize| line.split('|').nth(at).map(str::trim).map(str::to_owned);
    let is_default = |line: &&str| column(line, 5).is_some_and(|name| name.ends_with('*'));
    let has_default = of_default && printed.lines().any(|line| is_default(&line));
    let lines = || printed.lines().filter(|line| !has_default || is_default(line));
    let limits = lines().filter_map(|line| column(line, 6)).map(|text| time(&text));
    let longest = limits.collect::<Option<Vec<_>>>().and_then(|limits| limits.into_iter().max());
    let mut seen = BTreeSet::new();
    let node = |line: &str| {
        let mut columns = line.splitn(8, '|');
        let mut next = || columns.next().map(str::trim);
        let (name, state, cpus) = (next()?.to_owned(), next()?.to_owned(), next()?);
        let (features, gres, _partition, _limit) = (next()?, next()?, next()?, next()?);
        let reason = next().filter(|reason| !reason.is_empty() && *reason != "none");
        Some(Node {
            kind: format!("{gres}\t{features}"),
            cpus: cpus.trim_end_matches('+').parse().ok(),
            reason: reason.map(ToOwned::to_owned),
            name,
            state,
            kept: String::new(),
        })
    };
    let nodes = lines().filter_map(node);
    (nodes.filter(|node| seen.insert(node.name.clone())).collect(), longest)
}

/// A time as Slurm writes it, `[days-]hours:minutes:seconds` without what is 0 in front; none of
/// `infinite`.
fn time(text: &str) -> Option<Duration> {
    let (days, rest) = text.split_once('-').unwrap_or(("0", text));
    let clock =
        rest.split(':').try_fold(0, |sum: u64, part| Some(sum * 60 + part.parse::<u64>().ok()?));
    Some(Duration::from_secs(days.parse::<u64>().ok()? * 86_400 + clock?))
}

/// Whether a node has a feature. Expressions of several are Slurm's to judge.
fn has(node: &Node, constraint: Option<&str>) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "_-.=".contains(c);
    let Some(wanted) = constraint.filter(|text| text.chars().all(is_word)) else { return true };
    let features = node.kind.split('\t').nth(1).unwrap_or_default();
    features.split(',').any(|feature| feature == wanted)
}

/// Of each node the CPUs that jobs may have, and which ones Slurm keeps, as `scontrol` prints them.
fn shares(printed: &str) -> BTreeMap<String, (Option<usize>, String)> {
    let field = |line: &str, name: &str| {
        let found = line.split_whitespace().find_map(|word| word.strip_prefix(name));
        found.map(ToOwned::to_owned)
    };
    let node = |line: &str| {
        let cpus = field(line, "CPUEfctv=").and_then(|text| text.parse().ok());
        Some((field(line, "NodeName=")?, (cpus, field(line, "CPUSpecList=").unwrap_or_default())))
    };
    printed.lines().filter_map(node).collect()
}

/// A line of `squeue`, where the job is this fleet's.
fn known(line: &str, prefix: &str) -> Option<SubmittedJob> {
    let mut columns = line.splitn(5, '|').map(str::trim);
    let mut next = || columns.next();
    let (id, state, reason, node, name) = (next()?, next()?, next()?, next()?, next()?);
    let (task, key) = name.strip_prefix(prefix)?.split_once(':')?;
    let node = Some(node.to_owned()).filter(|node| !node.is_empty() && !node.contains('('));
    let state = match state {
        "PENDING" | "REQUEUED" | "REQUEUE_HOLD" | "REQUEUE_FED" | "SPECIAL_EXIT" => {
            JobState::Pending(reason.to_owned())
        }
        "RUNNING" | "CONFIGURING" | "COMPLETING" | "SUSPENDED" | "STOPPED" | "SIGNALING"
        | "STAGE_OUT" | "RESIZING" => JobState::Running,
        _ if reason == "None" => JobState::Over(state.to_owned()),
        _ => JobState::Over(format!("{state}, {reason}")),
    };
    Some(SubmittedJob {
        id: id.to_owned(),
        task: Task::from_str(task).ok()?,
        key: key.to_owned(),
        node,
        state,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_read_as_sinfo_prints_them() {
        let printed = "n1|idle|64|ib,amd|gpu:a100:4|tune*|1-02:00:00|none\n\
                       n1|idle|64|ib,amd|gpu:a100:4|debug|infinite|none\n\
                       n2|drained*|64+|(null)|(null)|tune*|1-02:00:00|bad | disk\n\nodd\n\
                       n3|idle|64|(null)|(null)|debug|infinite|none\n";
        assert_eq!(listed(printed, false).0.len(), 3);
        assert_eq!(listed(printed, false).1, None);
        let (nodes, longest) = listed(printed, true);
        assert_eq!(longest, Some(Duration::from_secs(26 * 3600)));
        assert_eq!(nodes.len(), 2);
        assert_eq!((nodes[0].cpus, nodes[0].reason.as_deref()), (Some(64), None));
        assert_eq!((nodes[1].cpus, nodes[1].reason.as_deref()), (Some(64), Some("bad | disk")));
        assert!(has(&nodes[0], Some("ib")) && !has(&nodes[1], Some("ib")));
        assert!(has(&nodes[1], Some("ib&amd")), "Slurm's to judge");
        let shares =
            shares("NodeName=n1 Arch=x86_64 CPUEfctv=62 CPUTot=64 CPUSpecList=0-1 State=IDLE\n");
        assert_eq!(shares["n1"], (Some(62), "0-1".to_owned()));
    }

    #[test]
    fn times_are_read_as_slurm_prints_them() {
        let seconds = |text: &str| time(text).map(|time| time.as_secs());
        for (text, read) in
            [("5:00", 300), ("1:00:00", 3600), ("2-00:00:00", 172_800), ("0:30", 30)]
        {
            assert_eq!(seconds(text), Some(read), "{text}");
        }
        assert_eq!(["infinite", "n/a", "", "-"].map(seconds), [None; 4]);
    }

    #[test]
    fn jobs_are_read_as_squeue_prints_them() {
        let read = |line: &str| known(line, "wan22:ab:");
        let job =
            read("12|PENDING|ReqNodeNotAvail, UnavailableNodes:n2||wan22:ab:tune:n2").unwrap();
        assert_eq!((job.task, job.key.as_str(), job.node), (Task::Tune, "n2", None));
        assert_eq!(job.state, JobState::Pending("ReqNodeNotAvail, UnavailableNodes:n2".to_owned()));
        let job = read("7|FAILED|JobLaunchFailure|n1|wan22:ab:probe:n1").unwrap();
        assert_eq!(job.state, JobState::Over("FAILED, JobLaunchFailure".to_owned()));
        assert_eq!(job.node.as_deref(), Some("n1"));
        assert_eq!(
            read("7|RUNNING|None|n1|wan22:ab:verify:c0ffee").unwrap().state,
            JobState::Running
        );
        assert_eq!(read("7|COMPLETED|None|n1|wan22:ab:tune:a:b").unwrap().key, "a:b");
        for other in ["7|RUNNING|None|n1|wan22:cd:tune:n1", "7|RUNNING|None|n1|train", "7|RUNNING"]
        {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
