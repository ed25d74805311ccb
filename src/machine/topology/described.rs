//! Machines that one doesn't have: from hwloc XML, and from a synthetic description.

use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use hwlocality::topology::builder::{BuildFlags, TopologyBuilder};

use super::hwloc::{ParsedTopology, load};
use super::sandbox::sandboxed;
use super::{sandbox, xml};
use crate::io::input;
use crate::machine::processor::squeezed;
use crate::machine::{Cpu, HIGHEST_INDEX, Machine, MachineSource};

/// The largest machines' files have a few megabytes.
const LARGEST_BYTES: u64 = 64 << 20;

/// Why there is no machine.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{what}: {problem}")]
pub struct MachineFileError {
    what: String,
    problem: String,
}

impl Machine {
    /// Reads a file that `lstopo FILE.xml` wrote (hwloc 1, 2 and 3), or a pipe, as
    /// [`input::given_bytes`] does.
    ///
    /// # Errors
    /// Why it can't be read, or what is wrong with it.
    pub fn from_xml_file(path: &Path) -> Result<Self, MachineFileError> {
        Self::from_xml(&xml_of(path)?).map_err(|error| MachineFileError::of(path, error.problem))
    }

    /// As [`Machine::from_xml_file`], in a child process first: see [`sandboxed`].
    ///
    /// # Errors
    /// As [`Machine::from_xml_file`]; hwloc crashes on it, or does not come to an end.
    pub fn from_stranger(path: &Path) -> Result<Self, MachineFileError> {
        // A pipe can be read once only, so not in the child.
        let xml = xml_of(path)?;
        let machine = sandboxed(|| Self::from_xml(&xml).map_err(|error| error.problem));
        machine.and_then(|machine| machine).map_err(|problem| MachineFileError::of(path, problem))
    }

    /// Reads hwloc XML.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_xml(xml: &str) -> Result<Self, MachineFileError> {
        let bad = |problem: String| MachineFileError { what: "XML".to_owned(), problem };
        let refused =
            "hwloc refuses it: is it whole, and of one machine? (HWLOC_XML_VERBOSE=1 says more)";
        let xml = &xml::cleaned(xml).map_err(bad)?;
        machine(MachineSource::Xml, refused, |builder| builder.from_xml(xml).ok()).map_err(bad)
    }

    /// Builds the machine that hwloc's synthetic description stands for, such as
    /// `package:2 [numa] l3:4 core:8 pu:2`; all its CPUs are allowed.
    ///
    /// # Errors
    /// What is wrong with the description.
    pub fn from_synthetic(description: &str) -> Result<Self, MachineFileError> {
        let what = format!("`{}`", description.chars().take(80).collect::<String>());
        let bad = |problem: String| MachineFileError { what, problem };
        if synthetic_cpus(description) > u64::from(HIGHEST_INDEX) {
            return Err(bad(format!("more than {HIGHEST_INDEX} CPUs")));
        }
        let refused =
            "no synthetic description; one reads like `package:2 [numa] l3:4 core:8 pu:2`";
        let describe = |builder: TopologyBuilder| builder.from_synthetic(description).ok();
        machine(MachineSource::Synthetic, refused, describe).map_err(bad)
    }

    /// The machine of a description that makes sense.
    #[cfg(test)]
    pub fn synthetic(description: &str) -> Self {
        Self::from_synthetic(description).unwrap()
    }
}

/// What hwloc makes of a description.
fn machine(
    source: MachineSource,
    refused: &str,
    describe: impl FnOnce(TopologyBuilder) -> Option<TopologyBuilder>,
) -> Result<Machine, String> {
    let _alone = sandbox::alone();
    let describe = |builder| describe(builder).ok_or_else(String::new);
    let topology = load(BuildFlags::empty(), describe).map_err(|_| refused.to_owned())?;
    Ok(assemble(ParsedTopology::of(&topology)?, source))
}

