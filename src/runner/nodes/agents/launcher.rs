//! Launcher: the command that starts a program on a node, such as `ssh {node}`.

use std::ffi::{OsStr, OsString};

use crate::io::shell;

/// What stands for the node's name.
pub const NODE: &str = "{node}";

/// Words before a program's own, in which `{node}` stands for the node's name; none starts it on this
/// machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Launcher(Vec<String>);

impl Launcher {
    /// Inside a Slurm allocation: a step with the whole node.
    pub const SLURM: &str = "srun -N1 -n1 -w {node} --cpu-bind=none --unbuffered";

    /// The launcher of a template, which is parted as a shell does.
    ///
    /// # Errors
    /// A quote that is not closed.
    pub fn of(template: &str) -> Result<Self, String> {
        shell::parted(template).map(Self)
    }

    /// Whether it starts programs on this machine.
    pub fn is_local(&self) -> bool {
        !self.0.iter().any(|word| word.contains(NODE))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The words that start `command` on `node`.
    pub fn words(&self, node: &str, command: &[impl AsRef<OsStr>]) -> Vec<OsString> {
        let own = self.0.iter().map(|word| word.replace(NODE, node).into());
        if self.has_shell() {
            return own.chain([shell::line(command)]).collect();
        }
        own.chain(command.iter().map(|word| word.as_ref().to_owned())).collect()
    }

    /// Whether a shell on the node reads the words, as behind `ssh`, which hands them on unquoted.
    fn has_shell(&self) -> bool {
        let before: Vec<&String> = self.0.iter().take_while(|word| !word.contains(NODE)).collect();
        let is_value = |at: usize| at > 0 && before[at - 1].starts_with('-');
        let is_ssh =
            |word: &str| ["ssh", "autossh"].contains(&word.rsplit('/').next().unwrap_or(word));
        before.iter().enumerate().any(|(at, word)| is_ssh(word) && !is_value(at))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_template_names_the_node() {
        let words =
            |template: &str| Launcher::of(template).unwrap().words("n7", &["/my tool", "agent"]);
        assert_eq!(words("ssh  -T {node}"), ["ssh", "-T", "n7", "'/my tool' agent"]);
        let sudo = words("sudo /bin/ssh -F 'a b' me@{node}");
        assert_eq!(sudo[3..], ["a b", "me@n7", "'/my tool' agent"]);
        assert_eq!(words("podman exec ssh-{node}")[2..], ["ssh-n7", "/my tool", "agent"]);
        assert_eq!(words("env 'A=/x y/{node}'"), ["env", "A=/x y/n7", "/my tool", "agent"]);
        assert_eq!(words(""), ["/my tool", "agent"]);
        assert!(Launcher::of("nice").unwrap().is_local());
        assert!(!Launcher::of(Launcher::SLURM).unwrap().is_local());
        assert!(Launcher::of("ssh 'a {node}").is_err());
    }

    /// A program that does with its words what `ssh` does: joins them for a shell.
    #[test]
    fn words_arrive_whole_behind_a_shell_and_without() {
        let folder = tempfile::tempdir().unwrap();
        let ssh = folder.path().join("ssh");
        fs::write(&ssh, "shift\nexec sh -c \"$*\"\n").unwrap();
        let command = ["printf", "%s|", "it's", "two words", "$HOME", "", "*", "a;b"];
        let behind_a_shell = format!("sh {} {{node}}", ssh.display());
        for template in [&behind_a_shell, "env NODE={node}", ""] {
            let words = Launcher::of(template).unwrap().words("n1", &command);
            let output = Command::new(&words[0]).args(&words[1..]).output().unwrap();
            let said = String::from_utf8(output.stdout).unwrap();
            assert_eq!(said, "it's|two words|$HOME||*|a;b|", "{template}");
        }
    }
}
