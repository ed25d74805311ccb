//! Relation: which knobs move with which property of the machine.

use std::collections::{BTreeMap, BTreeSet};

use super::{Member, Traits};
use crate::knobs::Value;

/// Fewer machines of different shape show nothing.
pub const FEWEST_MACHINES: usize = 5;

/// A knob of numbers and a property.
#[derive(Clone, Debug, PartialEq)]
pub struct Relation {
    /// The knob.
    pub knob: String,
    /// The property: a count, or an instruction set that some machines have.
    pub property: String,
    /// Spearman's rank correlation of the profiles' values with the property, -1 to 1.
    pub correlation: f64,
    /// How many machines of different shape it rests on.
    pub machines: usize,
}

/// A value of a knob of words, and the machines that ship it.
#[derive(Clone, Debug, PartialEq)]
pub struct Wording {
    /// The knob.
    pub knob: String,
    /// The value.
    pub value: Value,
    /// How many machines of different shape ship it.
    pub machines: usize,
    /// The lowest and the highest of each property that differs within the fleet.
    pub ranges: Vec<(String, f64, f64)>,
}

/// One member for each shape of machine: the same machine measured twice is no second witness.
fn witnesses(members: &[Member]) -> Vec<&Member> {
    let mut seen = BTreeSet::new();
    members.iter().filter(|m| seen.insert((&m.traits.class, &m.job))).collect()
}

/// How many machines of different shape or limits there are.
pub fn shapes(members: &[Member]) -> usize {
    members.iter().map(|member| &member.traits.class).collect::<BTreeSet<_>>().len()
}

/// How many machines there are; one that was measured under other limits counts as another.
pub fn machines(members: &[Member]) -> usize {
    let key =
        |member: &Member| (member.traits.fingerprint.identity.clone(), member.traits.class.clone());
    members.iter().map(key).collect::<BTreeSet<_>>().len()
}

/// The correlations of all knobs of numbers and all properties that vary, the strongest first;
/// none with too few machines.
pub fn relations(members: &[Member]) -> Vec<Relation> {
    let witnesses = witnesses(members);
    if witnesses.len() < FEWEST_MACHINES {
        return Vec::new();
    }
    let mut relations = Vec::new();
    for (knob, values) in knobs(&witnesses) {
        let Some(numbers) = values.iter().map(|v| v.number()).collect::<Option<Vec<f64>>>() else {
            continue;
        };
        for (property, amounts) in properties(&witnesses) {
            relations.extend(spearman(&numbers, &amounts).map(|correlation| Relation {
                knob: knob.clone(),
                property,
                correlation,
                machines: witnesses.len(),
            }));
        }
    }
    relations.sort_by(|a, b| b.correlation.abs().total_cmp(&a.correlation.abs()));
    relations
}

/// Where a knob of words has more than one value in the fleet: who ships which.
pub fn wordings(members: &[Member]) -> Vec<Wording> {
    let witnesses = witnesses(members);
    let properties = properties(&witnesses);
    let mut wordings = Vec::new();
    for (knob, values) in knobs(&witnesses) {
        let different: BTreeSet<&Value> = values.iter().copied().collect();
        if different.len() < 2 || values.iter().any(|value| value.number().is_some()) {
            continue;
        }
        for value in different {
            let ships = |amounts: &[f64]| -> Vec<f64> {
                let pairs = values.iter().zip(amounts);
                pairs.filter(|(v, _)| **v == value).map(|(_, amount)| *amount).collect()
            };
            let range = |(name, amounts): &(String, Vec<f64>)| {
                let here = ships(amounts);
                let low = here.iter().copied().fold(f64::INFINITY, f64::min);
                (name.clone(), low, here.into_iter().fold(f64::NEG_INFINITY, f64::max))
            };
            wordings.push(Wording {
                knob: knob.clone(),
                value: value.clone(),
                machines: values.iter().filter(|v| **v == value).count(),
                ranges: properties.iter().map(range).collect(),
            });
        }
    }
    wordings
}

/// The knobs that every member has, with each member's value in its profile.
fn knobs<'a>(members: &[&'a Member]) -> BTreeMap<String, Vec<&'a Value>> {
    let Some(first) = members.first() else { return BTreeMap::new() };
    let column = |name: &String| {
        let values: Option<Vec<&Value>> = members.iter().map(|m| m.profile.get(name)).collect();
        Some((name.clone(), values?))
    };
    first.profile.keys().filter_map(column).collect()
}

/// The properties that vary, each with its amount on every member; an instruction set is 1 where
/// there is one.
fn properties(members: &[&Member]) -> Vec<(String, Vec<f64>)> {
    let traits: Vec<&Traits> = members.iter().map(|member| &member.traits).collect();
    let mut properties: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for one in &traits {
        for (name, amount) in one.numbers() {
            properties.entry(name.to_owned()).or_default().push(amount);
        }
    }
    let sets: BTreeSet<&String> = traits.iter().flat_map(|one| &one.isa).collect();
    for set in sets {
        let has = traits.iter().map(|one| f64::from(u8::from(one.isa.contains(set))));
        properties.insert(set.clone(), has.collect());
    }
    properties.retain(|_, amounts| amounts.iter().any(|amount| *amount != amounts[0]));
    properties.into_iter().collect()
}

/// Pearson's correlation of the ranks, equal values sharing the mean of theirs; `None` where one
/// side does not vary.
fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    let (a, b) = (ranks(a), ranks(b));
    let middle = (a.len() as f64 + 1.0) / 2.0;
    let product = |a: &[f64], b: &[f64]| -> f64 {
        a.iter().zip(b).map(|(x, y)| (x - middle) * (y - middle)).sum()
    };
    let scale = (product(&a, &a) * product(&b, &b)).sqrt();
    (scale > 0.0).then(|| product(&a, &b) / scale)
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = |value: &f64| {
        let (below, upto) =
            (sorted.partition_point(|v| v < value), sorted.partition_point(|v| v <= value));
        (below + upto + 1) as f64 / 2.0
    };
    values.iter().map(rank).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_share_their_mean() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0]), [3.5, 1.0, 3.5, 2.0]);
    }

    #[test]
    fn correlations_by_hand() {
        assert_eq!(spearman(&[1.0, 2.0, 9.0], &[3.0, 5.0, 7.0]), Some(1.0));
        assert_eq!(spearman(&[1.0, 2.0, 9.0], &[3.0, 3.0, 3.0]), None);
        // Ranks 1 2 3 4 5 against 2 1 4 3 5: 1 - 6 * 4 / (5 * 24) = 0.8.
        let near = spearman(&[1.0, 2.0, 3.0, 4.0, 5.0], &[20.0, 10.0, 40.0, 30.0, 50.0]).unwrap();
        assert!((near - 0.8).abs() < 1e-12, "{near}");
    }
}
