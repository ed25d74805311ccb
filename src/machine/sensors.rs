//! Clock rate and temperature, where the host shows them.

use std::fs;
use std::path::PathBuf;

use super::CpuSet;
use super::roots::{SystemRoots, line};

/// The mean clock rate of `cpus`, in MHz: what the governor says, else what the kernel estimates.
pub fn frequency_mhz(roots: &SystemRoots, cpus: &CpuSet) -> Option<f64> {
    let governed = |cpu: u32| {
        let file = roots.sys.join(format!("devices/system/cpu/cpu{cpu}/cpufreq/scaling_cur_freq"));
        Some(line(&file)?.trim().parse::<f64>().ok()? / 1000.0)
    };
    let rates: Vec<f64> = cpus.iter().filter_map(governed).collect();
    if !rates.is_empty() {
        return Some(rates.iter().sum::<f64>() / rates.len() as f64);
    }
    let text = fs::read_to_string(roots.proc.join("cpuinfo")).ok()?;
    let estimated = text.lines().filter_map(|line| {
        let (name, rate) = line.split_once(':')?;
        (name.trim() == "cpu MHz").then(|| rate.trim().parse::<f64>().ok())?
    });
    let rates: Vec<f64> = estimated.collect();
    (!rates.is_empty()).then(|| rates.iter().sum::<f64>() / rates.len() as f64)
}

/// Drivers of processors' own thermometers.
const DRIVERS: [&str; 3] = ["coretemp", "k10temp", "zenpower"];

/// The hottest thermometer of the processor, in degrees Celsius.
pub fn temperature_c(roots: &SystemRoots) -> Option<f64> {
    let entries = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten();
    let name_is = |file: PathBuf, wanted: &dyn Fn(&str) -> bool| {
        line(&file).is_some_and(|name| wanted(name.trim()))
    };
    let mut files = Vec::new();
    for zone in entries(roots.sys.join("class/thermal")) {
        let of_cpu = |name: &str| name.contains("cpu") || name == "x86_pkg_temp";
        if name_is(zone.path().join("type"), &of_cpu) {
            files.push(zone.path().join("temp"));
        }
    }
    for chip in entries(roots.sys.join("class/hwmon")) {
        if name_is(chip.path().join("name"), &|name| DRIVERS.contains(&name)) {
            let is_input = |file: &PathBuf| {
                let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                name.starts_with("temp") && name.ends_with("_input")
            };
            files.extend(entries(chip.path()).map(|entry| entry.path()).filter(is_input));
        }
    }
    let degrees = |file: &PathBuf| Some(line(file)?.trim().parse::<f64>().ok()? / 1000.0);
    files.iter().filter_map(degrees).reduce(f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_governor_is_believed_before_the_estimate() {
        let info = "processor : 0\ncpu MHz\t\t: 2000.5\nprocessor : 1\ncpu MHz\t\t: 3000.5\n";
        let cpu = "sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq";
        let cpus: CpuSet = "0-1".parse().unwrap();
        let (_tree, roots) = SystemRoots::of_files(&[("proc/cpuinfo", info), (cpu, "3400000\n")]);
        assert_eq!(frequency_mhz(&roots, &cpus), Some(3400.0));
        let (_tree, roots) = SystemRoots::of_files(&[("proc/cpuinfo", info)]);
        assert_eq!(frequency_mhz(&roots, &cpus), Some(2500.5));
        let (_tree, none) = SystemRoots::of_files::<&str, &str>(&[]);
        assert_eq!(frequency_mhz(&none, &cpus), None);
    }

    #[test]
    fn the_hottest_thermometer_of_the_processor_counts() {
        let (_tree, roots) = SystemRoots::of_files(&[
            ("sys/class/thermal/thermal_zone0/type", "acpitz\n"),
            ("sys/class/thermal/thermal_zone0/temp", "99000\n"),
            ("sys/class/thermal/thermal_zone1/type", "x86_pkg_temp\n"),
            ("sys/class/thermal/thermal_zone1/temp", "61000\n"),
            ("sys/class/hwmon/hwmon3/name", "k10temp\n"),
            ("sys/class/hwmon/hwmon3/temp1_input", "72500\n"),
            ("sys/class/hwmon/hwmon3/temp1_crit", "95000\n"),
        ]);
        assert_eq!(temperature_c(&roots), Some(72.5));
        let (_tree, none) = SystemRoots::of_files::<&str, &str>(&[]);
        assert_eq!(temperature_c(&none), None);
    }
}
