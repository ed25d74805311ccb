//! `profiles`: the profiles that a host keeps.

pub mod diff;
mod new;

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::exec::{AutoProfile, pick};
use super::{Usage, terminal};
use crate::cli::{ProfileFoldersArgs, ProfilesArgs, ProfilesVerb, SignatureArgs};
use crate::io::output::print;
use crate::launch;
use crate::machine::{Machine, MachineMatch};
use crate::profile::{self, Entry, FileName, Profile, Store, ThisMachine};

impl ProfileFoldersArgs {
    /// The folders.
    pub fn store(&self) -> Store {
        if self.folders.is_empty() { Store::standard() } else { Store::new(self.folders.clone()) }
    }
}

/// Runs the subcommand.
///
/// # Errors
/// What can't be read or written, or does not hold.
pub fn run(args: &ProfilesArgs) -> Result<()> {
    let store = args.place.store();
    match &args.verb {
        ProfilesVerb::List => list(&store),
        ProfilesVerb::Show { profile } => show(&store, profile.as_deref()),
        ProfilesVerb::Use { profile, job, force } => keep(&store, profile, job.as_deref(), *force),
        ProfilesVerb::New { baseline, set } => new::run(baseline.as_ref(), set),
        ProfilesVerb::Schema => print(&Profile::schema()),
        ProfilesVerb::Verify { profile: None, .. } => verify(&store),
        ProfilesVerb::Verify { profile: Some(path), signature } => verify_one(path, signature),
    }
}

/// Keeps a profile, unless it proves less than the one whose place it would take.
fn keep(store: &Store, file: &Path, job: Option<&str>, force: bool) -> Result<()> {
    let profile = Profile::read(file)?;
    let machine = Machine::detect_host()?;
    let replaced = store.replaced(&store.kept()?, &profile, job, &machine)?;
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
    print(&format!("{}\n", store.put(&profile, job, &replaced, &machine)?.display()))
}

fn list(store: &Store) -> Result<()> {
    let machine = Machine::detect_host()?;
    let here = ThisMachine::of(&machine);
    let mut entries = store.entries(&machine);
    let AutoProfile { profile: picked, passed_over } = pick(store, &machine);
    let picked = picked.map(|(path, _)| path);
    let order = |entry: &Entry| {
        entry
            .profile
            .as_ref()
            .map_or(MachineMatch::Different, |profile| here.machine_match(profile))
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
        let star = if Some(&entry.path) == picked.as_ref() { "*" } else { " " };
        let _ = writeln!(text, "{star} {:width$}  {}", stem(&entry.path), line(entry, &here));
        if let Some(quota) = quota_note(entry, &machine, &here) {
            let _ = writeln!(text, "    {quota}; `wan22-tune exec --adapt` fits the counts");
        }
        if let Some((_, problem)) = passed_over.iter().find(|(path, _)| *path == entry.path) {
            let _ = writeln!(text, "    passed over by `wan22-tune exec --auto`: {problem:#}");
        }
    }
    if picked.is_some() {
        text += "* is what `wan22-tune exec --auto` takes here.\n";
    }
    terminal::show(&text)
}

/// What `exec --auto` takes here; where nothing can be applied, the best that there is.
fn best(store: &Store, machine: &Machine) -> Option<(PathBuf, Profile)> {
    let first = || store.ranked(machine, None).find_map(|e| Some((e.path, e.profile.ok()?)));
    pick(store, machine).profile.or_else(first)
}

/// What is wrong with a profile of this machine under the quota that this process has.
fn quota_note(entry: &Entry, machine: &Machine, here: &ThisMachine) -> Option<String> {
    let profile = entry.profile.as_ref().ok()?;
    let is_ours = here.machine_match(profile) != MachineMatch::Different;
    profile.quota_mismatch(machine).filter(|_| is_ours)
}

