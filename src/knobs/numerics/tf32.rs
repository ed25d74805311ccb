//! `tf32`: whether a GPU multiplies float32 numbers in TF32; chosen when a process starts.

use crate::knobs::as_is::CallerEnvironment;
use crate::knobs::effect::{Effect, Mismatch};
use crate::knobs::form::VariableForm;
use crate::knobs::knob::words;
use crate::knobs::{Host, Knob, Knobs, Settings, Variable};

words! {
    /// Ten bits of a float32 number's fraction instead of 23, on NVIDIA's tensor cores since Ampere.
    pub enum Tf32 {
        /// As the program has it: torch's own choice is TF32 for convolutions and not for products.
        #[default]
        Default,
        /// torch starts with TF32 for products, too.
        On,
        /// None of NVIDIA's libraries uses it, whatever the program asks for.
        Off,
    }
}

/// torch reads it once, when it is loaded; a program may choose otherwise afterwards.
const TORCH: (&str, &str) = ("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "1");

/// cuBLAS, cuDNN and the others read it; NVIDIA gives only 0 a meaning.
const NVIDIA: (&str, &str) = ("NVIDIA_TF32_OVERRIDE", "0");

/// The knob.
pub struct Definition;

impl Knob for Definition {
    type Value = Tf32;

    fn changes_picture(&self) -> bool {
        true
    }

    fn unavailable(&self, knobs: &Knobs, host: &Host<'_>) -> Option<String> {
        let is_idle = knobs.tf32 != Tf32::Default && host.machine.gpus.is_empty();
        is_idle.then(|| "this machine has no GPU".to_owned())
    }

    fn variables(&self, knobs: &Knobs) -> Vec<Variable> {
        let set = match knobs.tf32 {
            Tf32::Default => None,
            Tf32::On => Some(TORCH),
            Tf32::Off => Some(NVIDIA),
        };
        set.map(|(name, value)| (name, value.to_owned())).into_iter().collect()
    }

    fn forms(&self) -> Vec<VariableForm> {
        [TORCH, NVIDIA].map(|(name, value)| VariableForm::new(name, value)).into()
    }

    /// A program may have turned it off again. That NVIDIA's libraries leave it nobody can read back
    /// but by their variable.
    fn mismatches(&self, got: &Effect, asked: &Settings) -> Vec<Mismatch> {
        let is_off = got.cuda.as_ref().is_some_and(|cuda| !cuda.tf32_matmul);
        let wrong = is_off && asked.environment.contains_key(TORCH.0);
        wrong.then(|| Mismatch::new("products", "TF32", "float32")).into_iter().collect()
    }

    fn read_caller(&self, knobs: &mut Knobs, caller: &CallerEnvironment<'_>) {
        let is_set = |(name, value): (&str, &str)| caller.text(name) == value;
        if is_set(NVIDIA) {
            knobs.tf32 = Tf32::Off;
        } else if is_set(TORCH) {
            knobs.tf32 = Tf32::On;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knobs::effect::Cuda;
    use crate::knobs::{Baseline, Preset, Value};
    use crate::machine::{Gpu, Machine};

    fn machine() -> Machine {
        let machine = Machine::synthetic("package:1 [numa(memory=8GB)] core:2 pu:1");
        Machine { gpus: vec![Gpu::default()], ..machine }
    }

    fn with(word: &str) -> Knobs {
        Knobs::neutral().with([("tf32", &Value::Word(word.to_owned()))]).unwrap()
    }

    #[test]
    fn each_word_is_a_variable_of_its_own_and_needs_a_gpu() {
        let set = |word| Definition.variables(&with(word));
        assert_eq!(set("default"), []);
        assert_eq!(set("on"), [("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "1".to_owned())]);
        assert_eq!(set("off"), [("NVIDIA_TF32_OVERRIDE", "0".to_owned())]);
        let without = Machine { gpus: Vec::new(), ..machine() };
        let missing = |word, machine| Definition.unavailable(&with(word), &Host::of(machine));
        assert_eq!(missing("on", &without).as_deref(), Some("this machine has no GPU"));
        assert_eq!((missing("default", &without), missing("on", &machine())), (None, None));
    }

    #[test]
    fn what_the_caller_set_is_todays_value_and_off_wins() {
        let read = |pairs: &[(&str, &str)]| {
            let all = pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
            let baseline = Baseline::fit(Preset::Generic, &machine());
            baseline.as_is(&machine(), &all.collect()).knobs.tf32
        };
        assert_eq!(read(&[]), Tf32::Default);
        // NVIDIA's containers set it.
        assert_eq!(read(&[TORCH]), Tf32::On);
        assert_eq!(read(&[TORCH, NVIDIA]), Tf32::Off);
        assert_eq!(read(&[("NVIDIA_TF32_OVERRIDE", "1")]), Tf32::Default);
    }

    #[test]
    fn torch_that_has_it_off_contradicts_on() {
        let wrong = |word, tf32_matmul| {
            let cuda = Some(Cuda { tf32_matmul, ..Cuda::default() });
            let settings = with(word).resolve(&machine()).unwrap();
            let found = Definition.mismatches(&Effect { cuda, ..Effect::default() }, &settings);
            found.iter().map(ToString::to_string).collect::<String>()
        };
        assert_eq!(wrong("on", false), "products: asked for TF32, got float32");
        assert_eq!([wrong("on", true), wrong("off", true), wrong("default", false)], [""; 3]);
    }
}
