//! Knob: all that the program knows of one of its knobs, and the struct made of the list of them.

use super::as_is::CallerEnvironment;
use super::effect::{Effect, Mismatch};
use super::environment::form::VariableForm;
use super::placement::Placement;
use super::{Knobs, Preset, Settings, Value};
use crate::machine::{Machine, MachineSource, SystemRoots};

/// One knob. Its file has the only implementation; the list in `knobs/mod.rs` names it.
///
/// Methods take all knobs because some values mean something only beside others.
pub trait Knob: Sync {
    /// What the field of [`Knobs`] holds.
    type Value: Default
    where
        Self: Sized;

    /// The value that a preset gives it. Most knobs are in no preset and rest at their type's default.
    fn baseline(_fit: PresetTarget) -> Self::Value
    where
        Self: Sized,
    {
        Self::Value::default()
    }

    /// Whether its value is in the range of any machine's; no pool has more than `most` threads.
    ///
    /// # Errors
    /// What it takes.
    fn check_range(&self, _knobs: &Knobs, _most: usize) -> Result<(), String> {
        Ok(())
    }

    /// Why this host can't have its value, whatever the other knobs are; `None` where it can.
    fn unavailable(&self, _knobs: &Knobs, _host: &Host<'_>) -> Option<String> {
        None
    }

    /// Why its value does not go with another knob's.
    fn conflict(&self, _knobs: &Knobs) -> Option<String> {
        None
    }

    /// The variables that its value sets on any machine. Where two knobs set the same one, it is a
    /// list of both values. A new knob sets none at its default, as profiles older than it have none.
    fn variables(&self, _knobs: &Knobs) -> Vec<Variable> {
        Vec::new()
    }

    /// The variables whose values follow from the machine and the placement too.
    fn variables_on(&self, _: &Knobs, _: &Placement, _: &Machine) -> Vec<Variable> {
        Vec::new()
    }

    /// Each variable that it may set, with the form of its value.
    fn forms(&self) -> Vec<VariableForm> {
        Vec::new()
    }

    /// Whether nothing outside a program can set it, so that the program has to read it: whatever
    /// sets no variable, unless it says otherwise.
    fn is_handed_over(&self) -> bool {
        self.forms().is_empty()
    }

    /// Whether another value of it changes the picture, if by little.
    fn changes_picture(&self) -> bool {
        false
    }

    /// What is handed over beside its value, by the name of a knob, for a VAE of `ratio` pixels
    /// per latent pixel.
    fn handed_beside(&self, _value: &Value, _ratio: i64) -> Option<(&'static str, i64)> {
        None
    }

    /// How what a worker reads back of it differs from what was asked; its variables are compared
    /// without its help.
    fn mismatches(&self, _got: &Effect, _asked: &Settings) -> Vec<Mismatch> {
        Vec::new()
    }

    /// The same for a process that is not ours, seen from outside.
    fn foreign_mismatches(&self, _got: &Effect, _asked: &Settings) -> Vec<Mismatch> {
        Vec::new()
    }

    /// Other knobs that may be to blame where its value does not take.
    fn rests_on(&self) -> &'static [&'static str] {
        &[]
    }

    /// Takes the value that it has in the caller's environment, where that says anything of it.
    fn read_caller(&self, _knobs: &mut Knobs, _caller: &CallerEnvironment<'_>) {}

    /// Fits its value to another host, and says why it may have changed. What is still unavailable
    /// afterwards gives way to [`Knobs::neutral`]'s value.
    fn adapt(&self, _knobs: &mut Knobs, _to: &Migration<'_>) -> Option<String> {
        None
    }
}

/// A name and a value for the environment of a process.
pub type Variable = (&'static str, String);

/// What a preset is fitted to.
#[derive(Clone, Copy, Debug)]
pub struct PresetTarget {
    /// The preset; `None` for what holds where nobody sets anything.
    pub preset: Option<Preset>,
    /// Physical cores (that a CPU quota lets run).
    pub cores: usize,
    /// Memory of the largest GPU, whole GiB.
    pub vram_gib: u64,
}

/// A machine, and its files where it is this one: what a machine that is only planned for has
/// installed, nobody knows.
#[derive(Clone, Debug)]
pub struct Host<'a> {
    /// The machine.
    pub machine: &'a Machine,
    /// Its files.
    pub roots: Option<SystemRoots>,
}

impl<'a> Host<'a> {
    /// The host that `machine` describes.
    pub fn of(machine: &'a Machine) -> Self {
        let roots = (machine.source == MachineSource::Live).then(SystemRoots::live);
        Self { machine, roots }
    }
}

/// A change of machines.
#[derive(Clone, Debug)]
pub struct Migration<'a> {
    /// The cores that the old machine had, or let run.
    pub cores_there: usize,
    /// The new machine.
    pub here: Host<'a>,
}

/// Makes a knob's words of an enum: in journals, profiles and space files, and as text.
macro_rules! words {
    ($item:item) => {
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        #[derive(serde::Serialize, serde::Deserialize)]
        #[derive(strum::Display, strum::EnumString, strum::IntoStaticStr, strum::VariantArray)]
        #[serde(rename_all = "kebab-case")]
        #[strum(serialize_all = "kebab-case")]
        $item
    };
}
pub(super) use words;

/// Makes [`Knobs`] of a list of `group::knob`, where each module `group::knob` has a `Definition`.
macro_rules! knobs {
    ($($(#[doc = $doc:literal])* $group:ident::$name:ident,)*) => {
        /// One value per knob: the baseline's, overwritten by a candidate's where the space tunes it.
        ///
        /// The fields' names are the knobs' names in space files, journals and profiles.
        #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Knobs {
            $($(#[doc = $doc])* pub $name: <$group::$name::Definition as Knob>::Value,)*
            /// Knobs of the user's own command, which it alone knows.
            #[serde(skip)]
            pub custom: Values,
            /// The knobs that a launch leaves as it finds them, whatever their values here.
            #[serde(skip)]
            pub as_is: AsIs,
        }

        impl Knobs {
            /// The values that a preset gives.
            fn fit(fit: PresetTarget) -> Self {
                Self {
                    $($name: $group::$name::Definition::baseline(fit),)*
                    custom: Values::new(),
                    as_is: AsIs::new(),
                }
            }
        }

        /// Every knob by name.
        pub static KNOBS: &[(&str, &dyn Knob)] =
            &[$((stringify!($name), &$group::$name::Definition),)*];
    };
}
pub(super) use knobs;
