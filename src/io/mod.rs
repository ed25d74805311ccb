//! Files and output, read with bounds, written whole or not at all, printed without control characters.

mod as_text;
pub mod atomic_write;
pub mod digest;
pub mod held;
pub mod home;
pub mod input;
pub mod lock;
pub mod number;
pub mod output;
pub mod ownership;
pub mod printable;
pub mod shell;

pub(crate) use as_text::as_text;
