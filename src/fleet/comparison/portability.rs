//! Portability: how one machine's profile does on another.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::member::{self, Member};
use crate::knobs::Values;
use crate::search::{ForestRatio, Observation};
use crate::space::{Candidate, Space};

/// More different profiles than these are not carried to every machine: those that most machines
/// ship come first, then those that save most at home.
pub const MOST_PROFILES: usize = 40;

/// The profiles of a fleet on each of its machines.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Portability {
    /// The profiles that were carried, the best first: those known everywhere, by worst regret.
    pub profiles: Vec<ProfilePortability>,
    /// How many different profiles the fleet has.
    pub different: usize,
}

/// One profile on every machine.
#[derive(Clone, Debug, PartialEq)]
pub struct ProfilePortability {
    /// The job that it is for.
    pub job: String,
    /// Its value of every knob.
    pub knobs: Values,
    /// The members that ship it, by position.
    pub from: Vec<usize>,
    /// How it does on each member.
    pub regrets: Vec<ProfileRegret>,
}

/// How a profile does on a machine, and how that is known. Regret is the share of cost that it has more than the
/// machine's own profile.
#[derive(Clone, Debug, PartialEq)]
pub enum ProfileRegret {
    /// It is the machine's own.
    Own,
    /// A run on this machine, or on the very same, measured both.
    Measured(f64),
    /// The surrogate of the machine's own trials says so.
    Predicted {
        /// The regret.
        regret: f64,
        /// Standard deviation of ln(1 + regret) over the surrogate's trees.
        deviation: f64,
        /// Whether counts had to be changed to what this machine has.
        fitted: bool,
    },
    /// The machine can't run it.
    Impossible(String),
    /// Nothing can be said.
    Unknown(&'static str),
    /// It measured another job.
    OtherJob,
}

impl ProfileRegret {
    /// The regret, where it is known or predicted.
    pub fn regret(&self) -> Option<f64> {
        match self {
            Self::Own => Some(0.0),
            Self::Measured(regret) | Self::Predicted { regret, .. } => Some(*regret),
            Self::Impossible(_) | Self::Unknown(_) | Self::OtherJob => None,
        }
    }
}

impl ProfilePortability {
    /// The largest regret that is known, and the member that has it.
    pub fn worst(&self) -> (f64, usize) {
        let known =
            self.regrets.iter().enumerate().filter_map(|(i, cell)| Some((cell.regret()?, i)));
        known.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((0.0, 0))
    }

    /// On how many members of its job its regret is neither measured nor predicted.
    pub fn missing(&self) -> usize {
        let missing =
            |cell: &&ProfileRegret| cell.regret().is_none() && **cell != ProfileRegret::OtherJob;
        self.regrets.iter().filter(missing).count()
    }

    /// How many members measured the same job.
    pub fn machines(&self) -> usize {
        self.regrets.iter().filter(|cell| **cell != ProfileRegret::OtherJob).count()
    }

    /// On how many members it was measured.
    pub fn measured(&self) -> usize {
        let measured =
            |cell: &&ProfileRegret| matches!(cell, ProfileRegret::Own | ProfileRegret::Measured(_));
        self.regrets.iter().filter(measured).count()
    }

    /// On how many members it is predicted.
    pub fn predicted(&self) -> usize {
        self.machines() - self.measured() - self.missing()
    }
}

impl Portability {
    /// Carries the fleet's profiles to all of its machines.
    pub fn of(members: &[Member]) -> Self {
        let profiles = different(members);
        let different = profiles.len();
        let carried: Vec<_> = profiles.into_iter().take(MOST_PROFILES).collect();
        let same = same_machines(members);
        let columns: Vec<Vec<ProfileRegret>> = (0..members.len())
            .into_par_iter()
            .map(|at| column(members, at, &same[&machine(&members[at])], &carried))
            .collect();
        let cells = |row: usize| columns.iter().map(|column| column[row].clone()).collect();
        let mut profiles: Vec<ProfilePortability> = carried
            .into_iter()
            .enumerate()
            .map(|(row, (job, knobs, from))| {
                let (job, knobs) = (job.to_owned(), knobs.clone());
                ProfilePortability { job, knobs, from, regrets: cells(row) }
            })
            .collect();
        profiles.sort_by(|a, b| {
            a.missing().cmp(&b.missing()).then(a.worst().0.total_cmp(&b.worst().0))
        });
        Self { profiles, different }
    }

    /// The profile with the least worst-case regret for each job of several runs, where one can be
    /// judged on all of the job's machines.
    pub fn safest(&self) -> Vec<&ProfilePortability> {
        let mut jobs = BTreeSet::new();
        let known = self.profiles.iter().filter(|p| p.missing() == 0 && p.machines() > 1);
        known.filter(|profile| jobs.insert(&profile.job)).collect()
    }
}

/// A job's name, a profile, and the members that ship it.
type Shipped<'a> = (&'a str, &'a Values, Vec<usize>);

/// The different profiles of each job, the most frequent first, then those that save most.
fn different(members: &[Member]) -> Vec<Shipped<'_>> {
    let mut profiles: BTreeMap<(&str, &Values), Vec<usize>> = BTreeMap::new();
    for (i, member) in members.iter().enumerate() {
        profiles.entry((&member.job, &member.profile)).or_default().push(i);
    }
    let mut profiles: Vec<Shipped<'_>> =
        profiles.into_iter().map(|((job, knobs), from)| (job, knobs, from)).collect();
    let saved = |from: &[usize]| {
        from.iter().map(|&i| members[i].shipped_gain()).fold(f64::NEG_INFINITY, f64::max)
    };
    profiles.sort_by(|a, b| {
        b.2.len().cmp(&a.2.len()).then_with(|| saved(&b.2).total_cmp(&saved(&a.2)))
    });
    profiles
}

