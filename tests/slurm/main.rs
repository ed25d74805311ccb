//! The Slurm suite: a real one of several nodes, on which fleets are tuned while things fail.
//! `make slurm-test` runs it; it needs root, as in a container.
#![allow(clippy::print_stdout, reason = "it prints figures for those who run it")]

mod cluster;
mod faults;
mod nodes;
mod signals;
mod ssh;
