//! The processor as the kernel describes it in `/proc/cpuinfo`.

use super::Cpu;
use super::roots::{SystemRoots, field, line};

/// The extensions that libtorch's and oneDNN's kernels are chosen by, in the kernel's spelling.
const ISA: [&str; 22] = [
    "sse4_2",
    "avx",
    "avx2",
    "fma",
    "f16c",
    "avx512f",
    "avx512dq",
    "avx512bw",
    "avx512vl",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "avx_vnni",
    "amx_tile",
    "amx_bf16",
    "amx_int8",
    "asimd",
    "asimdhp",
    "asimddp",
    "sve",
    "bf16",
    "i8mm",
];

/// Reads model, vendor and the extensions that every CPU has.
pub fn read(roots: &SystemRoots) -> Cpu {
    let text = line(&roots.proc.join("cpuinfo")).unwrap_or_default();
    let architecture = std::env::consts::ARCH.to_owned();
    let model =
        ["model name", "Model", "cpu model", "cpu"].iter().find_map(|key| field(&text, key));
    let vendor = field(&text, "vendor_id").or_else(|| field(&text, "CPU implementer"));
    let model = model.or_else(|| arm_part(&text)).unwrap_or_else(|| architecture.clone());
    Cpu {
        model: squeezed(&model),
        vendor: vendor.unwrap_or_else(|| "unknown".to_owned()),
        architecture,
        isa: isa(&text),
    }
}

/// Arm's kernel gives numbers only.
fn arm_part(text: &str) -> Option<String> {
    let implementer = field(text, "CPU implementer")?;
    Some(format!("Arm implementer {implementer} part {}", field(text, "CPU part")?))
}

/// Text with each run of blanks as one.
pub fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What all CPUs have in common; on a mixed machine one of them may lack an extension.
fn isa(text: &str) -> Vec<String> {
    let of_each: Vec<Vec<&str>> = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(key, _)| matches!(key.trim(), "flags" | "Features"))
        .map(|(_, flags)| flags.split_whitespace().collect())
        .collect();
    let everywhere = |flag: &&&str| of_each.iter().all(|flags| flags.contains(*flag));
    let known = ISA.iter().filter(|_| !of_each.is_empty()).filter(everywhere);
    known.map(|&flag| flag.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpu(text: &str) -> Cpu {
        let (_tree, roots) = SystemRoots::of_files(&[("proc/cpuinfo", text)]);
        read(&roots)
    }

    #[test]
    fn an_extension_counts_when_every_cpu_has_it() {
        let cpu = cpu("processor\t: 0\nvendor_id\t: AuthenticAMD\n\
             model name\t: AMD Ryzen  Threadripper PRO 5995WX 64-Cores\nflags\t\t: fpu avx avx2 fma\n\n\
             processor\t: 1\nflags\t\t: avx2 fpu avx\n");
        assert_eq!(cpu.model, "AMD Ryzen Threadripper PRO 5995WX 64-Cores");
        assert_eq!(cpu.vendor, "AuthenticAMD");
        assert_eq!(cpu.isa, ["avx", "avx2"]);
    }

    #[test]
    fn arm_is_named_by_its_numbers() {
        let cpu = cpu("processor\t: 0\nFeatures\t: fp asimd sve bf16\nCPU implementer\t: 0x41\n\
             CPU part\t: 0xd0c\n");
        assert_eq!(cpu.model, "Arm implementer 0x41 part 0xd0c");
        assert_eq!(cpu.isa, ["asimd", "sve", "bf16"]);
    }

    #[test]
    fn no_cpuinfo_is_no_extension() {
        assert_eq!(cpu("").isa, Vec::<String>::new());
    }
}
