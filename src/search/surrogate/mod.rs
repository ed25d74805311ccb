//! Surrogates: models of the cost, and of which candidates can run at all.

pub mod cholesky;
pub mod data;
pub mod feasibility;
pub mod forest;
pub mod forest_ratio;
pub mod gp;
mod hyperparameters;
pub mod kernel;
pub mod prior;
pub mod stages;
