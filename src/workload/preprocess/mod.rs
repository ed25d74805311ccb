//! The image pipeline around a model: files become batches, frames become files.
//!
//! ```text
//! read (io) ─▶ preprocess (preprocess) ─▶ pack (batch) ─▶ the model's own stages
//!                                                              │
//! write (io) ◀───────────── write (preprocess) ◀───────────────┘
//! ```
//!
//! In brackets the [`Pools`] whose threads do the work. All stages run at once, joined by bounded
//! queues ([`run`]), and each adds its busy time to a [`StageClock`].

mod frames;
pub mod images;
mod picture;
mod pipeline;
mod pools;
mod stage;

pub use frames::{Frames, NotFinite, Numbers, StageOutput};
pub use picture::Picture;
pub use pipeline::{Batch, PipelinePlan, run};
pub use pools::Pools;
pub use stage::{StageClock, StageError, panic_text};
