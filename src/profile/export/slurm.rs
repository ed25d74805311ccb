//! `slurm`: a batch script.

use super::Export;
use super::preamble::{forgetting, numactl_flag};
use crate::io::shell;
use crate::machine::CpuSet;

pub(super) fn text(export: &Export<'_>) -> Result<String, String> {
    let launch = export.launch();
    let mut notes = vec![
        if export.command.is_empty() {
            "Type `sbatch FILE COMMAND…`.".to_owned()
        } else {
            "Type `sbatch FILE`; more arguments are handed on.".to_owned()
        },
        "CPU numbers are the node's own only in a job that has the whole node.".to_owned(),
    ];
    if numactl_flag(launch).is_some() {
        notes.push("srun binds memory but has no other policy: numactl sets it.".to_owned());
    }
    notes.extend(export.packages());
    let mut text =
        "#!/bin/bash\n#SBATCH --exclusive\n#SBATCH --nodes=1\n#SBATCH --ntasks=1\n".to_owned();
    if let Some(cpus) = launch.bound_cpus() {
        text += &format!("#SBATCH --cpus-per-task={}\n", cpus.len());
    }
    text += export.preamble(&notes).as_str();
    text += export.library_test("exit")?.as_str();
    text += forgetting(export).as_str();
    for (name, value) in export.host_environment()? {
        text += &format!("export {name}={}\n", shell::text(&[value]));
    }
    // Without a binding of the profile's, the job has all CPUs that it was given.
    let bind =
        launch.bound_cpus().map_or("none".to_owned(), |cpus| format!("mask_cpu:{}", mask(cpus)));
    let mut words = vec!["srun".to_owned(), format!("--cpu-bind={bind}")];
    if let Some(flag) = numactl_flag(launch) {
        words.extend(["numactl".to_owned(), flag, "--".to_owned()]);
    }
    words.extend_from_slice(export.command);
    Ok(format!("{text}exec {} \"$@\"\n", shell::text(&words)))
}

/// The set as one hexadecimal number, the lowest CPU its lowest bit.
fn mask(cpus: &CpuSet) -> String {
    let digits = cpus.last().map_or(0, |last| last / 4);
    let digit = |place: u32| {
        let bits = (0..4).filter(|bit| cpus.contains(4 * place + bit)).map(|bit| 1 << bit);
        char::from_digit(bits.sum(), 16).expect("four bits are a digit")
    };
    format!("0x{}", (0..=digits).rev().map(digit).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_has_the_lowest_cpu_last() {
        for (cpus, expected) in [("0", "0x1"), ("0-1,4", "0x13"), ("3,64", "0x10000000000000008")] {
            assert_eq!(mask(&cpus.parse().unwrap()), expected);
        }
    }
}
