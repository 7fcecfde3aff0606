//! Layer 4: metrics, the record and its file form, stores, and what is computed from records.
//!
//! | file | what |
//! |---|---|
//! | [`metric`] | the metrics with unit, direction and noise class |
//! | [`record`] | a record in memory |
//! | [`wire`] | its file form, strict about what it reads |
//! | [`store`] | reading and writing record files |
//! | [`criterion`] | criterion's output directory, read into a record |
//! | [`ranking`] | scores and ranks |

pub mod criterion;
pub mod metric;
pub mod ranking;
pub mod record;
pub mod store;
pub mod wire;
