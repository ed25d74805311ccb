//! `profiles`: the profiles that a host keeps.

pub mod diff;

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};

use super::setup::signature::SignatureArgs;
use super::{Usage, terminal};
use crate::io::output::print;
use crate::knobs::allow_list;
use crate::machine::{Machine, MachineMatch};
use crate::profile::{self, Entry, FileName, Here, Profile, Store};

/// Which profiles.
#[derive(Debug, Args)]
pub struct ProfilesArgs {
    /// What to do.
    #[command(subcommand)]
    verb: Verb,
    /// Where they are.
    #[command(flatten)]
    place: PlaceArgs,
}

/// Where profiles are kept.
#[derive(Debug, Args)]
pub struct PlaceArgs {
    /// A folder of profiles, instead of $XDG_DATA_HOME/wan22-tune/profiles and
    /// /etc/wan22-tune/profiles.d; may be given again, and the first one wins.
    #[arg(long = "folder", value_name = "DIR", global = true)]
    folders: Vec<PathBuf>,
}

impl PlaceArgs {
    /// The folders.
    pub fn store(&self) -> Store {
        if self.folders.is_empty() { Store::standard() } else { Store::new(self.folders.clone()) }
    }
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Lists them, those that fit this machine first.
    List,
    /// Shows one: the one for this machine unless a file or name is given.
    Show {
        /// A file, or the beginning of a name in the list.
        profile: Option<String>,
    },
    /// Copies a profile into the first folder, named by its machine's fingerprint and its job, in
    /// the place of the one of the same machine and job.
    Use {
        /// The profile, or a results folder with one.
        #[arg(value_parser = profile::file_argument())]
        profile: PathBuf,
        /// The job that it is kept for, instead of the one that it was tuned for: a word of your
        /// own, which `wan22-tune exec --auto --job` takes.
        #[arg(long, value_name = "NAME", value_parser = job_name)]
        job: Option<String>,
        /// Replaces a profile that proves more.
        #[arg(long)]
        force: bool,
    },
    /// Prints the JSON schema of a profile.
    Schema,
    /// Checks each file, and whether those of this machine can be launched here; or one file.
    Verify {
        /// The profile, or a results folder with one; all that are kept without it.
        #[arg(value_parser = profile::file_argument())]
        profile: Option<PathBuf>,
        /// Who has to have signed it.
        #[command(flatten)]
        signature: SignatureArgs,
    },
}

/// Does it.
///
/// # Errors
/// What can't be read or written, or does not hold.
pub fn run(args: &ProfilesArgs) -> Result<()> {
    let store = args.place.store();
    match &args.verb {
        Verb::List => list(&store),
        Verb::Show { profile } => show(&store, profile.as_deref()),
        Verb::Use { profile, job, force } => keep(&store, profile, job.as_deref(), *force),
        Verb::Schema => print(&Profile::schema()),
        Verb::Verify { profile: None, .. } => verify(&store),
        Verb::Verify { profile: Some(path), signature } => verify_one(path, signature),
    }
}

/// A job's name as it can stand in a file's name.
///
/// # Errors
/// It is none.
pub fn job_name(name: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let begins = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if begins && name.len() <= 64 && name.chars().all(is_plain) {
        return Ok(name.to_owned());
    }
    Err("type at most 64 letters, digits, dots, dashes and underscores, such as i2v".to_owned())
}

/// Keeps a profile, unless it proves less than the one whose place it would take.
fn keep(store: &Store, file: &Path, job: Option<&str>, force: bool) -> Result<()> {
    let profile = Profile::read(file)?;
    let replaced = store.replaced(&profile, job, &Machine::detect_host()?)?;
    for old in &replaced {
        let place = old.path.display();
        let Ok(kept) = &old.profile else {
            terminal::tell(&format!("wan22-tune: replaces {place}, which is refused"));
            continue;
        };
        let made = kept.timestamp.get(..10).unwrap_or_default();
        if profile.proof().is_less_than(&kept.proof()) && !force {
            bail!(Usage(format!(
                "{place} of {made} proves more ({}) than {} ({}): add --force to replace it, or \
                 --job NAME to keep both",
                kept.proof(),
                file.display(),
                profile.proof()
            )));
        }
        terminal::tell(&format!("wan22-tune: replaces {place} of {made} ({})", kept.proof()));
    }
    print(&format!("{}\n", store.put(&profile, job, &replaced)?.display()))
}

