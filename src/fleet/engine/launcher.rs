//! Launcher: a command by which a program starts on a node, such as `ssh {node}`; without one jobs
//! run on this machine.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process_group};

use super::{Engine, EngineJob, JobState, Site, SubmittedJob, Task};
use crate::fleet::{Folder, Node};
use crate::io::shell;
use crate::runner::nodes::{agents, is_name};

/// Names the node for the job that runs on it.
pub const NODE_VARIABLE: &str = "WAN22_FLEET_NODE";

/// Jobs as processes of this program.
#[derive(Debug)]
pub struct LauncherEngine {
    launcher: agents::Launcher,
    nodes: Vec<String>,
    site: Site,
    jobs: BTreeMap<String, Started>,
}

#[derive(Debug)]
struct Started {
    job: EngineJob,
    node: String,
    child: Child,
    since: Instant,
    over: Option<String>,
}

impl Started {
    /// How it ended, where it has. A launcher may hang: when nobody answers on the node, or though its
    /// program there is over.
    fn end(&mut self, site: &Site) -> Option<String> {
        if let Ok(Some(status)) = self.child.try_wait() {
            return Some(status.to_string());
        }
        let limit = site.limit(Task::Probe);
        if self.job.task == Task::Probe && self.since.elapsed() > limit {
            self.tell_end();
            return Some(format!("no answer within {} s", limit.as_secs()));
        }
        let status = Folder::new(&site.folder).status(&self.node)?;
        (status.task == self.job.task.to_string()).then_some(status.status?)?;
        self.tell_end();
        Some("its launcher was still running".to_owned())
    }

    fn tell_end(&self) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::TERM);
        }
    }
}

impl LauncherEngine {
    /// Jobs on these nodes, started by `launcher`.
    pub fn new(launcher: agents::Launcher, nodes: Vec<String>, site: Site) -> Self {
        Self { launcher, nodes, site, jobs: BTreeMap::new() }
    }

    /// The words that start a job on a node, in the work folder there.
    fn words(&self, job: &EngineJob, node: &str) -> Vec<OsString> {
        let command = self.site.words(job);
        if self.launcher.is_empty() {
            return command.into_iter().map(OsString::from).collect();
        }
        let folder = shell::text(&[self.site.work_folder.display().to_string()]);
        let script =
            format!("cd {folder} && {NODE_VARIABLE}={node} exec {}", shell::text(&command));
        self.launcher.words(node, &["sh", "-c", &script])
    }

    /// The first of a job's nodes on which nothing of this fleet runs; else the first.
    fn node<'a>(&self, job: &'a EngineJob) -> Result<&'a String> {
        let is_free = |node: &&String| {
            !self.jobs.values().any(|other| other.over.is_none() && other.node == **node)
        };
        let free = job.place.iter().find(is_free);
        free.or(job.place.first()).context("no node to run it on")
    }
}

impl Engine for LauncherEngine {
    fn nodes(&mut self) -> Result<Vec<Node>> {
        Ok(self.nodes.iter().map(Node::named).collect())
    }

    fn submit(&mut self, job: &EngineJob) -> Result<String> {
        let node = self.node(job)?.clone();
        let words = self.words(job, &node);
        let log = self.site.folder.join("log").join(format!("{}-{}.log", job.task, job.key));
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| log.display().to_string())?;
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).current_dir(&self.site.work_folder).env(NODE_VARIABLE, &node);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        // A Ctrl-C at the terminal is this program's to hand on.
        let child = command.process_group(0).spawn();
        let child = child.with_context(|| format!("starting {}", words[0].display()))?;
        let id = child.id().to_string();
        let (job, since, over) = (job.clone(), Instant::now(), None);
        self.jobs.insert(id.clone(), Started { job, node, child, since, over });
        Ok(id)
    }

    fn described(&self, job: &EngineJob) -> String {
        let node = job.place.first().map(String::as_str).unwrap_or_default();
        shell::line(&self.words(job, node)).to_string_lossy().into_owned()
    }

    fn jobs(&mut self) -> Result<Vec<SubmittedJob>> {
        let site = &self.site;
        let known = |(id, started): (&String, &mut Started)| {
            started.over = started.over.take().or_else(|| started.end(site));
            let state = started.over.clone().map_or(JobState::Running, JobState::Over);
            let EngineJob { task, key, .. } = started.job.clone();
            SubmittedJob { id: id.clone(), task, key, node: Some(started.node.clone()), state }
        };
        Ok(self.jobs.iter_mut().map(known).collect())
    }

    fn cancel(&mut self, id: &str) {
        let started = self.jobs.get(id).filter(|started| started.over.is_none());
        started.into_iter().for_each(Started::tell_end);
    }

    fn is_lasting(&self) -> bool {
        false
    }
}

