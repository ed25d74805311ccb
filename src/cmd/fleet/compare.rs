//! Compares results folders: machines, gains, best settings, and how far each profile carries.

use anyhow::{Result, bail};

use crate::cli::CompareArgs;
use crate::cmd::terminal;
use crate::fleet::comparison;
use crate::fleet::comparison::Comparison;
use crate::io::atomic_write;

/// Compares and prints.
pub fn run(args: &CompareArgs) -> Result<()> {
    let fleet = Comparison::open(&args.folders);
    for (_, why) in &fleet.skipped {
        terminal::tell(&format!("warning: {why}; skipped"));
    }
    for member in &fleet.members {
        for lost in &member.lost {
            terminal::tell(&format!("warning: {}/trials.csv: {lost}", member.path));
        }
    }
    if fleet.members.is_empty() {
        bail!(
            "none of these is a results folder, which holds machine.json, space.toml and trials.csv"
        );
    }
    if let Some(path) = &args.html {
        atomic_write::replace(path, comparison::page(&fleet, &[])?.as_bytes())?;
    }
    match (args.json, args.csv) {
        (true, _) => crate::io::output::print_json(&comparison::json(&fleet)?),
        (_, true) => crate::io::output::print(&comparison::csv(&fleet)?),
        _ => terminal::show(&comparison::text(&fleet)),
    }
}
