//! Phase: the part of a tune that a trial belongs to.

use serde::{Deserialize, Serialize};

/// The part of a tune that a trial belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[derive(strum::Display, strum::EnumString, strum::IntoStaticStr, strum::VariantArray)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Phase {
    /// Fits the workload to the machine.
    Calibration,
    /// The baseline, measured first.
    Baseline,
    /// Proposed by the strategy.
    #[default]
    Search,
    /// The baseline again, to see the machine drift.
    Sentinel,
    /// A promising candidate again, because noise makes its first measurement doubtful.
    Repeat,
    /// Interleaved pairs, finalist against baseline.
    Confirmation,
}

impl Phase {
    /// Whether the trial runs the baseline.
    pub fn is_baseline(self) -> bool {
        matches!(self, Self::Baseline | Self::Sentinel)
    }

    /// Whether its times compare with those of other phases: calibration runs other sizes of the job.
    pub fn is_comparable(self) -> bool {
        self != Self::Calibration
    }

    /// Whether candidates are ranked by its trials. Those of the confirmation are paired instead.
    pub fn is_ranked(self) -> bool {
        !matches!(self, Self::Calibration | Self::Confirmation)
    }

    /// Whether it measures candidates that were not measured before.
    pub fn is_first_measurement(self) -> bool {
        matches!(self, Self::Baseline | Self::Search)
    }

    /// Whether its trials show how the machine drifts. What the search measured once does not: it
    /// was chosen for being fast.
    pub fn counts_for_drift(self) -> bool {
        self.is_baseline() || self == Self::Repeat
    }

    /// Whether its trials are measured equally often, whatever they take.
    pub fn has_fixed_repetitions(self) -> bool {
        matches!(self, Self::Calibration | Self::Baseline | Self::Confirmation)
    }

    /// Whether it comes in between the trials of another phase.
    pub fn is_interposed(self) -> bool {
        matches!(self, Self::Sentinel | Self::Repeat)
    }
}

#[cfg(test)]
mod tests {
    use strum::VariantArray;

    use super::*;

    fn those(holds: fn(Phase) -> bool) -> String {
        let phases = Phase::VARIANTS.iter().filter(|phase| holds(**phase));
        phases.map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn each_question_has_one_answer() {
        assert_eq!(those(Phase::is_baseline), "baseline sentinel");
        assert_eq!(those(Phase::is_comparable), "baseline search sentinel repeat confirmation");
        assert_eq!(those(Phase::is_ranked), "baseline search sentinel repeat");
        assert_eq!(those(Phase::is_first_measurement), "baseline search");
        assert_eq!(those(Phase::counts_for_drift), "baseline sentinel repeat");
        assert_eq!(those(Phase::has_fixed_repetitions), "calibration baseline confirmation");
        assert_eq!(those(Phase::is_interposed), "sentinel repeat");
    }
}
