//! A machine drawn as SVG, in the manner of lstopo: packages hold nodes, nodes L3 groups, those
//! cores, and cores their siblings.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::text::{UNKNOWN, size};
use crate::io::number::count;
use crate::machine::{Core, CoreKind, CpuSet, Machine, Node};

/// Threads that run somewhere on the machine.
#[derive(Clone, Debug)]
pub struct PlacedPool {
    /// The pool's name.
    pub pool: &'static str,
    /// How many threads.
    pub threads: usize,
    /// Where they may run.
    pub cpus: CpuSet,
}

/// Pixels: between boxes, of a line of text and a letter in it, of a CPU's box.
const GAP: usize = 6;
const LINE: usize = 17;
const LETTER: usize = 7;
const CPU: (usize, usize) = (36, 20);

/// Width over height that boxes in a box are arranged for, and cores beside each other.
const SHAPE: f64 = 1.6;
const CORES_ACROSS: [usize; 2] = [8, 16];

const STYLE: &str = "text{font:12px sans-serif;fill:#222}rect{stroke:#666;fill:#fff}\
    .package{fill:#f3f3f3}.node{fill:#efe9d9}.l3{fill:#fff}.core{fill:#e4e4e4}\
    .efficiency{fill:#e4e4e4;stroke-dasharray:3 2}.cpu{fill:#fff}.denied{fill:#999}\
    .all{fill:#b9d7f2}.pools{fill:#f6cfa0}.model{fill:#8fbf8f}.io{fill:#f2a9a9}\
    .preprocess{fill:#f6d66b}.batch{fill:#c9b3e6}.plain{fill:none;stroke:none}";

/// A box with lines of text on top and boxes inside.
struct Frame {
    class: &'static str,
    text: Vec<String>,
    inside: Vec<Frame>,
    across: usize,
}

impl Frame {
    /// As many boxes beside each other as make it neither a tower nor a ribbon, with few gaps.
    fn new(class: &'static str, text: Vec<String>, inside: Vec<Frame>) -> Self {
        let mut frame = Self { class, text, inside, across: 1 };
        let boxes = frame.inside.len();
        let mut ugliness = |across: usize| {
            frame.across = across;
            let (width, height) = frame.extent();
            let gaps = (boxes.div_ceil(across) * across - boxes) as f64 / boxes as f64;
            (width as f64 / height as f64 / SHAPE).ln().abs() + gaps
        };
        let best = (1..=boxes).map(|across| (ugliness(across), across));
        let best = best.min_by(|a, b| a.0.total_cmp(&b.0)).map_or(1, |(_, across)| across);
        frame.across = best;
        frame
    }

    /// Boxes in rows of `across`.
    fn rows(class: &'static str, text: Vec<String>, inside: Vec<Frame>, across: usize) -> Self {
        Self { class, text, inside, across }
    }

    fn leaf(class: &'static str, text: String) -> Self {
        Self::new(class, vec![text], Vec::new())
    }

    /// Width and height.
    fn extent(&self) -> (usize, usize) {
        if self.inside.is_empty() && matches!(self.text.as_slice(), [one] if one.len() <= 4) {
            return CPU;
        }
        let letters = self.text.iter().map(|line| line.chars().count()).max().unwrap_or(0);
        let (mut width, mut height) = (letters * LETTER, self.text.len() * LINE);
        for row in self.inside.chunks(self.across) {
            let extents: Vec<_> = row.iter().map(Self::extent).collect();
            let wide: usize = extents.iter().map(|(w, _)| w + GAP).sum();
            width = width.max(wide.saturating_sub(GAP));
            height += extents.iter().map(|(_, h)| h + GAP).max().unwrap_or(0);
        }
        (width + 2 * GAP, height + GAP)
    }

    fn draw(&self, x: usize, y: usize) -> Markup {
        let (width, height) = self.extent();
        let mut placed = Vec::new();
        let mut top = y + GAP / 2 + self.text.len() * LINE;
        for row in self.inside.chunks(self.across) {
            let (mut left, mut tall) = (x + GAP, 0);
            for frame in row {
                let (wide, high) = frame.extent();
                placed.push(frame.draw(left, top));
                (left, tall) = (left + wide + GAP, tall.max(high));
            }
            top += tall + GAP;
        }
        html! {
            rect class=(self.class) x=(x) y=(y) width=(width) height=(height) rx="2" {}
            @for (number, line) in self.text.iter().enumerate() {
                text x=(x + GAP) y=(y + number * LINE + 14) { (line) }
            }
            @for frame in &placed { (frame) }
        }
    }
}