fn list(store: &Store) -> Result<()> {
    let machine = Machine::detect_host()?;
    let here = Here::of(&machine);
    let mut entries = store.entries(&machine);
    let picked = best(store, &machine).map(|(path, _)| path);
    let order = |entry: &Entry| {
        entry.profile.as_ref().map_or(MachineMatch::Different, |profile| here.likeness(profile))
    };
    entries.sort_by_key(order);
    let mut text = String::new();
    let width = name_width(&entries);
    if entries.is_empty() {
        let folders = store.folders().iter().map(|folder| folder.display().to_string());
        let folders = folders.collect::<Vec<_>>().join(", ");
        let _ = writeln!(
            text,
            "No profiles in {folders}: `wan22-tune profiles use FILE` puts one there."
        );
    }
    for entry in &entries {
        let mark = if Some(&entry.path) == picked.as_ref() { "*" } else { " " };
        let _ = writeln!(text, "{mark} {:width$}  {}", stem(&entry.path), line(entry, &here));
        if let Some(quota) = quota_note(entry, &machine, &here) {
            let _ = writeln!(text, "    {quota}; `wan22-tune exec --adapt` fits the counts");
        }
    }
    if picked.is_some() {
        text += "* is what `wan22-tune exec --auto` takes here.\n";
    }
    terminal::show(&text)
}

/// What `exec --auto` tries first.
fn best(store: &Store, machine: &Machine) -> Option<(PathBuf, Profile)> {
    store.ranked(machine, None).find_map(|entry| Some((entry.path, entry.profile.ok()?)))
}

/// What is wrong with a profile of this machine under the quota that this process has.
fn quota_note(entry: &Entry, machine: &Machine, here: &Here) -> Option<String> {
    let profile = entry.profile.as_ref().ok()?;
    let is_ours = here.likeness(profile) != MachineMatch::Different;
    profile.quota_mismatch(machine).filter(|_| is_ours)
}

fn line(entry: &Entry, here: &Here) -> String {
    match &entry.profile {
        Err(problem) => format!("refused: {problem:#}"),
        Ok(profile) => {
            let what = here.likeness(profile);
            let host = &profile.machine.host;
            let made = profile.timestamp.get(..10).unwrap_or_default();
            let cpu = &profile.hardware_profile.cpu_model;
            let cores = profile.hardware_profile.cpu_cores;
            format!("{what:12}  {made}  {:>6}  {host} ({cpu}, {cores} cores)", gain(profile))
        }
    }
}

fn gain(profile: &Profile) -> String {
    let gain = profile.evidence.as_ref().and_then(|evidence| evidence.gain_percent);
    gain.map_or_else(|| "-".to_owned(), |gain| format!("{gain:.1}%"))
}