fn line(entry: &Entry, here: &ThisMachine) -> String {
    match &entry.profile {
        Err(problem) => format!("refused: {problem:#}"),
        Ok(profile) => {
            let what = here.machine_match(profile);
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
    terminal::show(&text(&path, &profile, &ThisMachine::of(&machine)))
}

fn named(store: &Store, name: &str, here: &Machine) -> Result<(PathBuf, Profile)> {
    let entries = store.entries(here);
    let mut fitting: Vec<Entry> =
        entries.into_iter().filter(|entry| stem(&entry.path).starts_with(name)).collect();
    if fitting.iter().any(|entry| stem(&entry.path) == name) {
        fitting.retain(|entry| stem(&entry.path) == name);
    }
    match (fitting.pop(), fitting.pop()) {
        (Some(entry), None) => Ok((entry.path, entry.profile?)),
        (None, _) => Err(Usage(format!("{name}: no such file, nor a name in the list")).into()),
        _ => Err(Usage(format!("{name}: several names begin so; give more of it")).into()),
    }
}

fn text(path: &Path, profile: &Profile, here: &ThisMachine) -> String {
    let launch = &profile.launch;
    let hardware = &profile.hardware_profile;
    let evidence = profile.evidence.as_ref();
    let verdict = evidence.map_or("never measured".to_owned(), |evidence| {
        format!("{}, {} pairs of {}", evidence.verdict, evidence.pairs, evidence.workload)
    });
    let left = || "as they are".to_owned();
    let mut text = String::new();
    for (what, words) in [
        ("file", path.display().to_string()),
        ("machine", format!("{} ({})", profile.machine.host, here.machine_match(profile))),
        ("processor", format!("{}, {} cores", hardware.cpu_model, hardware.cpu_cores)),
        ("made", format!("{} by {}", profile.timestamp, profile.tool)),
        ("verdict", verdict),
        ("gain", gain(profile)),
        ("CPUs", launch.bound_cpus().map_or_else(left, ToString::to_string)),
        ("memory", launch.set_memory().map_or_else(left, ToString::to_string)),
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
    let here = ThisMachine::of(&machine);
    let (mut text, mut bad) = (String::new(), 0);
    let entries = store.entries(&machine);
    let width = name_width(&entries);
    for entry in &entries {
        let checked = entry.profile.as_ref().map_err(|error| format!("{error:#}"));
        let checked = checked.and_then(|profile| {
            well_named(profile, &entry.path, &here)?;
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
    let words =
        launchable(&profile, &machine, &ThisMachine::of(&machine)).map_err(anyhow::Error::msg);
    let words = words.with_context(|| format!("profile {}", path.display()))?;
    terminal::show(&format!("{}: {words}\n", path.display()))
}

/// Whether a kept file is called as its machine, or has a name that says nothing of a machine.
fn well_named(profile: &Profile, path: &Path, here: &ThisMachine) -> Result<(), String> {
    let fingerprint = &profile.machine.fingerprint;
    let expected = FileName::on(here, profile, None);
    let is_named = FileName::parse(path).is_none_or(|name| {
        // Older versions did not name the part.
        let is_of_part = name.part.is_none() || name.part == expected.part;
        name.shape == fingerprint.shape && name.identity == fingerprint.identity && is_of_part
    });
    is_named
        .then_some(())
        .ok_or_else(|| format!("it is called otherwise than its machine: {expected}"))
}

/// Whether a good profile would start here, in words.
fn launchable(profile: &Profile, machine: &Machine, here: &ThisMachine) -> Result<String, String> {
    let what = here.machine_match(profile);
    if what == MachineMatch::Different {
        return Ok("good, for another machine".to_owned());
    }
    profile.agrees(machine).map_err(|error| error.to_string())?;
    launch::dry_run(&profile.launch, true).map_err(|problem| format!("{problem:#}"))?;
    let quota = profile.quota_mismatch(machine);
    let quota = quota.map(|quota| format!("; but {quota}, or launch it with --adapt"));
    Ok(format!("good, {what}{}", quota.unwrap_or_default()))
}
