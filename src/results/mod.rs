//! Layer 4: metrics, the record and its file form, stores, and what is computed from records.
//!
//! | file | what |
//! |---|---|
//! | [`metric`] | the metrics with unit, direction and noise class |
//! | [`record`] | a record in memory |
//! | [`wire`] | its file form, strict about what it reads |
//! | [`store`] | reading and writing record files |
//! | [`import`] | criterion's output directory, made into a record |
//! | [`assemble`] | a record from what a run measured |
//! | [`ranking`] | scores and ranks |

pub mod assemble;
pub mod import;
pub mod metric;
pub mod ranking;
pub mod record;
pub mod store;
pub mod wire;
