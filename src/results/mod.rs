//! Layer 4: metrics, the record and its file form, stores, and what is computed from records.
//!
//! | file | what |
//! |---|---|
//! | [`record`] | a record in memory |
//! | [`wire`] | its file form, strict about what it reads |
//! | [`store`] | reading and writing record files |
//! | [`import`] | criterion's output directory, made into a record |
//! | [`assemble`] | a record from what a run measured |
//! | `combine` | the rounds of one cell, made into its numbers |
//! | [`ranking`] | scores and ranks |
//! | [`goals`] | what a record says of the goals the authors set themselves |
//! | [`verdict`] | one cell's change judged, with the evidence |
//! | [`compare`] | two records, cell by cell |
//! | [`confirm`] | fresh rounds for what a comparison suspects |
//! | [`control`] | the same code compared with itself |

pub mod assemble;
mod combine;
pub mod compare;
pub mod confirm;
pub mod control;
#[cfg(test)]
mod fixture;
pub mod goals;
pub mod import;
pub mod ranking;
pub mod record;
pub mod store;
pub mod verdict;
pub mod wire;

pub use crate::harness::metric;
