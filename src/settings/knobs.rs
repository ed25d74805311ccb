//! The value of every knob that the tool has.

/// One field a knob.
#[derive(Clone, Debug, PartialEq)]
pub struct Knobs {}
