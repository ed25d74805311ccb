//! The exact commands that run a program under a profile.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::str::Utf8Chunk;

use crate::io::printable::is_hidden;
use crate::knobs::{Value, Values, program_environment};
use crate::profile::Profile;
use crate::profile::export::numactl_flag;
use crate::results::Results;
use crate::workload::custom::module::ModuleJob;
use crate::workload::custom::sink::{self, Sink};
use crate::workload::custom::template::{self, Substitution};
use crate::workload::custom::{CommandJob, CustomJob};

/// Runs a command under the profile at `path`: what comes `after_exec`, or any.
pub fn with_tool(path: &Path, after_exec: Option<&str>) -> String {
    format!("wan22-tune exec --profile {} {}", quoted(path), after_exec.unwrap_or("-- COMMAND"))
}

/// The line that runs a command with `values` of its knobs, its words being `words`.
///
/// # Errors
/// A word that can't be filled in.
pub fn command_line(
    command: &CommandJob,
    values: &Values,
    words: &[String],
) -> Result<String, String> {
    let words: Vec<OsString> = words.iter().map(OsString::from).collect();
    let filled =
        Substitution::of(&words, values, &program_environment::own(values)).words(&words)?;
    let variables = sink::variables(&command.sinks, values);
    let env = (!variables.is_empty()).then(|| "env".to_owned());
    let variables = variables.into_iter().map(|(name, value)| quoted(format!("{name}={value}")));
    Ok(env
        .into_iter()
        .chain(variables)
        .chain(filled.iter().map(quoted))
        .collect::<Vec<_>>()
        .join(" "))
}

/// What `values` put into the JSON files that a command reads: `c.json#/a` and the value.
pub fn patches(command: &CommandJob, values: &Values) -> Vec<(String, Value)> {
    let patch = |(knob, sink): (&String, &Sink)| match sink {
        Sink::Json { file, pointer } => {
            Some((format!("{file}#{pointer}"), values.get(knob)?.clone()))
        }
        Sink::Env(_) => None,
    };
    command.sinks.iter().filter_map(patch).collect()
}

/// Proves the profile at `path` again, which `results` have proven.
pub fn verify(path: &Path, results: &Results) -> String {
    let (job, sizes) = (results.tune.custom_job.as_ref(), &results.proven_on().own_sizes);
    let mut words = vec!["wan22-tune verify".to_owned(), quoted(path)];
    let least = results.tune.min_psnr_db;
    words.extend(least.into_iter().flat_map(|db| ["--min-psnr".to_owned(), db.to_string()]));
    let files = job.and_then(CustomJob::pictures).and_then(|pictures| pictures.files.as_ref());
    words.extend(files.into_iter().flat_map(|files| ["--output".to_owned(), quoted(files)]));
    match job {
        None => {}
        Some(CustomJob::Module(ModuleJob { file, inputs, .. })) => {
            let flags = ["--module", file, "--inputs", &inputs.to_string()];
            words.extend(flags.iter().map(quoted));
        }
        Some(CustomJob::Worker(worker)) => {
            words.extend(["--worker".to_owned(), "--".to_owned()]);
            words.extend(worker.words.iter().map(quoted));
        }
        Some(CustomJob::Command(job)) => {
            let CommandJob { words: command, metric, goal, check, sinks, .. } = &job.at(sizes);
            let flag = |(knob, sink)| ["--knob".to_owned(), quoted(format!("{knob} {sink}"))];
            words.extend(sinks.iter().flat_map(flag));
            let scored = metric.iter().flat_map(|metric| {
                ["--metric".to_owned(), quoted(metric), "--goal".to_owned(), goal.to_string()]
            });
            words.extend(scored);
            words.extend(check.iter().flat_map(|check| ["--check".to_owned(), quoted(check)]));
            words.push("--".to_owned());
            let own = program_environment::own(&results.space.given.baseline);
            words.extend(command.iter().map(|word| quoted(template::with_today(word, &own))));
        }
    }
    words.join(" ")
}

/// Writes the profile at `path` as a unit of systemd.
pub fn export(path: &Path) -> String {
    format!("wan22-tune export --format systemd {} -- COMMAND", quoted(path))
}

/// The same on a machine that lacks this program; numactl does the binding.
pub fn without_tool(profile: &Profile, command: Option<String>) -> String {
    let launch = &profile.launch;
    let mut lines = vec!["env".to_owned()];
    let handed = program_environment::variables(&profile.values(), profile.latent_ratio());
    let set = launch.environment.iter().chain(&handed);
    lines.extend(set.map(|(name, value)| quoted(format!("{name}={value}"))));
    let cpus = launch.bound_cpus().map(|cpus| format!("--physcpubind={cpus}"));
    let flags: Vec<String> = cpus.into_iter().chain(numactl_flag(launch)).collect();
    lines.extend((!flags.is_empty()).then(|| format!("numactl {}", flags.join(" "))));
    lines.push(command.unwrap_or_else(|| "COMMAND".to_owned()));
    lines.join(" \\\n  ")
}

/// A word as a shell reads it. One that has bytes which are no text, or signs that can't be shown, is
/// written as bash, zsh and others read it: `$'caf\xe9'`.
pub fn quoted(word: impl AsRef<OsStr>) -> String {
    let word = word.as_ref();
    let safe = |c: char| c.is_alphanumeric() || "/.-_:+=,@%".contains(c);
    match word.to_str().filter(|text| !text.contains(is_hidden)) {
        Some(text) if text.chars().all(safe) && !text.is_empty() => text.to_owned(),
        Some(text) => format!("'{}'", text.replace('\'', r"'\''")),
        None => format!(
            "$'{}'",
            word.as_bytes().utf8_chunks().map(|chunk| escaped(&chunk)).collect::<String>()
        ),
    }
}

/// A text and the bytes after it that are no text.
fn escaped(chunk: &Utf8Chunk<'_>) -> String {
    let bytes =
        |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!(r"\x{byte:02x}")).collect() };
    let shown = |c: char| match c {
        '\'' | '\\' => format!(r"\{c}"),
        c if is_hidden(c) => bytes(c.encode_utf8(&mut [0; 4]).as_bytes()),
        c => c.to_string(),
    };
    let text: String = chunk.valid().chars().map(shown).collect();
    text + &*bytes(chunk.invalid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_reach_the_shell_whole() {
        let words = ["plain/file-1.json", "two words", "it's", "$HOME", ""];
        let quoted = words.map(quoted);
        assert_eq!(quoted, ["plain/file-1.json", "'two words'", r"'it'\''s'", "'$HOME'", "''"]);
    }

    #[test]
    fn words_that_can_not_be_shown_reach_bash_byte_by_byte() {
        assert_eq!(quoted(OsStr::from_bytes(b"caf\xe9/p.json")), r"$'caf\xe9/p.json'");
        let words: [&[u8]; 5] =
            [b"caf\xe9f/it's \\ a", b"a\nb\x1b[31m", b"\xff", b"x\xe2\x80\xaey", b"\xc3\xa9\xc3"];
        for word in words {
            let quoted = quoted(OsStr::from_bytes(word));
            assert!(!quoted.contains(is_hidden), "{quoted:?}");
            let script = format!("printf %s {quoted}");
            let output = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
            assert_eq!(output.stdout, word, "{quoted}");
        }
    }
}