fn xml_of(path: &Path) -> Result<String, MachineFileError> {
    let bytes = input::given_bytes(path, LARGEST_BYTES).map_err(|error| {
        let is_pipe = path.metadata().is_ok_and(|file| file.file_type().is_fifo());
        let is_refused = is_pipe && error.to_string() == "not a regular file";
        let cure = if is_refused { ": read a pipe from standard input with `--xml -`" } else { "" };
        MachineFileError::of(path, format!("{error:#}{cure}"))
    })?;
    Ok(xml::decoded(&bytes))
}

impl MachineFileError {
    fn of(path: &Path, problem: String) -> Self {
        Self { what: path.display().to_string(), problem }
    }
}

/// How many CPUs a description stands for: the product of its levels' counts. hwloc would try
/// to build any number of them.
fn synthetic_cpus(description: &str) -> u64 {
    let mut depth = 0_u32;
    let flat: String = description
        .chars()
        .map(|c| {
            match c {
                '(' | '[' => depth += 1,
                ')' | ']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth > 0 || matches!(c, ')' | ']') { ' ' } else { c }
        })
        .collect();
    let count = |word: &str| word.rsplit(':').next().and_then(|n| n.parse::<u64>().ok());
    flat.split_whitespace().filter_map(count).fold(1, u64::saturating_mul)
}

fn assemble(structure: ParsedTopology, source: MachineSource) -> Machine {
    let ParsedTopology { mut machine, infos, .. } = structure;
    let info = |name: &str| infos.get(name).map(|text| squeezed(text));
    if machine.allowed.is_empty() {
        machine.notes.push("The file allows no CPU; the plan takes all of them.".to_owned());
        machine.allowed = machine.all_cpus();
    }
    let memory_bytes = machine.nodes.iter().map(|node| node.memory_bytes).sum();
    if memory_bytes == 0 {
        machine.notes.push("The file does not say how much memory there is.".to_owned());
    }
    let word = if source == MachineSource::Xml { "xml" } else { "synthetic" };
    let unknown = || "unknown".to_owned();
    Machine {
        source,
        host: info("HostName").unwrap_or_else(|| word.to_owned()),
        cpu: Cpu {
            model: info("CPUModel").unwrap_or_else(unknown),
            vendor: info("CPUVendor").unwrap_or_else(unknown),
            architecture: info("Architecture").unwrap_or_else(unknown),
            isa: Vec::new(),
        },
        memory_bytes,
        kernel: info("OSRelease").unwrap_or_default(),
        ..machine
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_counted_before_it_is_built() {
        assert_eq!(synthetic_cpus("package:2 [numa(memory=64)] core:4(indexes=0,2) pu:2"), 16);
        assert_eq!(synthetic_cpus("2 4 2"), 16);
        let error = Machine::from_synthetic("package:99999 core:99999").unwrap_err();
        assert!(error.to_string().contains("more than 65535 CPUs"), "{error}");
    }

    #[test]
    fn what_is_no_machine_is_refused_with_a_reason() {
        for text in ["", "nonsense:2", "core:0", "pu:", "core:2 [", "\0", "pu:1 pu:1"] {
            let error = Machine::from_synthetic(text).unwrap_err();
            assert!(error.to_string().contains("synthetic description"), "{text}: {error}");
        }
        for text in
            ["", "<html/>", "<topology", "<topology></topology>", "<topology version=\"2.0\">"]
        {
            assert!(Machine::from_xml(text).is_err(), "{text}");
        }
        assert!(Machine::from_xml_file(Path::new("/nonexistent.xml")).is_err());
    }

    #[test]
    fn a_synthetic_machine_has_what_was_described() {
        let machine =
            Machine::synthetic("package:2 [numa(memory=1GB)] l3:2(size=32MB) core:4 pu:2");
        assert_eq!(machine.packages.len(), 2);
        assert_eq!(machine.nodes.len(), 2);
        assert_eq!(machine.nodes[1].cpus.to_string(), "16-31");
        assert_eq!(machine.l3_groups.len(), 4);
        assert_eq!(machine.l3_bytes, 32_000_000);
        assert_eq!((machine.core_count(), machine.allowed.len()), (16, 32));
        assert_eq!(machine.memory_bytes, 2_000_000_000);
        let core = &machine.cores[5];
        assert_eq!((core.cpus.to_string().as_str(), core.l3_group, core.node), ("10-11", 1, 0));
    }
}
