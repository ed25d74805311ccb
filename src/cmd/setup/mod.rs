//! What the commands that run trials set up first: job, programs, weights, cache.

pub mod app;
pub mod cache;
pub mod custom;
pub mod job;
pub mod pictures;
pub mod runner;
pub mod signature;
pub mod today;
pub mod weights;
