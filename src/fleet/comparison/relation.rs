//! Relation: which knobs move with which property of the machine.

use std::collections::{BTreeMap, BTreeSet};

use super::{Member, Traits};
use crate::knobs::Value;
use crate::stats;

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
            relations.extend(stats::rank_correlation(&numbers, &amounts).map(|correlation| {
                Relation { knob: knob.clone(), property, correlation, machines: witnesses.len() }
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
