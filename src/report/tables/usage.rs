//! The exact commands that run a program under a profile.

use std::path::Path;

use crate::knobs::handover;
use crate::knobs::memory::MemoryPolicy;
use crate::profile::Profile;
use crate::workload::custom::module::ModuleJob;
use crate::workload::custom::{CommandJob, CustomJob};

/// Runs a command under the profile at `path`.
pub fn with_tool(path: &Path) -> String {
    format!("wan22-tune exec --profile {} -- COMMAND", quoted(&path.display().to_string()))
}

/// Proves the profile at `path` again, which was found for `job` where that is the user's own.
pub fn verify(path: &Path, job: Option<&CustomJob>) -> String {
    let mut words = vec!["wan22-tune".to_owned(), "verify".to_owned()];
    words.push(path.display().to_string());
    match job {
        None => {}
        Some(CustomJob::Module(ModuleJob { file, inputs, .. })) => {
            words.extend(["--module", file, "--inputs", &inputs.to_string()].map(str::to_owned));
        }
        Some(CustomJob::Command(CommandJob { words: command, metric, goal, .. })) => {
            let scored = metric.iter().flat_map(|metric| {
                ["--metric".to_owned(), metric.clone(), "--goal".to_owned(), goal.to_string()]
            });
            words.extend(scored);
            words.push("--".to_owned());
            words.extend_from_slice(command);
        }
    }
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

/// Writes the profile at `path` as a unit of systemd.
pub fn export(path: &Path) -> String {
    let profile = quoted(&path.display().to_string());
    format!("wan22-tune export --format systemd {profile} -- COMMAND")
}

/// The same on a machine that lacks this program; numactl does the binding.
pub fn without_tool(profile: &Profile) -> String {
    let launch = &profile.launch;
    let mut lines = vec!["env".to_owned()];
    let handed = handover::variables(&profile.candidate, profile.latent_ratio());
    let set = launch.environment.iter().chain(&handed);
    lines.extend(set.map(|(name, value)| quoted(&format!("{name}={value}"))));
    let mut binding = format!("numactl --physcpubind={}", launch.cpus);
    let policy = match &launch.memory {
        MemoryPolicy::Default => None,
        MemoryPolicy::Bind(nodes) => Some(("membind", nodes)),
        MemoryPolicy::Preferred(nodes) => Some(("preferred", nodes)),
        MemoryPolicy::Interleave(nodes) => Some(("interleave", nodes)),
        MemoryPolicy::WeightedInterleave(nodes) => Some(("weighted-interleave", nodes)),
    };
    if let Some((name, nodes)) = policy {
        binding.push_str(&format!(" --{name}={nodes}"));
    }
    lines.extend([binding, "COMMAND".to_owned()]);
    lines.join(" \\\n  ")
}

/// A word as a shell reads it.
pub fn quoted(word: &str) -> String {
    let safe = |c: char| c.is_alphanumeric() || "/.-_:+=,@%".contains(c);
    if word.chars().all(safe) && !word.is_empty() {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn words_reach_the_shell_whole() {
        let words = ["plain/file-1.json", "two words", "it's", "$HOME", ""];
        let quoted = words.map(quoted);
        assert_eq!(quoted, ["plain/file-1.json", "'two words'", r"'it'\''s'", "'$HOME'", "''"]);
    }
}
