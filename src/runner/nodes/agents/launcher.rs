//! Launcher: the command that starts a program on a node, such as `ssh {node}`.

use std::path::Path;
use std::process::Command;

/// What stands for the node's name.
pub const NODE: &str = "{node}";

/// Words before the program's own, in which `{node}` stands for the node's name; none starts it on this
/// machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launcher(Vec<String>);

impl Launcher {
    /// Inside a Slurm allocation: a step with the whole node.
    pub const SLURM: &str = "srun -N1 -n1 -w {node} --cpu-bind=none --unbuffered";

    /// The launcher of a template, whose words are separated by blanks.
    pub fn of(template: &str) -> Self {
        Self(template.split_whitespace().map(ToOwned::to_owned).collect())
    }

    /// Whether it starts programs on this machine.
    pub fn is_local(&self) -> bool {
        !self.0.iter().any(|word| word.contains(NODE))
    }

    /// The command that starts `program` on `node`.
    pub fn command(&self, node: &str, program: &Path) -> Command {
        let mut words = self.0.iter().map(|word| word.replace(NODE, node));
        let Some(first) = words.next() else { return Command::new(program) };
        let mut command = Command::new(first);
        command.args(words).arg(program);
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_names_the_node() {
        let words = |template: &str| {
            let command = Launcher::of(template).command("n7", Path::new("/bin/tool"));
            let words = std::iter::once(command.get_program()).chain(command.get_args());
            words.map(|word| word.to_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(words("ssh  -T {node}"), "ssh -T n7 /bin/tool");
        assert_eq!(words(""), "/bin/tool");
        assert_eq!(words("env A=/x/{node}"), "env A=/x/n7 /bin/tool");
        assert!(Launcher::of("nice").is_local() && !Launcher::of(Launcher::SLURM).is_local());
    }
}