impl Machine {
    /// The topology with what this process may use of it, and with who runs where, as SVG;
    /// `remarks` stand below.
    pub fn drawing(&self, occupants: &[PlacedPool], remarks: &[String]) -> String {
        let packages = 0..self.packages.len();
        let mut parts: Vec<Frame> =
            packages.map(|number| self.package_frame(number, occupants)).collect();
        let memory_only = self.nodes.iter().filter(|node| node.cpus.is_empty());
        parts.extend(memory_only.map(|node| Frame::new("node", node_lines(node), Vec::new())));
        let machine = Frame::new("plain", self.heading_lines(), parts);
        let mut inside = vec![machine, self.legend_frame(occupants)];
        if !remarks.is_empty() {
            inside.push(Frame::new("plain", remarks.to_vec(), Vec::new()));
        }
        let all = Frame::rows("plain", Vec::new(), inside, 1);
        let (width, height) = all.extent();
        let drawn = all.draw(0, 0);
        html! {
            svg xmlns="http://www.w3.org/2000/svg" width=(width) height=(height) viewBox=(format!("0 0 {width} {height}")) {
                style { (STYLE) }
                rect class="l3" width=(width) height=(height) {}
                (drawn)
            }
        }
        .into_string()
    }

    fn heading_lines(&self) -> Vec<String> {
        let named = Some(self.cpu.model.clone()).filter(|model| model != UNKNOWN);
        let counts = [
            count(self.core_count(), "core"),
            count(self.allowed.len(), "allowed CPU"),
            size(self.memory_bytes),
        ];
        let quota = self.limits.cpu_quota.map(|quota| format!("a quota of {quota} CPUs' time"));
        let facts: Vec<String> = counts.into_iter().chain(quota).collect();
        named.into_iter().chain([facts.join(", ")]).collect()
    }

    fn package_frame(&self, number: usize, occupants: &[PlacedPool]) -> Frame {
        let mut homeless = self.packages[number].clone();
        let mut inside = Vec::new();
        for node in &self.nodes {
            let here = node.cpus.intersection(&homeless);
            if here.is_empty() {
                continue;
            }
            inside.push(Frame::new("node", node_lines(node), self.l3_frames(&here, occupants)));
            homeless = homeless.difference(&here);
        }
        inside.extend(self.l3_frames(&homeless, occupants));
        Frame::new("package", vec![format!("Package {number}")], inside)
    }

    fn l3_frames(&self, here: &CpuSet, occupants: &[PlacedPool]) -> Vec<Frame> {
        let groups = self.l3_groups.iter().enumerate();
        let groups = groups.filter(|(_, group)| !group.is_disjoint(here));
        let frame = |(number, group): (usize, &CpuSet)| {
            let cpus = group.intersection(here);
            let inside = |core: &&Core| !core.cpus.is_disjoint(&cpus);
            let cores = self.cores.iter().filter(inside);
            let cores: Vec<Frame> = cores.map(|core| self.core_frame(core, occupants)).collect();
            let bytes = if self.l3_bytes > 0 { size(self.l3_bytes) } else { String::new() };
            let across = CORES_ACROSS[usize::from(cores.len() > 4 * CORES_ACROSS[0])];
            Frame::rows("l3", vec![format!("L3 {number} {bytes}")], cores, across)
        };
        groups.map(frame).collect()
    }

    fn core_frame(&self, core: &Core, occupants: &[PlacedPool]) -> Frame {
        let class = if core.kind == CoreKind::Efficiency { "efficiency" } else { "core" };
        let cpu = |cpu| Frame::leaf(self.class_of(cpu, occupants), cpu.to_string());
        Frame::rows(class, Vec::new(), core.cpus.iter().map(cpu).collect(), 1)
    }

