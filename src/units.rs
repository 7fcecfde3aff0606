//! Units as types: each prints, parses and (de)serialises itself.
//!
//! | type | inner number | prints as |
//! |---|---|---|
//! | [`Nanos`] | nanoseconds | `12.3 ns`, `4.56 µs`, `1.20 s` |
//! | [`Bytes`] | bytes | `64 B`, `16 KiB`, `1.5 MiB` |
//! | [`Ratio`] | a quotient of two like quantities | `1.23×` |
//!
//! In JSON each is the bare number in its base unit. Three significant digits are printed at most; where an
//! interval says that fewer are justified, `report` cuts them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A duration in nanoseconds, fractions included: single operations take a few.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Nanos(pub f64);

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bytes(pub u64);

/// A quotient of two like quantities.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ratio(pub f64);

/// A text that is not the quantity it should be. The text is inside; write it like the examples in the message.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("`{text}` is not {expected}")]
pub struct ParseUnitError {
    /// What was read.
    pub text: String,
    /// What would have been right, with an example.
    pub expected: &'static str,
}

/// What times are printed in, smallest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeUnit {
    /// Nanoseconds.
    Nanoseconds,
    /// Microseconds.
    Microseconds,
    /// Milliseconds.
    Milliseconds,
    /// Seconds.
    Seconds,
}

impl TimeUnit {
    /// Every unit, smallest first.
    pub const ALL: [Self; 4] = [Self::Nanoseconds, Self::Microseconds, Self::Milliseconds, Self::Seconds];

    /// Its sign.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Nanoseconds => "ns",
            Self::Microseconds => "µs",
            Self::Milliseconds => "ms",
            Self::Seconds => "s",
        }
    }

    /// How many nanoseconds it is.
    pub const fn in_ns(self) -> f64 {
        match self {
            Self::Nanoseconds => 1.0,
            Self::Microseconds => 1e3,
            Self::Milliseconds => 1e6,
            Self::Seconds => 1e9,
        }
    }

    /// The largest unit of which `ns` is at least one; nanoseconds for anything smaller.
    pub fn fitting(ns: f64) -> Self {
        let fits = |unit: &&Self| ns.abs() >= unit.in_ns() * 0.9995;
        Self::ALL.iter().rev().find(fits).copied().unwrap_or(Self::Nanoseconds)
    }
}

/// What amounts of memory are printed in, smallest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteUnit {
    /// Bytes.
    Bytes,
    /// 1024 bytes.
    Kibibytes,
    /// 1024 KiB.
    Mebibytes,
    /// 1024 MiB.
    Gibibytes,
}

impl ByteUnit {
    /// Every unit, smallest first.
    pub const ALL: [Self; 4] = [Self::Bytes, Self::Kibibytes, Self::Mebibytes, Self::Gibibytes];

    /// Its sign.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Bytes => "B",
            Self::Kibibytes => "KiB",
            Self::Mebibytes => "MiB",
            Self::Gibibytes => "GiB",
        }
    }

    /// How many bytes it is.
    pub const fn in_bytes(self) -> f64 {
        match self {
            Self::Bytes => 1.0,
            Self::Kibibytes => 1024.0,
            Self::Mebibytes => 1_048_576.0,
            Self::Gibibytes => 1_073_741_824.0,
        }
    }

    /// The largest unit of which `bytes` is at least one; bytes for anything smaller.
    pub fn fitting(bytes: f64) -> Self {
        let fits = |unit: &&Self| bytes.abs() >= unit.in_bytes();
        Self::ALL.iter().rev().find(fits).copied().unwrap_or(Self::Bytes)
    }
}

/// Decimals that show `value` with `digits` significant digits: 2 for 1.234, 0 for 123.4.
pub fn decimals_for(value: f64, digits: usize) -> usize {
    let digits = digits as i32;
    if value == 0.0 || !value.is_finite() {
        return 0;
    }
    let leading = value.abs().log10().floor() as i32;
    let decimals = (digits - 1 - leading).max(0);
    // 9.996 has its first digit before the point, but prints as 10.0.
    let scale = 10f64.powi(decimals);
    let rounded = (value.abs() * scale).round() / scale;
    if decimals > 0 && rounded >= 10f64.powi(leading + 1) {
        return (decimals - 1) as usize;
    }
    decimals as usize
}

fn significant(value: f64) -> String {
    format!("{value:.*}", decimals_for(value, 3))
}

