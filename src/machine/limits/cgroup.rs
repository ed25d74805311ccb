//! Ceilings that cgroups set, version 1, version 2 and both at once.

use std::path::PathBuf;

use crate::machine::roots::{SystemRoots, counter, line};
use crate::machine::{CpuSet, Limits, NodeSet};

/// v1 writes "no limit" as the highest page-aligned number; a number as large is no limit.
const NO_LIMIT_BYTES: u64 = 1 << 60;

/// What the cgroups of this process, and all above them, allow.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cgroup {
    /// Quota and memory limit: the tightest on the way up to the root.
    pub limits: Limits,
    /// `cpuset.cpus`, where a cpuset is set.
    pub cpus: Option<CpuSet>,
    /// `cpuset.mems`, where a cpuset is set.
    pub mems: Option<NodeSet>,
}

impl Cgroup {
    /// Reads the limits of the process that `/proc/self` is; what can't be read sets no limit.
    pub fn read(roots: &SystemRoots) -> Self {
        let mut cgroup = Self::default();
        for hierarchy in hierarchies(roots) {
            for folder in hierarchy.folders() {
                cgroup.tighten(&folder, &hierarchy);
            }
        }
        cgroup
    }

    fn tighten(&mut self, folder: &std::path::Path, hierarchy: &Hierarchy) {
        let read = |name: &str| line(&folder.join(name));
        let number = |name: &str| read(name)?.parse().ok();
        let has = |controller: &str| hierarchy.has(controller);
        if hierarchy.unified {
            self.quota(read("cpu.max").and_then(|text| quota_v2(&text)));
            self.memory(number("memory.max"));
        }
        if has("cpu") {
            let micros = |name| read(name).and_then(|text| text.parse::<f64>().ok());
            let quota = micros("cpu.cfs_quota_us").zip(micros("cpu.cfs_period_us"));
            self.quota(quota.and_then(|(quota, period)| ratio(quota, period)));
        }
        if has("memory") {
            self.memory(number("memory.limit_in_bytes"));
            // Says what groups above a namespace's root allow, which no file down here does.
            let stat = read("memory.stat").unwrap_or_default();
            self.memory(counter(&stat, "hierarchical_memory_limit"));
        }
        if hierarchy.unified || has("cpuset") {
            let set = |names: [&str; 2]| names.into_iter().find_map(read)?.parse().ok();
            let cpus = ["cpuset.cpus.effective", "cpuset.effective_cpus"];
            let mems = ["cpuset.mems.effective", "cpuset.effective_mems"];
            narrow(&mut self.cpus, set(cpus).or_else(|| set(["cpuset.cpus"; 2])));
            narrow(&mut self.mems, set(mems).or_else(|| set(["cpuset.mems"; 2])));
        }
    }

    fn quota(&mut self, quota: Option<f64>) {
        if let Some(quota) = quota {
            let old = self.limits.cpu_quota.unwrap_or(f64::INFINITY);
            self.limits.cpu_quota = Some(old.min(quota));
        }
    }

    fn memory(&mut self, bytes: Option<u64>) {
        if let Some(bytes) = bytes.filter(|&bytes| bytes > 0 && bytes < NO_LIMIT_BYTES) {
            let old = self.limits.memory_bytes.unwrap_or(u64::MAX);
            self.limits.memory_bytes = Some(old.min(bytes));
        }
    }
}

fn narrow(known: &mut Option<CpuSet>, found: Option<CpuSet>) {
    let Some(found) = found.filter(|set| !set.is_empty()) else { return };
    *known = Some(known.take().map_or_else(|| found.clone(), |known| known.intersection(&found)));
}

/// CPUs worth of time from `cpu.max`: `150000 100000` is 1.5, `max 100000` none.
fn quota_v2(text: &str) -> Option<f64> {
    let (quota, period) = text.split_once(' ')?;
    ratio(quota.parse().ok()?, period.trim().parse().ok()?)
}

fn ratio(quota: f64, period: f64) -> Option<f64> {
    let cpus = quota / period;
    (quota > 0.0 && period > 0.0 && cpus.is_finite()).then_some(cpus)
}

/// One mounted hierarchy and this process's place in it.
pub(super) struct Hierarchy {
    /// Version 2.
    unified: bool,
    controllers: Vec<String>,
    mount: PathBuf,
    /// From the mount point down to the process's group.
    path: Vec<String>,
}

impl Hierarchy {
    fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|name| name == controller)
    }

    /// The process's group and every one above it, as far as they can be seen.
    pub(super) fn folders(&self) -> impl Iterator<Item = PathBuf> + '_ {
        (0..=self.path.len()).rev().map(|depth| {
            let below: PathBuf = self.path[..depth].iter().collect();
            self.mount.join(below)
        })
    }
}

pub(super) fn hierarchies(roots: &SystemRoots) -> Vec<Hierarchy> {
    let groups = line(&roots.proc.join("self/cgroup")).unwrap_or_default();
    let mounts = line(&roots.proc.join("self/mountinfo")).unwrap_or_default();
    let mounts: Vec<Mount> = mounts.lines().filter_map(Mount::parse).collect();
    let hierarchy = |text: &str| {
        let mut parts = text.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        let controllers: Vec<String> =
            controllers.split(',').filter(|c| !c.is_empty()).map(ToOwned::to_owned).collect();
        let unified = controllers.is_empty();
        let mount = mounts.iter().find(|mount| mount.carries(unified, &controllers))?;
        let path = mount.below(path);
        Some(Hierarchy { unified, controllers, mount: roots.mounted(&mount.point), path })
    };
    groups.lines().filter_map(hierarchy).collect()
}

