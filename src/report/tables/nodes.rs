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
    let is_gain = matches!(findings.verdict, Verdict::Gain(_));
    let proven = findings.confirmation.as_ref().map(|one| (one.nodes.as_slice(), one.unbiased()));
    sentences.extend(proven.and_then(|proven| match proven {
        ([], _) => None,
        ([only], _) => {
            is_gain.then(|| format!("The gain is of node {only} alone, not of the class"))
        }
        (_, 0 | 1) => Some(
            "The finalist was chosen by what it cost on these nodes: a gain of the class has to be \
             larger than what it may owe to them"
                .to_owned(),
        ),
        (_, 2) => Some(
            "What is claimed of the class two nodes have to show that did not choose the finalist, each \
             by itself"
                .to_owned(),
        ),
        (_, count) => Some(format!(
            "What is claimed of the class is the mean over {count} nodes that did not choose the \
             finalist; its interval says what others may gain"
        )),
    }));
    if let Some(found) = findings.drift.node_effects().interaction() {
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
