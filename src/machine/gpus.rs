//! GPUs, as NVIDIA's driver tells of them through its library NVML.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, mpsc};
use std::time::Duration;

use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml, cuda_driver_version_major, cuda_driver_version_minor};

use super::ask::ANSWER_TIMEOUT;
use super::{Gpu, SystemRoots, line, threads};

/// The driver, once it has answered.
static DRIVER: OnceLock<Box<Driver>> = OnceLock::new();

struct Driver {
    nvml: Nvml,
    gpus: Vec<Gpu>,
}

/// The GPUs that a program started from here finds; none where the driver's library is absent, fails
/// or takes too long.
pub fn read() -> Vec<Gpu> {
    if DRIVER.get().is_none() {
        let (answer, answers) = mpsc::sync_channel(1);
        // A driver that hangs is left to itself.
        let _ = threads::spawn(move || answer.send(Driver::load(&SystemRoots::live())));
        let driver = answers.recv_timeout(ANSWER_TIMEOUT).ok().flatten();
        let _ = driver.map(|driver| DRIVER.set(driver));
    }
    DRIVER.get().map(|driver| driver.gpus.clone()).unwrap_or_default()
}

/// The longest that a look at a GPU's memory may keep somebody: a watch that sleeps for a second takes itself
/// for one that was stopped.
const LOOK_TIMEOUT: Duration = Duration::from_millis(500);

/// The memory that some processes hold together on one GPU, on that where it is most. `None` where
/// no GPU was found, none tells of any of them, or the driver does not answer.
pub fn held_bytes(processes: &[u32]) -> Option<u64> {
    /// Held by the one look that may be under way.
    static LOOK: Mutex<()> = Mutex::new(());
    DRIVER.get()?;
    let (answer, answers) = mpsc::sync_channel(1);
    let processes = processes.to_vec();
    let _ = threads::spawn(move || {
        let Ok(_alone) = LOOK.try_lock() else { return };
        let _ = answer.send(most_held(&processes));
    });
    answers.recv_timeout(LOOK_TIMEOUT).ok().flatten()
}

fn most_held(processes: &[u32]) -> Option<u64> {
    let Driver { nvml, gpus } = &**DRIVER.get()?;
    let on = |gpu: &Gpu| {
        let held = held_on(&nvml.device_by_uuid(gpu.uuid.as_str()).ok()?);
        processes.iter().filter_map(|pid| held.get(pid).copied()).reduce(u64::saturating_add)
    };
    gpus.iter().filter_map(on).max()
}

/// Bytes by process. One that computes and draws is in both lists, with all that it holds.
fn held_on(device: &Device<'_>) -> BTreeMap<u32, u64> {
    let lists = [device.running_compute_processes(), device.running_graphics_processes()];
    let mut held = BTreeMap::new();
    for process in lists.into_iter().flatten().flatten() {
        if let UsedGpuMemory::Used(bytes) = process.used_gpu_memory {
            let known = held.entry(process.pid).or_insert(bytes);
            *known = bytes.max(*known);
        }
    }
    held
}

impl Driver {
    fn load(roots: &SystemRoots) -> Option<Box<Self>> {
        let nvml = Nvml::init().ok()?;
        let gpu = |index| gpu(&nvml, &nvml.device_by_index(index).ok()?, roots).ok();
        let mut gpus: Vec<Gpu> = (0..nvml.device_count().ok()?).filter_map(gpu).collect();
        gpus.sort_by(|one, other| one.pci.cmp(&other.pci));
        let is_by_bus = std::env::var("CUDA_DEVICE_ORDER").is_ok_and(|order| order == "PCI_BUS_ID");
        if let Ok(named) = std::env::var("CUDA_VISIBLE_DEVICES") {
            gpus = visible(gpus, &named, is_by_bus);
        }
        Some(Box::new(Self { nvml, gpus }))
    }
}

fn gpu(nvml: &Nvml, device: &Device<'_>, roots: &SystemRoots) -> Result<Gpu, NvmlError> {
    let pci = device.pci_info()?;
    let pci = format!("{:04x}:{:02x}:{:02x}.0", pci.domain, pci.bus, pci.device);
    let cuda = nvml.sys_cuda_driver_version();
    let version = |v| format!("{}.{}", cuda_driver_version_major(v), cuda_driver_version_minor(v));
    Ok(Gpu {
        model: device.name()?,
        // Whole MiB, as older versions kept it.
        memory_bytes: device.memory_info().map_or(0, |memory| memory.total >> 20 << 20),
        driver: nvml.sys_driver_version()?,
        cuda: cuda.map_or_else(|_| String::new(), version),
        uuid: device.uuid()?,
        numa_node: numa_node(&pci, roots),
        pci,
    })
}

