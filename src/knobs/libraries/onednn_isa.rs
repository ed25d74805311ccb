//! `onednn_isa`: the newest instructions that oneDNN may use, chosen when a process starts.

use strum::VariantArray;

use crate::knobs::as_is::CallerEnvironment;
use crate::knobs::form::{VariableForm, one_of};
use crate::knobs::knob::words;
use crate::knobs::{Host, Knob, Knobs, Variable};
use crate::machine::Machine;

words! {
    /// A limit for oneDNN (`ONEDNN_MAX_CPU_ISA`): older instructions clock higher on some machines.
    pub enum OnednnIsa {
        /// Whatever the processor has.
        #[default]
        Newest,
        /// AVX2.
        Avx2,
        /// AVX-512 without what came later.
        Avx512Core,
    }
}

impl OnednnIsa {
    /// The variable's value; `None` leaves it unset.
    fn value(self) -> Option<&'static str> {
        match self {
            Self::Newest => None,
            Self::Avx2 => Some("AVX2"),
            Self::Avx512Core => Some("AVX512_CORE"),
        }
    }

    /// Whether it is a limit at all on this machine.
    fn limits(self, machine: &Machine) -> bool {
        let has = |flag: &str| machine.cpu.isa.iter().any(|known| known == flag);
        match self {
            Self::Newest => true,
            Self::Avx2 => has("avx512f"),
            Self::Avx512Core => has("avx512_vnni") || has("avx512_bf16") || has("amx_tile"),
        }
    }
}

const VARIABLE: &str = "ONEDNN_MAX_CPU_ISA";

/// The knob.
pub struct Definition;

impl Knob for Definition {
    type Value = OnednnIsa;

    fn unavailable(&self, knobs: &Knobs, host: &Host<'_>) -> Option<String> {
        let limits = knobs.onednn_isa.limits(host.machine);
        (!limits).then(|| "no limit on this processor".to_owned())
    }

    fn variables(&self, knobs: &Knobs) -> Vec<Variable> {
        knobs.onednn_isa.value().map(|isa| (VARIABLE, isa.to_owned())).into_iter().collect()
    }

    fn forms(&self) -> Vec<VariableForm> {
        let values = OnednnIsa::VARIANTS.iter().filter_map(|isa| isa.value());
        vec![VariableForm::new(VARIABLE, one_of(values))]
    }

    fn read_caller(&self, knobs: &mut Knobs, caller: &CallerEnvironment<'_>) {
        let told = caller.text(VARIABLE).to_uppercase();
        let is_told = |isa: &&OnednnIsa| isa.value() == Some(told.as_str());
        knobs.onednn_isa = OnednnIsa::VARIANTS.iter().find(is_told).copied().unwrap_or_default();
    }
}