    fn class_of(&self, cpu: u32, occupants: &[PlacedPool]) -> &'static str {
        let here: Vec<&PlacedPool> =
            occupants.iter().filter(|occupant| occupant.cpus.contains(cpu)).collect();
        match here[..] {
            _ if !self.allowed.contains(cpu) => "denied",
            [] => "cpu",
            [one] => one.pool,
            _ if here.len() == occupants.len() => "all",
            _ => "pools",
        }
    }

    /// What the colours say: those that there are.
    fn legend_frame(&self, occupants: &[PlacedPool]) -> Frame {
        let mut meaning: BTreeMap<&str, String> = BTreeMap::new();
        for cpu in self.cores.iter().flat_map(|core| core.cpus.iter()) {
            let class = self.class_of(cpu, occupants);
            meaning.entry(class).or_insert_with(|| match class {
                "denied" => "not allowed".to_owned(),
                "cpu" => "nobody".to_owned(),
                _ => who(occupants.iter().filter(|occupant| occupant.cpus.contains(cpu))),
            });
        }
        if occupants.is_empty() {
            meaning.remove("cpu");
        }
        if self.cores.iter().any(|core| core.kind == CoreKind::Efficiency) {
            meaning.insert("efficiency", "efficiency core".to_owned());
        }
        let signs = meaning.into_iter().map(|(class, text)| Frame::leaf(class, text)).collect();
        Frame::rows("plain", Vec::new(), signs, 1)
    }
}

/// `model: 8 threads` or `io: 1 thread, batch: 1 thread`.
fn who<'a>(here: impl Iterator<Item = &'a PlacedPool>) -> String {
    let each = here.map(|o| format!("{}: {}", o.pool, count(o.threads, "thread")));
    each.collect::<Vec<_>>().join(", ")
}

fn node_lines(node: &Node) -> Vec<String> {
    let denied = if node.allowed { "" } else { ", not allowed" };
    let first = format!("Node {}: {}{denied}", node.number, size(node.memory_bytes));
    let distances: Vec<String> = node.distances.iter().map(u32::to_string).collect();
    let second = (distances.len() > 1).then(|| format!("distances {}", distances.join(" ")));
    [Some(first), second].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxes(svg: &str, class: &str) -> usize {
        svg.matches(&format!("<rect class=\"{class}\"")).count()
    }

    #[test]
    fn every_part_of_the_machine_has_its_box() {
        let text = "package:2 [numa(memory=8GiB)] l3:2(size=16MiB) core:2 pu:2";
        let mut machine = Machine::synthetic(text);
        machine.allowed = "0-13".parse().unwrap();
        machine.cores[3].kind = CoreKind::Efficiency;
        let svg = machine.drawing(&[], &[]);
        let drawn =
            ["package", "node", "core", "efficiency", "cpu", "denied"].map(|c| boxes(&svg, c));
        // The last sign is the legend's.
        assert_eq!(drawn, [2, 2, 7, 2, 14, 3]);
        assert!(svg.contains("Node 1: 8 GiB") && svg.contains("L3 3 16 MiB"), "{svg}");
    }

    #[test]
    fn colours_say_who_runs_where() {
        let mut machine = Machine::synthetic("package:1 [numa] l3:1 core:4 pu:1");
        machine.cpu.model = "A <b> & C".to_owned();
        let on = |pool, cpus: &str| PlacedPool { pool, threads: 2, cpus: cpus.parse().unwrap() };
        let remarks = ["weights bind 0".to_owned()];
        let svg = machine.drawing(&[on("model", "0-1,3"), on("io", "2-3")], &remarks);
        // Those of the machine, and one of the legend each.
        assert_eq!(["model", "io", "all", "cpu"].map(|class| boxes(&svg, class)), [3, 2, 2, 0]);
        assert!(svg.contains(">model: 2 threads, io: 2 threads<"), "{svg}");
        assert!(svg.contains("A &lt;b&gt; &amp; C") && svg.contains("weights bind 0"), "{svg}");
    }

    #[test]
    fn a_drawing_is_neither_a_tower_nor_a_ribbon() {
        for text in [
            "package:1 group:4 [numa] l3:2 core:8 pu:2",
            "package:16 [numa] l3:8 core:8 pu:2",
            "package:1 [numa] l2:80 core:1 pu:1",
        ] {
            let svg = Machine::synthetic(text).drawing(&[], &[]);
            let side = |name: &str| -> f64 {
                let from = svg.find(&format!("{name}=\"")).unwrap() + name.len() + 2;
                svg[from..].split('"').next().unwrap().parse().unwrap()
            };
            let shape = side("width") / side("height");
            assert!((0.5..4.0).contains(&shape), "{text}: {shape}");
        }
    }
}
