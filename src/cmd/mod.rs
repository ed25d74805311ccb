//! One file a verb.

pub mod replay;
