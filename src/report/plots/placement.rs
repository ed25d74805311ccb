//! Where the profile's threads may run: every CPU of the machine, by L3 group.

use anyhow::Result;
use plotters::prelude::*;

use super::canvas::{Backend, Canvas, Mark, TEXT, TextAlign};
use super::palette::{self, Colour};
use super::{Legend, Plot};
use crate::knobs::placement::Placement;
use crate::machine::Machine;

/// A machine's CPUs with who may use each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacementPlot(pub Vec<L3Group>);

/// The CPUs that share an L3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct L3Group {
    /// Where it is.
    pub name: String,
    /// One entry per core, its hardware threads one below the other.
    pub cores: Vec<Vec<(u32, CpuOwner)>>,
}

/// Who may use a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpuOwner {
    /// libtorch's threads.
    Model,
    /// The image pipeline's workers.
    Workers,
    /// Both libtorch's threads and the workers.
    Both,
    /// No thread of this program.
    Nobody,
}

/// More CPUs than this can't be told apart in a picture.
const MOST_CPUS: u32 = 1024;

impl PlacementPlot {
    /// The machine with a placement on it; `None` for a machine too large to draw.
    pub fn of(machine: &Machine, placement: &Placement) -> Option<Self> {
        let cpus: usize = machine.cores.iter().map(|core| core.cpus.len()).sum();
        let user = |cpu: u32| {
            let workers = [&placement.io, &placement.preprocess, &placement.batch];
            let works = workers.iter().any(|pool| pool.contains(cpu));
            match (placement.model.contains(cpu), works) {
                (true, true) => CpuOwner::Both,
                (true, false) => CpuOwner::Model,
                (false, true) => CpuOwner::Workers,
                (false, false) => CpuOwner::Nobody,
            }
        };
        let group = |number: usize| {
            let cores: Vec<_> =
                machine.cores.iter().filter(|core| core.l3_group == number).collect();
            let node = cores.first()?.node;
            let package = match machine.packages.len() {
                1 => String::new(),
                _ => format!(", package {}", cores.first()?.package),
            };
            Some(L3Group {
                name: format!("L3 group {number}, node {node}{package}"),
                cores: cores
                    .iter()
                    .map(|core| core.cpus.iter().map(|cpu| (cpu, user(cpu))).collect())
                    .collect(),
            })
        };
        let groups: Vec<L3Group> = (0..machine.l3_groups.len()).filter_map(group).collect();
        (!groups.is_empty() && cpus <= MOST_CPUS as usize).then_some(Self(groups))
    }

    fn users(&self) -> impl Iterator<Item = CpuOwner> + '_ {
        self.0.iter().flat_map(|group| &group.cores).flatten().map(|cpu| cpu.1)
    }
}

/// How a CPU looks.
fn colour(user: CpuOwner) -> Colour {
    match user {
        CpuOwner::Model => palette::HEAT[0],
        CpuOwner::Workers => palette::WORKERS,
        CpuOwner::Both => palette::HEAT[3],
        CpuOwner::Nobody => palette::BAND,
    }
}

/// Width of a core.
const CORE: f64 = 33.0;
/// Height of a hardware thread.
const THREAD: f64 = 22.0;
/// Height of a group's name.
const NAME: f64 = 26.0;
/// Room between groups.
const GAP: f64 = 16.0;

impl L3Group {
    /// How many cores stand beside each other, and in how many lines, where there is `room`.
    fn shape(&self, room: f64) -> (usize, usize) {
        let columns = ((room / CORE) as usize).clamp(1, self.cores.len().max(1));
        (columns, self.cores.len().div_ceil(columns))
    }

    fn threads(&self) -> usize {
        self.cores.iter().map(Vec::len).max().unwrap_or_default()
    }

    fn size(&self, room: f64) -> (f64, f64) {
        let (columns, lines) = self.shape(room);
        // The name needs as much room as seven cores.
        let width = CORE * columns.max(7) as f64;
        (width, NAME + lines as f64 * (THREAD * self.threads() as f64 + 6.0))
    }
}

/// The left and top of every group, and the height of all, in a canvas of this width.
fn arrange(groups: &[L3Group], width: f64) -> (Vec<(f64, f64)>, f64) {
    let (mut left, mut top, mut tallest) = (12.0, 0.0, 0.0_f64);
    let mut places = Vec::new();
    for group in groups {
        let (group_width, height) = group.size(width - 24.0);
        if left > 12.0 && left + group_width > width - 12.0 {
            (left, top, tallest) = (12.0, top + tallest + GAP, 0.0);
        }
        places.push((left, top));
        left += group_width + GAP;
        tallest = tallest.max(height);
    }
    (places, top + tallest)
}

impl Plot for PlacementPlot {
    fn title(&self) -> String {
        "Where the profile's threads may run".to_owned()
    }

    fn legend(&self) -> Legend {
        let users = [
            (CpuOwner::Both, "model and workers"),
            (CpuOwner::Model, "model"),
            (CpuOwner::Workers, "io, preprocess and batch workers"),
            (CpuOwner::Nobody, "unused"),
        ];
        let seen = |user: &(CpuOwner, &str)| self.users().any(|used| used == user.0);
        let entry = |(user, words)| (Mark::Square, colour(user), words);
        users.into_iter().filter(seen).map(entry).collect()
    }

    fn height(&self, width: f64) -> f64 {
        arrange(&self.0, width).1 + 10.0
    }

    fn draw<B: Backend>(&self, canvas: &Canvas<B>) -> Result<()> {
        let (places, _) = arrange(&self.0, canvas.width());
        for (group, place) in self.0.iter().zip(places) {
            group.draw(canvas, place)?;
        }
        Ok(())
    }
}

impl L3Group {
    fn draw<B: Backend>(&self, canvas: &Canvas<B>, (left, top): (f64, f64)) -> Result<()> {
        let name = canvas.style(TEXT, palette::MUTED, TextAlign::Left);
        let number = canvas.style(11.0, palette::INK, TextAlign::Middle);
        canvas.text(&self.name, (left, top + 12.0), &name)?;
        let (columns, _) = self.shape(canvas.width() - 24.0);
        for (i, core) in self.cores.iter().enumerate() {
            let x = left + CORE * (i % columns) as f64;
            let line = THREAD * self.threads() as f64 + 6.0;
            let y = top + NAME + line * (i / columns) as f64;
            for (j, &(cpu, user)) in core.iter().enumerate() {
                let y = y + THREAD * j as f64;
                let fill = colour(user).rgb().filled();
                canvas.bar((x, y), (x + CORE - 3.0, y + THREAD - 1.0), fill)?;
                let middle = (x + CORE / 2.0 - 1.5, y + THREAD / 2.0);
                canvas.text(&cpu.to_string(), middle, &number)?;
            }
        }
        Ok(())
    }
}