/// A line of `/proc/self/mountinfo` that mounts a cgroup hierarchy.
struct Mount {
    unified: bool,
    /// The folder of the hierarchy that is mounted.
    root: String,
    point: String,
    options: Vec<String>,
}

impl Mount {
    fn parse(line: &str) -> Option<Self> {
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ').skip(3);
        let (root, point) = (before.next()?, before.next()?);
        let mut after = after.split(' ');
        let unified = match after.next()? {
            "cgroup2" => true,
            "cgroup" => false,
            _ => return None,
        };
        let options = after.nth(1).unwrap_or_default().split(',').map(ToOwned::to_owned).collect();
        Some(Self { unified, root: unescape(root), point: unescape(point), options })
    }

    fn carries(&self, unified: bool, controllers: &[String]) -> bool {
        self.unified == unified && controllers.iter().all(|c| self.options.contains(c))
    }

    /// The steps from the mount point down to `path`. A path outside of what is mounted (another
    /// namespace's) can't be seen: then the mount point is all there is.
    fn below(&self, path: &str) -> Vec<String> {
        let root = self.root.trim_end_matches('/');
        let inside =
            path.strip_prefix(root).filter(|rest| rest.is_empty() || rest.starts_with('/'));
        let steps: Vec<String> = inside
            .unwrap_or_default()
            .split('/')
            .filter(|step| !step.is_empty())
            .map(ToOwned::to_owned)
            .collect();
        if steps.iter().any(|step| step == "..") { Vec::new() } else { steps }
    }
}

/// mountinfo writes blanks, tabs, newlines and backslashes as octal.
fn unescape(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(files: &[(&str, &str)]) -> Cgroup {
        let (_tree, roots) = SystemRoots::of_files(files);
        Cgroup::read(&roots)
    }

    const V2: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";

    #[test]
    fn the_tightest_limit_on_the_way_up_wins() {
        let cgroup = read(&[
            ("proc/self/cgroup", "0::/slice/job\n"),
            ("proc/self/mountinfo", V2),
            ("sys/fs/cgroup/slice/cpu.max", "150000 100000\n"),
            ("sys/fs/cgroup/slice/job/cpu.max", "max 100000\n"),
            ("sys/fs/cgroup/slice/memory.max", "max\n"),
            ("sys/fs/cgroup/slice/job/memory.max", "1073741824\n"),
            ("sys/fs/cgroup/slice/job/cpuset.cpus.effective", "0-3,8\n"),
            ("sys/fs/cgroup/slice/job/cpuset.mems.effective", "1\n"),
        ]);
        assert_eq!(cgroup.limits, Limits { cpu_quota: Some(1.5), memory_bytes: Some(1 << 30) });
        assert_eq!(cgroup.cpus.unwrap().to_string(), "0-3,8");
        assert_eq!(cgroup.mems.unwrap().to_string(), "1");
    }

    #[test]
    fn version_1_is_read_from_each_controllers_own_mount() {
        let mounts = "31 23 0:27 /docker/x /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
             32 23 0:28 /docker/x /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
             33 23 0:29 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n";
        let cgroup = read(&[
            ("proc/self/cgroup", "3:cpuset:/a\n2:memory:/docker/x/y\n1:cpu,cpuacct:/docker/x\n"),
            ("proc/self/mountinfo", mounts),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "250000"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712"),
            ("sys/fs/cgroup/memory/y/memory.limit_in_bytes", "4096"),
            ("sys/fs/cgroup/memory/y/memory.stat", "cache 0\nhierarchical_memory_limit 2048\n"),
            ("sys/fs/cgroup/cpuset/a/cpuset.cpus", "2-3"),
        ]);
        assert_eq!(cgroup.limits, Limits { cpu_quota: Some(2.5), memory_bytes: Some(2048) });
        assert_eq!(cgroup.cpus.unwrap().to_string(), "2-3");
        assert_eq!(cgroup.mems, None);
    }

    #[test]
    fn both_versions_at_once_both_count() {
        let mounts = format!("{V2}32 23 0:28 / /memory rw - cgroup cgroup rw,memory\n");
        let cgroup = read(&[
            ("proc/self/cgroup", "4:memory:/m\n0::/u\n"),
            ("proc/self/mountinfo", &mounts),
            ("sys/fs/cgroup/u/cpu.max", "50000 100000"),
            ("memory/m/memory.limit_in_bytes", "8192"),
        ]);
        assert_eq!(cgroup.limits, Limits { cpu_quota: Some(0.5), memory_bytes: Some(8192) });
    }

    #[test]
    fn rubbish_and_absence_set_no_limit() {
        assert_eq!(read(&[]), Cgroup::default());
        let cgroup = read(&[
            ("proc/self/cgroup", "0::/../elsewhere\nnonsense\n"),
            ("proc/self/mountinfo", V2),
            ("sys/fs/cgroup/cpu.max", "0 0"),
            ("sys/fs/cgroup/memory.max", "lots"),
            ("sys/fs/cgroup/cpuset.cpus.effective", "a-b"),
        ]);
        assert_eq!(cgroup, Cgroup::default());
    }
}
