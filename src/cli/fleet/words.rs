//! Words of a command line, by the flag that they belong to.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};

use clap::{Arg, ArgAction, Command, CommandFactory};

use crate::cli::Cli;

/// Flags of a tune that its fleet decides.
const DECIDED: [&str; 7] = ["budget", "dry_run", "results", "wait", "quiet", "json", "self_test"];

/// Flags of a fleet that its folder keeps: who is tuned, by which engine, and what that is given.
const KEPT: [&str; 12] = [
    "each",
    "engine",
    "node_list",
    "exclude",
    "partition",
    "account",
    "qos",
    "constraint",
    "sbatch",
    "at_once",
    "tries",
    "patience",
];

/// A flag with its values; or a word that belongs to none.
struct Group<'a> {
    id: Option<String>,
    words: &'a [OsString],
}

impl Group<'_> {
    /// The flag in one word, where a fleet's folder keeps it.
    fn kept(&self) -> Option<OsString> {
        let is_kept = self.id.as_deref().is_some_and(|id| KEPT.contains(&id));
        is_kept.then(|| self.words.join(OsStr::new("=")))
    }
}

/// Of the words after `fleet` those that are a tune's own, without what the fleet decides: `dir` is
/// the fleet's folder.
pub fn of_tune(words: &[OsString], dir: &OsStr) -> Vec<OsString> {
    let cli = Cli::command();
    let fleet = cli.find_subcommand("fleet").expect("it is a command");
    let own: BTreeSet<String> = ids(&cli);
    let (flags, command) = parted(words);
    let mut is_dir_found = false;
    let mut kept = Vec::new();
    for group in groups(flags, fleet) {
        match group.id {
            Some(id) if own.contains(&id) && !DECIDED.contains(&id.as_str()) => {
                kept.extend_from_slice(group.words);
            }
            None if !is_dir_found && group.words == [dir] => is_dir_found = true,
            None => kept.extend_from_slice(group.words),
            Some(_) => {}
        }
    }
    kept.extend_from_slice(command);
    kept
}

/// Of the words after `fleet` the flags that its folder keeps, each with its value in one word.
pub fn of_fleet(words: &[OsString]) -> Vec<OsString> {
    let cli = Cli::command();
    let fleet = cli.find_subcommand("fleet").expect("it is a command");
    groups(parted(words).0, fleet).iter().filter_map(Group::kept).collect()
}

/// The words after `fleet` with those flags of earlier calls that are not named anew. One that is
/// named without a value is forgotten.
pub fn resumed(earlier: &[OsString], words: &[OsString]) -> Vec<OsString> {
    let cli = Cli::command();
    let fleet = cli.find_subcommand("fleet").expect("it is a command");
    let (flags, command) = parted(words);
    let groups = groups(flags, fleet);
    let kept: Vec<OsString> = groups.iter().filter_map(Group::kept).collect();
    let named: BTreeSet<&[u8]> = kept.iter().map(|flag| name(flag)).collect();
    let is_empty = |group: &&Group<'_>| group.kept().is_some_and(|f| f.len() == name(&f).len() + 1);
    let earlier = earlier.iter().filter(|flag| !named.contains(name(flag)));
    let typed = groups.iter().filter(|group| !is_empty(group)).flat_map(|group| group.words);
    earlier.chain(typed).chain(command).cloned().collect()
}

/// The name of a flag whose value stands in the same word.
fn name(flag: &OsStr) -> &[u8] {
    flag.as_encoded_bytes().split(|byte| *byte == b'=').next().unwrap_or_default()
}

/// A tune's words without a flag and its values.
pub fn without(words: &[OsString], id: &str) -> Vec<OsString> {
    let cli = Cli::command();
    let (flags, command) = parted(words);
    let others = groups(flags, &cli).into_iter().filter(|group| group.id.as_deref() != Some(id));
    others.flat_map(|group| group.words).chain(command).cloned().collect()
}

/// Of a tune's words those that `verify` takes as well, of the same meaning.
pub fn of_verify(words: &[OsString]) -> Vec<OsString> {
    let cli = Cli::command();
    let verify = cli.find_subcommand("verify").expect("it is a command");
    let taken = ids(verify);
    let (flags, command) = parted(words);
    let is_taken = |id: &str| taken.contains(id) && !DECIDED.contains(&id);
    let mut kept = Vec::new();
    for group in groups(flags, &cli) {
        match group.id.as_deref() {
            Some("knobs") => kept.extend(sink(group.words)),
            Some(id) if is_taken(id) => kept.extend_from_slice(group.words),
            _ => {}
        }
    }
    kept.extend_from_slice(command);
    kept
}

/// Of a knob's declaration where the command reads it: the profile has the value.
fn sink(words: &[OsString]) -> Option<OsString> {
    let text = words.last()?.to_str()?;
    let text = text.strip_prefix("--knob=").unwrap_or(text);
    let at = text.find(" env:").or_else(|| text.find(" json:"))?;
    let name = text.split(['=', ' ']).next()?;
    Some(format!("--knob={name}{}", &text[at..]).into())
}

/// Adds flags before `--`.
pub fn add<W: PartialEq<str>>(words: &mut Vec<W>, flags: impl IntoIterator<Item = W>) {
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    words.splice(end..end, flags);
}