/// Columns of the longest name.
fn name_width(entries: &[Entry]) -> usize {
    entries.iter().map(|entry| stem(&entry.path).chars().count()).max().unwrap_or(0)
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn show(store: &Store, wanted: Option<&str>) -> Result<()> {
    let machine = Machine::detect_host()?;
    let (path, profile) = match wanted {
        Some(file) if Path::new(file).exists() => {
            let file = profile::located(file.into());
            let profile = Profile::read(&file)?;
            (file, profile)
        }
        Some(name) => named(store, name, &machine)?,
        None => {
            let cure = "no profile for this machine: tune, then `wan22-tune profiles use FILE`";
            best(store, &machine).context(cure)?
        }
    };
    terminal::show(&text(&path, &profile, &Here::of(&machine)))
}

fn named(store: &Store, name: &str, here: &Machine) -> Result<(PathBuf, Profile)> {
    let entries = store.entries(here);
    let mut fitting: Vec<Entry> =
        entries.into_iter().filter(|entry| stem(&entry.path).starts_with(name)).collect();
    match (fitting.pop(), fitting.pop()) {
        (Some(entry), None) => Ok((entry.path, entry.profile?)),
        (None, _) => Err(Usage(format!("{name}: no such file, nor a name in the list")).into()),
        _ => Err(Usage(format!("{name}: several names begin so; give more of it")).into()),
    }
}

fn text(path: &Path, profile: &Profile, here: &Here) -> String {
    let launch = &profile.launch;
    let hardware = &profile.hardware_profile;
    let evidence = profile.evidence.as_ref();
    let verdict = evidence.map_or("never measured".to_owned(), |evidence| {
        format!("{}, {} pairs of {}", evidence.verdict, evidence.pairs, evidence.workload)
    });
    let mut text = String::new();
    for (what, words) in [
        ("file", path.display().to_string()),
        ("machine", format!("{} ({})", profile.machine.host, here.likeness(profile))),
        ("processor", format!("{}, {} cores", hardware.cpu_model, hardware.cpu_cores)),
        ("made", format!("{} by {}", profile.timestamp, profile.tool)),
        ("verdict", verdict),
        ("gain", gain(profile)),
        ("CPUs", launch.cpus.to_string()),
        ("memory", launch.memory.to_string()),
    ] {
        let _ = writeln!(text, "{what:10} {words}");
    }
    let rows = |text: &mut String, title: &str, rows: Vec<(&str, String)>| {
        let _ = writeln!(text, "\n{title}");
        for (name, value) in rows {
            let _ = writeln!(text, "  {name:24} {value}");
        }
    };
    let environment = launch.environment.iter().map(|(name, value)| (name.as_str(), value.clone()));
    rows(&mut text, "environment", environment.collect());
    let values = profile.values();
    let knobs = values.iter().map(|(name, value)| (name.as_str(), value.to_string()));
    rows(&mut text, "knobs", knobs.collect());
    text
}

fn verify(store: &Store) -> Result<()> {
    let machine = Machine::detect_host()?;
    let here = Here::of(&machine);
    let (mut text, mut bad) = (String::new(), 0);
    let entries = store.entries(&machine);
    let width = name_width(&entries);
    for entry in &entries {
        let checked = entry.profile.as_ref().map_err(|error| format!("{error:#}"));
        let checked = checked.and_then(|profile| {
            well_named(profile, &entry.path)?;
            launchable(profile, &machine, &here)
        });
        bad += usize::from(checked.is_err());
        let words = checked.unwrap_or_else(|problem| format!("refused: {problem}"));
        let _ = writeln!(text, "{:width$}  {words}", stem(&entry.path));
    }
    terminal::show(&text)?;
    if bad > 0 {
        bail!("{bad} of {} profiles can't be used", entries.len());
    }
    Ok(())
}

fn verify_one(path: &Path, signature: &SignatureArgs) -> Result<()> {
    let profile = signature.read(path)?;
    let machine = Machine::detect_host()?;
    let words = launchable(&profile, &machine, &Here::of(&machine)).map_err(anyhow::Error::msg);
    let words = words.with_context(|| format!("profile {}", path.display()))?;
    terminal::show(&format!("{}: {words}\n", path.display()))
}

/// Whether a kept file is called as its machine.
fn well_named(profile: &Profile, path: &Path) -> Result<(), String> {
    let fingerprint = &profile.machine.fingerprint;
    let is_named = FileName::parse(path).is_some_and(|name| {
        name.shape == fingerprint.shape && name.identity == fingerprint.identity
    });
    let expected = FileName::of(profile, None);
    is_named
        .then_some(())
        .ok_or_else(|| format!("it is called otherwise than its machine: {expected}"))
}

/// Whether a good profile would start here, in words.
fn launchable(profile: &Profile, machine: &Machine, here: &Here) -> Result<String, String> {
    let what = here.likeness(profile);
    if what == MachineMatch::Different {
        return Ok("good, for another machine".to_owned());
    }
    profile.agrees(machine).map_err(|refusal| refusal.to_string())?;
    allow_list::resolved(&profile.launch.environment)?;
    let quota = profile.quota_mismatch(machine);
    let quota = quota.map(|quota| format!("; but {quota}, or launch it with --adapt"));
    Ok(format!("good, {what}{}", quota.unwrap_or_default()))
}