/// The NUMA node of a PCI device; the kernel says -1 where it knows none.
fn numa_node(pci: &str, roots: &SystemRoots) -> Option<u32> {
    line(&roots.sys.join("bus/pci/devices").join(pci).join("numa_node"))?.parse().ok()
}

/// Those of `all` that `CUDA_VISIBLE_DEVICES` names, up to the first that it gets wrong. Numbers count
/// in the order of the bus; without that CUDA puts the fastest first, and of different ones nobody
/// outside knows which that is. Parts of a GPU (MIG) belong to one of them: all may be meant.
fn visible(all: Vec<Gpu>, named: &str, is_by_bus: bool) -> Vec<Gpu> {
    let is_ordered = is_by_bus || all.windows(2).all(|pair| pair[0].model == pair[1].model);
    let mut found = Vec::new();
    for name in named.split(',').map(str::trim) {
        let gpu = match name.parse::<usize>() {
            Ok(_) if !is_ordered => return all,
            Ok(number) => all.get(number),
            Err(_) if name.starts_with("MIG-") => return all,
            Err(_) if name.starts_with("GPU-") => all.iter().find(|gpu| gpu.uuid.starts_with(name)),
            Err(_) => None,
        };
        let Some(gpu) = gpu else { break };
        found.push(gpu.clone());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cuda_shows_to_a_program_is_what_there_is() {
        let gpu = |(model, uuid): (&str, &str)| Gpu {
            model: model.to_owned(),
            uuid: uuid.to_owned(),
            ..Gpu::default()
        };
        let seen = |all: [(&str, &str); 3], named: &str, is_by_bus| {
            let all = all.into_iter().map(gpu).collect();
            let found = visible(all, named, is_by_bus).into_iter().map(|gpu| gpu.uuid);
            found.collect::<Vec<_>>().join(" ")
        };
        let alike = [("L4", "GPU-a1"), ("L4", "GPU-b2"), ("L4", "GPU-b3")];
        for (named, found) in [
            ("1", "GPU-b2"),
            ("2, 0", "GPU-b3 GPU-a1"),
            ("GPU-b3,GPU-a", "GPU-b3 GPU-a1"),
            ("0,7,1", "GPU-a1"),
            ("0,-1,1", "GPU-a1"),
            ("", ""),
            ("NoDevFiles", ""),
            ("MIG-c4", "GPU-a1 GPU-b2 GPU-b3"),
        ] {
            assert_eq!(seen(alike, named, false), found, "{named}");
        }
        let mixed = [("T4", "GPU-a1"), ("L4", "GPU-b2"), ("L4", "GPU-b3")];
        assert_eq!(seen(mixed, "0", false), "GPU-a1 GPU-b2 GPU-b3", "which is fastest?");
        assert_eq!(seen(mixed, "0", true), "GPU-a1");
        assert_eq!(seen(mixed, "GPU-b2", false), "GPU-b2");
    }

    #[test]
    fn what_older_versions_kept_of_a_gpu_is_read() {
        let json = r#"{"model": "L4", "memory_bytes": 9, "driver": "550.54", "cuda": "12.4"}"#;
        let gpu: Gpu = serde_json::from_str(json).unwrap();
        assert_eq!((gpu.model.as_str(), gpu.uuid.as_str(), gpu.numa_node), ("L4", "", None));
    }

    #[test]
    fn the_kernel_says_near_which_node_a_gpu_is() {
        let node = |pci| format!("sys/bus/pci/devices/{pci}/numa_node");
        let files = [(node("0000:17:00.0"), "1\n"), (node("0000:65:00.0"), "-1\n")];
        let (_tree, roots) = SystemRoots::of_files(&files);
        let node = |pci| numa_node(pci, &roots);
        let nodes = ["0000:17:00.0", "0000:65:00.0", "0000:99:00.0"].map(node);
        assert_eq!(nodes, [Some(1), None, None]);
    }
}