/// What stands before `--`, and the rest.
fn parted(words: &[OsString]) -> (&[OsString], &[OsString]) {
    words.split_at(words.iter().position(|word| word == "--").unwrap_or(words.len()))
}

fn ids(command: &Command) -> BTreeSet<String> {
    command.get_arguments().map(|argument| argument.get_id().to_string()).collect()
}

fn groups<'a>(words: &'a [OsString], command: &Command) -> Vec<Group<'a>> {
    let (mut at, mut groups) = (0, Vec::new());
    while at < words.len() {
        let flag = flag(&words[at], command);
        let count = flag.map_or(1, |flag| 1 + values(flag, &words[at..]));
        let id = flag.map(|flag| flag.get_id().to_string());
        groups.push(Group { id, words: &words[at..at + count] });
        at += count;
    }
    groups
}

fn flag<'a>(word: &OsStr, command: &'a Command) -> Option<&'a Arg> {
    let bytes = word.as_encoded_bytes();
    let name = bytes.strip_prefix(b"--")?;
    let name =
        name.split(|byte| *byte == b'=').next().and_then(|name| str::from_utf8(name).ok())?;
    command.get_arguments().find(|argument| {
        let aliases = argument.get_all_aliases().unwrap_or_default();
        argument.get_long() == Some(name) || aliases.contains(&name)
    })
}

/// How many of the words after the first are its values.
fn values(flag: &Arg, words: &[OsString]) -> usize {
    let takes = matches!(flag.get_action(), ArgAction::Set | ArgAction::Append);
    if !takes || words[0].as_encoded_bytes().contains(&b'=') {
        return 0;
    }
    let range = flag.get_num_args().unwrap_or_else(|| 1.into());
    let is_value = |word: &&OsString| !word.as_encoded_bytes().starts_with(b"-");
    let most = words[1..].iter().take(range.max_values());
    let given = most.take_while(is_value).count();
    given.max(range.min_values()).min(words.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(Into::into).collect()
    }

    #[test]
    fn a_tune_keeps_its_own_words() {
        let kept = |text: &str| of_tune(&words(text), OsStr::new("dir")).join(OsStr::new(" "));
        for (typed, own) in [
            ("dir --budget 30m", ""),
            ("--each node dir --budget=30m --trials 4 --at-once=3", "--trials 4"),
            ("dir --sbatch --time=3 --images pics --partition p", "--images pics"),
            ("dir --dry-run --cold --json --runs 3 --results r", "--cold --runs 3"),
            (
                "dir --warm-start a b --detach -- sh -c --budget",
                "--warm-start a b -- sh -c --budget",
            ),
            ("dir --worker --seed 2 -- dir x", "--worker --seed 2 -- dir x"),
            ("dir --knob blocks=0..40 --worker=w", "--knob blocks=0..40 --worker=w"),
        ] {
            assert_eq!(kept(typed), own, "{typed}");
        }
    }

    #[test]
    fn a_folder_keeps_the_flags_of_the_fleet_itself() {
        let kept = |text: &str| of_fleet(&words(text)).join(OsStr::new(" "));
        for (typed, flags) in [
            ("dir --budget 30m --detach --json", ""),
            ("--each node dir --at-once=3 --trials 4", "--each=node --at-once=3"),
            ("dir --nodes n[1-3] --exclude n2 --seed 2", "--nodes=n[1-3] --exclude=n2"),
            ("dir --sbatch --time=3 --partition p --poll 1", "--sbatch=--time=3 --partition=p"),
            ("dir --engine none -- sh --engine slurm", "--engine=none"),
        ] {
            assert_eq!(kept(typed), flags, "{typed}");
        }
    }

    #[test]
    fn what_is_named_anew_takes_the_place_of_what_was_kept() {
        let earlier = words("--engine=slurm --partition=p --each=class=2");
        for (typed, line) in [
            ("dir", "--engine=slurm --partition=p --each=class=2 dir"),
            ("dir --partition q", "--engine=slurm --each=class=2 dir --partition q"),
            ("dir --partition= --status", "--engine=slurm --each=class=2 dir --status"),
            (
                "dir --each node -- --engine",
                "--engine=slurm --partition=p dir --each node -- --engine",
            ),
        ] {
            assert_eq!(resumed(&earlier, &words(typed)).join(OsStr::new(" ")), line, "{typed}");
        }
    }

    #[test]
    fn a_flag_goes_with_its_values() {
        let words = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        let typed =
            words("--warm-start a b --seed 2 --warm-start=c --cold -- ./job --warm-start d");
        let left = words("--seed 2 --cold -- ./job --warm-start d");
        assert_eq!(without(&typed, "warm_start"), left);
    }

    #[test]
    fn verify_takes_what_it_has_in_common_with_a_tune() {
        let kept = |text: &str| of_verify(&words(text)).join(OsStr::new(" "));
        let typed = "--trials 4 --seed 2 --knob b=0..4 --warm-start a b --metric x -- ./job {b=2}";
        assert_eq!(kept(typed), "--seed 2 --metric x -- ./job {b=2}");
        assert_eq!(kept("--workload encode --strategy random"), "--workload encode");
        let knob = ["--knob", "blocks=0..40 env:BLOCKS"].map(OsString::from);
        assert_eq!(of_verify(&knob), ["--knob=blocks env:BLOCKS"]);
    }
}
