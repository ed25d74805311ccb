//! The machine, and how the tune was run, as tables of two columns.

use super::{Table, trials};
use crate::io::number::{bytes, count, span};
use crate::machine::{Machine, Node};
use crate::results::Results;
use crate::runner::Repetitions;
use crate::runner::repetitions::Measured;
use crate::space::Tune;
use crate::workload::custom::{CustomJob, sizes};
use crate::workload::{Sizes, Stage, Workload};

/// What the tuned process could use of the machine.
pub fn machine(machine: &Machine) -> Table {
    let mut table = Table::new(["", ""]);
    let mut fact = |name: &str, value: String| table.row([name.to_owned(), value]);
    fact("host", machine.host.clone());
    fact("processor", machine.cpu.model.clone());
    fact("cores used", format!("{} of {}", machine.core_count(), machine.cores.len()));
    fact("CPUs used", format!("{} ({})", machine.allowed.len(), machine.allowed));
    if let Some(quota) = machine.limits.cpu_quota {
        fact("CPU quota", format!("{quota} CPUs"));
    }
    fact("packages", machine.packages.len().to_string());
    let groups = machine.l3_groups.len();
    fact(
        "L3 groups",
        match machine.l3_bytes {
            0 => groups.to_string(),
            size => format!("{groups}, the largest of {}", bytes(size)),
        },
    );
    let node =
        |node: &Node| format!("{}: CPUs {}, {}", node.number, node.cpus, bytes(node.memory_bytes));
    fact("NUMA nodes", machine.nodes.iter().map(node).collect::<Vec<_>>().join("; "));
    fact(
        "memory used",
        match machine.limits.memory_bytes {
            Some(limit) => {
                format!("{} (limit of {})", bytes(machine.usable_memory_bytes()), bytes(limit))
            }
            None => bytes(machine.memory_bytes),
        },
    );
    fact("instruction sets", machine.cpu.isa.join(" "));
    for gpu in &machine.gpus {
        let near = gpu.numa_node.map(|node| format!(", near node {node}")).unwrap_or_default();
        let memory = bytes(gpu.memory_bytes);
        fact("GPU", format!("{}, {memory}, driver {}{near}", gpu.model, gpu.driver));
    }
    fact("kernel", machine.kernel.clone());
    for note in &machine.notes {
        fact("note", note.clone());
    }
    table.rows.retain(|row| row.iter().all(|cell| !cell.is_empty()));
    table
}

/// How the tune was run, in all that it takes to run it again.
pub fn tune(results: &Results) -> Table {
    let Results { tune, workload, space, .. } = results;
    let mut table = Table::new(["", ""]);
    let mut fact = |name: &str, value: String| table.row([name.to_owned(), value]);
    fact("command", tune.command.clone());
    fact("program", tune.tool.clone());
    if let Some(worker) = &tune.worker {
        fact("worker", worker.clone());
    }
    fact("started", tune.started.clone());
    fact("budget", span(tune.budget_s));
    fact("strategy", tune.strategy.clone());
    fact("seed", tune.seed.to_string());
    fact("baseline", baseline(tune));
    fact("space", format!("{}, {} combinations of values", space.name, space.raw_count()));
    fact(
        "workload",
        tune.custom_job.as_ref().map_or_else(|| described(workload), CustomJob::describe),
    );
    for (name, value) in tune.custom_job.iter().flat_map(CustomJob::facts) {
        fact(name, value);
    }
    if !workload.own_sizes.is_empty() {
        fact("searched on", described(workload));
    }
    if let Some(full) = &tune.full {
        fact("a whole job", described(full));
    }
    if let Some(confirmation) = &tune.confirmation {
        fact("confirmed on", described(confirmation));
    }
    // A command's own warm-up runs are among its facts.
    let (one, warmup, measured) = match tune.custom_job {
        Some(CustomJob::Command(_)) => ("run", "", Measured::Command),
        Some(CustomJob::Worker(_)) => ("run", " after a warm-up", Measured::Worker),
        _ => ("repetition", " after a warm-up", Measured::Pipeline),
    };
    let Repetitions { least, most } = Repetitions::of(measured, tune.repetitions);
    let from = if least < most { format!("{least} to ") } else { String::new() };
    fact("a trial", format!("{from}{}{warmup}", count(most as usize, one)));
    let peaks = ["peak memory", "peak device memory"].into_iter().zip(trials::peak_memory(results));
    peaks.for_each(|(name, peak)| peak.into_iter().for_each(|peak| fact(name, peak)));
    table
}

/// The baseline: a preset, or what the caller's variables say.
fn baseline(tune: &Tune) -> String {
    let Some(variables) = &tune.as_is else { return tune.preset.to_string() };
    if variables.is_empty() {
        return "as it ran before, without variables that decide how libraries run".to_owned();
    }
    let all: Vec<String> =
        variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("as it ran before, with {}", all.join(", "))
}

/// A job and its sizes in words.
pub(super) fn described(workload: &Workload) -> String {
    if workload.is_custom() {
        return sizes::in_words(&workload.own_sizes);
    }
    let Sizes { clips, width, height, frames, layers, steps, .. } = &workload.sizes;
    let mut words = vec![
        format!("{}: {}", workload.name, count(*clips as usize, "clip")),
        format!("{width} x {height} pixels"),
        count(*frames as usize, "frame"),
    ];
    let Sizes { window_width, window_height, window_frames, .. } = &workload.sizes;
    let is_whole = (window_width, window_height, window_frames) == (width, height, frames);
    if !is_whole && workload.has(Stage::Decode) {
        let frames = count(*window_frames as usize, "frame");
        words.push(format!(
            "of which the VAE works on {window_width} x {window_height} and {frames}"
        ));
    }
    if workload.has(Stage::Denoise) {
        words.push(count(*layers as usize, "transformer block"));
        words.push(count(*steps as usize, "denoising step"));
    }
    if workload.has(Stage::Text) {
        words.push(count(workload.sizes.text_layers as usize, "text encoder layer"));
    }
    if workload.has(Stage::Denoise) {
        let tokens = count(workload.sizes.context_tokens as usize, "token");
        words.push(format!("a prompt of {tokens}"));
    }
    words.join(", ")
}
