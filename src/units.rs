//! Units as types: each prints, parses and (de)serialises itself.
//!
//! | type | inner number | prints as |
//! |---|---|---|
//! | [`Nanos`] | nanoseconds | `12.3 ns`, `4.56 µs`, `1.20 s` |
//! | [`Bytes`] | bytes | `64 B`, `16 KiB`, `1.5 MiB` |
//! | [`Ratio`] | a quotient of two like quantities | `1.23×` |
