//! The nodes of a search over several equal machines.

use super::Table;
use crate::evidence::confirmation::Verdict;
use crate::io::number::{gain, percent};
use crate::results::Results;

/// Each node with its speed and what the finalist gains there; `None` where one machine tuned by itself.
pub fn nodes(results: &Results) -> Option<Table> {
    let (findings, metric) = (results.findings(), results.metric());
    let mut table =
        Table::new(["node", "#trials", "#slower than the first", "#pairs", "#gain there, %"]);
    for node in &findings.nodes {
        table.row([
            node.name.clone(),
            node.trials.to_string(),
            percent(node.factor - 1.0),
            node.pairs.to_string(),
            node.gain.map(|saved| gain(metric.shares(saved))).unwrap_or_default(),
        ]);
    }
    (!table.rows.is_empty()).then_some(table)
}

/// Of what the claim is, and whether how nodes differ depends on the candidate.
pub fn sentences(results: &Results) -> Vec<String> {
    let findings = results.findings();
    let mut sentences = Vec::new();
    if findings.nodes.is_empty() {
        return sentences;
    }
    let proven = findings.confirmation.as_ref().map_or(&[][..], |one| &one.nodes);
    let is_gain = matches!(findings.verdict, Verdict::Gain(_));
    sentences.extend(match proven {
        [only] if is_gain => Some(format!("The gain is of node {only} alone, not of the class")),
        [_, _] if is_gain => Some("Both nodes by themselves show the gain".to_owned()),
        [_, _] => Some("A gain of the class takes both nodes to show it by themselves".to_owned()),
        [_, _, _, ..] => Some(format!(
            "The gain is a mean over {} nodes, and its interval says what others of the class may gain",
            proven.len()
        )),
        _ => None,
    });
    if let Some(found) = findings.drift.speeds().interaction() {
        let deviation = percent(found.deviation.exp_m1());
        sentences.push(if found.is_real {
            format!(
                "What candidates cost differs from node to node by {deviation} beside the nodes' own \
                 speeds, more than repetitions on one node explain: a candidate that is best on one \
                 may not be on another"
            )
        } else {
            "Nodes differ by their own speeds alone, as far as repetitions tell".to_owned()
        });
    }
    sentences
}
