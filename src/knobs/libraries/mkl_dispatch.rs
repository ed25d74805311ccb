//! `mkl_dispatch`: which of its kernels MKL takes where the processor is not Intel's; chosen when a
//! process starts.

use crate::knobs::allow_list::PRELOAD;
use crate::knobs::as_is::CallerEnvironment;
use crate::knobs::effect::{Effect, Mismatch, compare_reported};
use crate::knobs::form::{VariableForm, one_of};
use crate::knobs::knob::words;
use crate::knobs::{Host, Knob, Knobs, Settings, Variable};
use crate::machine::library;

words! {
    /// How MKL chooses its kernels. The other choice than its own is none that Intel supports: a
    /// library of one function (`mkl.c`), loaded first, answers MKL's question in MKL's place.
    pub enum MklDispatch {
        /// By the vendor first: plain ones on AMD's.
        #[default]
        Own,
        /// By the instructions that the processor has, as on Intel's.
        Intel,
    }
}

impl MklDispatch {
    /// The library to load; `None` for MKL's own choice.
    pub fn library(self) -> Option<&'static str> {
        match self {
            Self::Own => None,
            Self::Intel => Some(library::MKL),
        }
    }

    /// What settings ask of MKL, if anything: an Intel processor's gives Intel's answer unasked.
    pub fn asked(settings: &Settings) -> Option<Self> {
        settings.preloaded().any(|file| file == library::MKL).then_some(Self::Intel)
    }
}

/// The knob.
pub struct Definition;

impl Knob for Definition {
    type Value = MklDispatch;

    fn unavailable(&self, knobs: &Knobs, host: &Host<'_>) -> Option<String> {
        let library = knobs.mkl_dispatch.library()?;
        if host.machine.cpu.vendor != "AuthenticAMD" {
            return Some("not an AMD processor".to_owned());
        }
        library::refusal(library, host.roots.as_ref()?)
    }

    fn variables(&self, knobs: &Knobs) -> Vec<Variable> {
        knobs.mkl_dispatch.library().map(|name| (PRELOAD, name.to_owned())).into_iter().collect()
    }

    fn forms(&self) -> Vec<VariableForm> {
        vec![VariableForm::new(PRELOAD, one_of([library::MKL]))]
    }

    fn read_caller(&self, knobs: &mut Knobs, caller: &CallerEnvironment<'_>) {
        if caller.preloaded().any(|file| file == library::MKL) {
            knobs.mkl_dispatch = MklDispatch::Intel;
        }
    }

    fn mismatches(&self, got: &Effect, asked: &Settings) -> Vec<Mismatch> {
        let asked = MklDispatch::asked(asked);
        let wrong = asked.and_then(|asked| compare_reported(&asked, got.mkl_dispatch.as_ref()));
        wrong.into_iter().collect()
    }
}
