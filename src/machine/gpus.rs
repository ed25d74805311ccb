//! GPUs, as NVIDIA's driver reports them.

use super::Gpu;
use crate::machine::ask::{ANSWER_TIMEOUT, ask};

/// What `nvidia-smi` lists; none where it is absent, fails or takes too long.
pub fn read() -> Vec<Gpu> {
    let query = "--query-gpu=name,memory.total,driver_version";
    let Some(table) = answer(&[query, "--format=csv,noheader,nounits"]) else {
        return Vec::new();
    };
    let cuda = answer(&[]).and_then(|text| cuda_version(&text)).unwrap_or_default();
    parse(&table, &cuda)
}

fn answer(arguments: &[&str]) -> Option<String> {
    ask("nvidia-smi", arguments, ANSWER_TIMEOUT)
}

fn parse(table: &str, cuda: &str) -> Vec<Gpu> {
    let gpu = |line: &str| {
        // A name may hold a comma; the last two columns can't.
        let mut columns = line.rsplitn(3, ',').map(str::trim);
        let driver = columns.next()?.to_owned();
        let mebibytes: u64 = columns.next()?.parse().unwrap_or(0);
        let model = columns.next()?.to_owned();
        Some(Gpu { model, memory_bytes: mebibytes << 20, driver, cuda: cuda.to_owned() })
    };
    table.lines().filter_map(gpu).collect()
}

/// The banner says `CUDA Version: 12.4`.
fn cuda_version(banner: &str) -> Option<String> {
    let (_, after) = banner.split_once("CUDA Version:")?;
    after.split_whitespace().next().map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drivers_table_is_read() {
        let gpus =
            parse("NVIDIA GeForce RTX 4080, 16376, 550.54.14\nOdd, name, [N/A], 1\n", "12.4");
        assert_eq!(gpus[0].model, "NVIDIA GeForce RTX 4080");
        assert_eq!(gpus[0].memory_bytes, 16_376 << 20);
        assert_eq!(gpus[0].driver, "550.54.14");
        assert_eq!((gpus[1].model.as_str(), gpus[1].memory_bytes), ("Odd, name", 0));
        assert!(parse("No devices were found\n", "").is_empty());
    }

    #[test]
    fn the_banner_names_the_cuda_version() {
        let banner =
            "| NVIDIA-SMI 550.54.14   Driver Version: 550.54.14   CUDA Version: 12.4     |";
        assert_eq!(cuda_version(banner).as_deref(), Some("12.4"));
    }
}