/// This machine's name.
pub fn this_node() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim().split('.').next().unwrap_or_default().to_owned();
    if is_name(&name) { name } else { "localhost".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launcher(template: &str) -> LauncherEngine {
        let site = Site {
            program: "/opt/my tools/wan22-tune".into(),
            folder: "/shared/fleet".into(),
            work_folder: "/home/me/it's".into(),
            tune_limit: std::time::Duration::from_secs(60),
        };
        let launcher = agents::Launcher::of(template).unwrap();
        LauncherEngine::new(launcher, vec!["a".to_owned(), "b".to_owned()], site)
    }

    fn job() -> EngineJob {
        let place = vec!["b".to_owned(), "a".to_owned()];
        EngineJob {
            task: Task::Tune,
            key: "c0ffee".to_owned(),
            place,
            cpus: Some(8),
            subject: None,
        }
    }

    #[test]
    fn a_launcher_gets_one_script_for_a_shell_on_the_node() {
        let script = r"cd '/home/me/it'\''s' && WAN22_FLEET_NODE=b exec '/opt/my tools/wan22-tune' fleet /shared/fleet --here=tune --key=c0ffee --cpus=8";
        let words = launcher("ssh -q {node}").words(&job(), "b");
        assert_eq!(words[..3], ["ssh", "-q", "b"]);
        // The node's shell, whichever it is, hands the script to `sh`.
        let read = shell::parted(words[3].to_str().unwrap()).unwrap();
        assert_eq!(read, ["sh", "-c", script]);
        let words = launcher("podman exec -i {node}").words(&job(), "b");
        assert_eq!(words, ["podman", "exec", "-i", "b", "sh", "-c", script]);
        assert_eq!(launcher("").words(&job(), "b")[0], "/opt/my tools/wan22-tune");
    }

    /// A job whose launcher never ends: how it stands.
    fn hung(task: Task, seconds: u64, status: Option<i32>) -> JobState {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("log")).unwrap();
        let mut launcher = launcher("sh -c 'exec sleep 600' {node}");
        launcher.site.folder = root.path().to_owned();
        launcher.site.work_folder = root.path().to_owned();
        let id = launcher.submit(&EngineJob { task, ..job() }).unwrap();
        let left =
            crate::fleet::NodeStatus { task: task.to_string(), status, ..Default::default() };
        Folder::new(root.path()).put_status("b", &left).unwrap();
        launcher.jobs.get_mut(&id).unwrap().since -= std::time::Duration::from_secs(seconds);
        let state = launcher.jobs().unwrap().remove(0).state;
        launcher.jobs[&id].tell_end();
        state
    }

    #[test]
    fn a_launcher_that_hangs_is_not_waited_for() {
        assert_eq!(hung(Task::Probe, 110, None), JobState::Running);
        assert_eq!(hung(Task::Tune, 9999, None), JobState::Running);
        let late = JobState::Over("no answer within 120 s".to_owned());
        assert_eq!(hung(Task::Probe, 121, None), late);
        let told = JobState::Over("its launcher was still running".to_owned());
        assert_eq!(hung(Task::Tune, 1, Some(0)), told);
    }

    #[test]
    fn a_free_node_is_taken_first() {
        assert_eq!(launcher("").node(&job()).unwrap(), "b");
        assert!(launcher("").node(&EngineJob { place: Vec::new(), ..job() }).is_err());
    }
}