/// A machine with its limits, a job and its size.
type Key<'a> = [&'a str; 4];

/// What makes trials of two folders trials of one machine, one job and one size of it.
fn machine(member: &Member) -> Key<'_> {
    let traits = &member.traits;
    [&traits.fingerprint.identity, &traits.class, &member.job, &member.workload]
}

fn same_machines(members: &[Member]) -> BTreeMap<Key<'_>, Vec<usize>> {
    let mut same: BTreeMap<Key<'_>, Vec<usize>> = BTreeMap::new();
    for (i, member) in members.iter().enumerate() {
        same.entry(machine(member)).or_default().push(i);
    }
    same
}

/// How the profiles do on the member `at`; `same` are the members that ran on its machine.
fn column(
    members: &[Member],
    at: usize,
    same: &[usize],
    profiles: &[Shipped<'_>],
) -> Vec<ProfileRegret> {
    let member = &members[at];
    let mut surrogate = None;
    let mut cell = |(job, knobs, from): &Shipped<'_>| {
        // They are in order.
        if from.binary_search(&at).is_ok() {
            return ProfileRegret::Own;
        }
        if *job != member.job {
            return ProfileRegret::OtherJob;
        }
        let runs = same.iter().map(|&i| &members[i]);
        if let Some(regret) = std::iter::once(member)
            .chain(runs)
            .find_map(|run| measured(run, &member.profile, knobs))
        {
            return ProfileRegret::Measured(regret);
        }
        predicted(member, surrogate.get_or_insert_with(|| learnt(member)).as_ref(), knobs)
    };
    profiles.iter().map(&mut cell).collect()
}

/// The regret of `knobs` against `own`, where `run` measured both.
fn measured(run: &Member, own: &Values, knobs: &Values) -> Option<f64> {
    let score = |knobs| run.measured.get(&member::candidate(&run.space, &run.baseline, knobs)?);
    Some(score(knobs)? / score(own)? - 1.0)
}

fn learnt(member: &Member) -> Option<ForestRatio> {
    let mut observations: Vec<Observation> = member
        .measured
        .iter()
        .map(|(candidate, cost)| Observation::new(candidate.clone(), Some(*cost).into()))
        .collect();
    // A map's order differs from run to run.
    observations.sort_by(|a, b| a.candidate.cmp(&b.candidate));
    ForestRatio::fit(&member.space, &observations)
}

fn predicted(member: &Member, surrogate: Option<&ForestRatio>, knobs: &Values) -> ProfileRegret {
    let (space, baseline) = (&member.space, &member.baseline);
    let left_alone = knobs.iter().any(|(name, value)| {
        space.knob(name).is_none() && baseline.get(name).is_some_and(|usual| usual != value)
    });
    if left_alone {
        return ProfileRegret::Unknown("its run left a knob alone that the profile turns");
    }
    let (candidate, fitted) = match fit(space, knobs) {
        Ok(fitted) => fitted,
        Err(why) => return ProfileRegret::Impossible(why),
    };
    let own = member::candidate(space, baseline, &member.profile);
    let (Some(surrogate), Some(own)) = (surrogate, own) else {
        return ProfileRegret::Unknown("too few trials to predict from");
    };
    let (ln, deviation) = surrogate.ln_ratio(&candidate, &own);
    ProfileRegret::Predicted { regret: ln.exp() - 1.0, deviation, fitted }
}

/// The legal candidate nearest to a profile, and whether counts had to be changed for it: each to
/// the nearest that there is; then, while a constraint is broken, that furthest above the
/// baseline's a level down.
fn fit(space: &Space, knobs: &Values) -> Result<(Candidate, bool), String> {
    let (mut levels, mut fitted) = (Vec::new(), false);
    for knob in &space.knobs {
        let Some(value) = knobs.get(&knob.name) else {
            levels.push(knob.baseline);
            continue;
        };
        let level = knob.nearest(value).ok_or_else(|| format!("no {} {value}", knob.name))?;
        fitted |= knob.levels[level] != *value;
        levels.push(level);
    }
    let mut candidate = space.canonical(&Candidate::new(levels));
    while let Some(broken) = space.broken_constraint(&candidate) {
        let above = |position: usize| {
            candidate.level(position).saturating_sub(space.knobs[position].baseline)
        };
        let ordered = (0..space.knobs.len()).filter(|&i| space.knobs[i].ordered && above(i) > 0);
        let Some(furthest) = ordered.max_by_key(|&i| above(i)) else {
            return Err(broken.why.clone());
        };
        candidate = candidate.with(furthest, candidate.level(furthest) - 1);
        fitted = true;
    }
    Ok((candidate, fitted))
}
