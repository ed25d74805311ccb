//! Nodes that are reached by a real sshd, one in the namespaces of each; Slurm starts nothing here.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use wan22_tune::results::{Folder, Results};

use crate::cluster::{Cluster, JOB, Running, TUNE, said, until};

/// Nodes with an sshd each, in a folder whose name needs quoting.
struct Reached {
    /// They end before their nodes do.
    daemons: Vec<Running>,
    cluster: Cluster,
    folder: PathBuf,
}

impl Reached {
    fn up(nodes: usize) -> Self {
        let cluster = Cluster::up(nodes, "linuxproc");
        let folder = cluster.path().join("it's a folder");
        fs::create_dir_all(&folder).unwrap();
        // sshd refuses to start without it.
        fs::create_dir_all("/run/sshd").unwrap();
        let mut reached = Self { cluster, folder, daemons: Vec::new() };
        reached.key("host");
        reached.key("user");
        fs::copy(reached.file("user.pub"), reached.file("authorized")).unwrap();
        let mut hosts = String::new();
        for node in 1..=nodes {
            let port = reached.daemon(node);
            hosts += &format!("Host n{node}\n  Port {port}\n");
        }
        let common = "Host *\n  HostName 127.0.0.1\n  BatchMode yes\n  StrictHostKeyChecking no\n  \
                      UserKnownHostsFile /dev/null\n  LogLevel ERROR\n";
        let key = format!("  IdentityFile \"{}\"\n", reached.file("user").display());
        fs::write(reached.folder.join("my config"), format!("{hosts}{common}{key}")).unwrap();
        reached
    }

    /// A file of ssh's; sshd takes no blanks in some of its options.
    fn file(&self, name: &str) -> PathBuf {
        self.cluster.path().join(format!("ssh-{name}"))
    }

    fn key(&self, name: &str) {
        let mut keygen = Command::new("ssh-keygen");
        let keygen = keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(self.file(name));
        assert!(keygen.status().unwrap().success());
    }

    /// Starts the daemon of a node; its port.
    fn daemon(&mut self, node: usize) -> u16 {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let text = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\n\
             StrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\nPidFile none\n\
             SetEnv XDG_CACHE_HOME={}\n",
            self.file("host").display(),
            self.file("authorized").display(),
            env!("CARGO_TARGET_TMPDIR"),
        );
        let config = self.file(&format!("daemon-{node}"));
        fs::write(&config, text).unwrap();
        let words = ["/usr/sbin/sshd", "-D", "-e", "-f", config.to_str().unwrap()];
        self.daemons.push(Running::start(self.cluster.on(node, &words)));
        until("sshd listens", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
        port
    }

    fn tuner(&self, words: &[&str]) -> Command {
        let mut command = self.cluster.tuner(words);
        command.current_dir(&self.folder).args(TUNE).args(["--", JOB, "{blocks=8}"]);
        command
    }
}

/// The launcher of both: its own file needs quotes.
const LAUNCHER: &str = "ssh -F 'my config' {node}";

#[test]
fn nodes_behind_sshd_are_tuned_as_a_fleet_and_search_together() {
    let reached = Reached::up(2);
    let engine = format!("--engine={LAUNCHER}");
    let fleet = ["fleet", "my fleet", &engine, "--nodes=n[1-2]", "--poll=0.5", "--budget=8s"];
    let output = reached.tuner(&fleet).output().unwrap();
    let log = fs::read_to_string(reached.folder.join("my fleet/log/probe-n1.log"));
    assert_eq!(output.status.code(), Some(0), "{}\n{log:?}", said(&output));
    let found = fs::read(reached.folder.join("my fleet/fleet.json")).unwrap();
    let found: Value = serde_json::from_slice(&found).unwrap();
    let rows = found["nodes"].as_array().unwrap();
    let classes: BTreeSet<&str> = rows.iter().map(|row| row["class"].as_str().unwrap()).collect();
    assert_eq!(classes.len(), 1, "{found}");
    let tuned = rows.iter().find(|row| row["state"] == "tuned").unwrap();
    let host = &found["comparison"]["runs"][0]["machine"]["host"];
    assert_eq!(host, &tuned["node"], "the tune ran in the node's own namespaces");
    // The folder alone knows the way.
    let again = reached.cluster.tuner(&["fleet", "my fleet", "--quiet"]);
    let again = { again }.current_dir(&reached.folder).output().unwrap();
    assert_eq!(again.status.code(), Some(0), "{}", said(&again));

    let tune = ["--nodes=n[1-2]", "--launcher", LAUNCHER, "--budget=12s", "--results=my results"];
    let output = reached.tuner(&tune).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let results = fs::read_dir(reached.folder.join("my results")).unwrap().next().unwrap().unwrap();
    let results = Results::open(&Folder::new(results.path())).unwrap();
    let nodes: BTreeSet<&str> = results.trials.iter().map(|trial| trial.node.as_str()).collect();
    assert_eq!(nodes, BTreeSet::from(["n1", "n2"]));
}