impl fmt::Display for Nanos {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = TimeUnit::fitting(self.0);
        write!(out, "{} {}", significant(self.0 / unit.in_ns()), unit.symbol())
    }
}

impl FromStr for Nanos {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = "a time such as `12.3 ns`, `4 µs`, `1.5 ms` or `2 s`";
        let (number, symbol) = split(text).ok_or_else(|| wrong(text, expected))?;
        let unit = match symbol {
            "us" => TimeUnit::Microseconds,
            _ => *TimeUnit::ALL
                .iter()
                .find(|unit| unit.symbol() == symbol)
                .ok_or_else(|| wrong(text, expected))?,
        };
        Ok(Self(number * unit.in_ns()))
    }
}

const BYTE_UNITS: [(&str, u64); 5] =
    [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

impl fmt::Display for Bytes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (symbol, size) =
            *BYTE_UNITS.iter().rev().find(|(_, size)| self.0 >= *size).unwrap_or(&BYTE_UNITS[0]);
        if self.0.is_multiple_of(size) {
            return write!(out, "{} {symbol}", self.0 / size);
        }
        let number = significant(self.0 as f64 / size as f64);
        let number =
            if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { &number };
        write!(out, "{number} {symbol}")
    }
}

impl FromStr for Bytes {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = "a size such as `64 B`, `16 KiB` or `1.5 MiB`";
        let (number, symbol) = split(text).ok_or_else(|| wrong(text, expected))?;
        let (_, size) =
            BYTE_UNITS.iter().find(|(name, _)| *name == symbol).ok_or_else(|| wrong(text, expected))?;
        let bytes = number * *size as f64;
        if bytes < 0.0 || bytes > u64::MAX as f64 {
            return Err(wrong(text, expected));
        }
        Ok(Self(bytes.round() as u64))
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}×", significant(self.0))
    }
}

impl FromStr for Ratio {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = "a ratio such as `1.23×`";
        let number = text.trim().trim_end_matches(['×', 'x']);
        match number.trim().parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(Self(value)),
            _ => Err(wrong(text, expected)),
        }
    }
}

/// A finite number and the unit behind it.
fn split(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let number: f64 = text[..end].parse().ok()?;
    number.is_finite().then(|| (number, text[end..].trim()))
}

fn wrong(text: &str, expected: &'static str) -> ParseUnitError {
    ParseUnitError { text: text.to_owned(), expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_print_with_three_digits_and_the_unit_that_fits() {
        let printed: Vec<String> = [0.0, 0.352, 3.1234, 12.345, 999.96, 4_560.0, 1.2e6, 1.2e9]
            .iter()
            .map(|ns| Nanos(*ns).to_string())
            .collect();
        assert_eq!(
            printed,
            ["0 ns", "0.352 ns", "3.12 ns", "12.3 ns", "1.00 µs", "4.56 µs", "1.20 ms", "1.20 s"]
        );
    }

    #[test]
    fn sizes_print_whole_where_they_are_whole() {
        let printed: Vec<String> =
            [0, 64, 1023, 1024, 1536, 65536, 1 << 20].iter().map(|b| Bytes(*b).to_string()).collect();
        assert_eq!(printed, ["0 B", "64 B", "1023 B", "1 KiB", "1.5 KiB", "64 KiB", "1 MiB"]);
    }

    #[test]
    fn what_is_printed_can_be_read_back() {
        assert_eq!("12.3 ns".parse(), Ok(Nanos(12.3)));
        assert_eq!("4 us".parse(), Ok(Nanos(4_000.0)));
        assert_eq!(Bytes(1536).to_string().parse(), Ok(Bytes(1536)));
        assert_eq!(Ratio(1.234).to_string().parse(), Ok(Ratio(1.23)));
    }

    #[test]
    fn what_is_not_a_quantity_is_refused_by_name() {
        let error = "12 parsecs".parse::<Nanos>().unwrap_err();
        assert!(error.to_string().contains("`12 parsecs`"));
        assert!("-1 B".parse::<Bytes>().is_err());
        assert!("inf".parse::<Ratio>().is_err());
    }

    #[test]
    fn rounding_up_to_the_next_power_of_ten_does_not_add_a_digit() {
        assert_eq!(decimals_for(9.996, 3), 1);
        assert_eq!(decimals_for(0.9999, 3), 2);
        assert_eq!(Ratio(9.996).to_string(), "10.0×");
    }
}
