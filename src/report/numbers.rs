//! Digits and alignment in tables: one unit a table, no more digits than the interval supports, points below
//! points.

use serde::Serialize;

use crate::results::record::Measured;
use crate::units::{ByteUnit, TimeUnit, decimals_for};

/// A number as a table cell: its text, and how far it stands from the right so that the points align.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Figure {
    pub(crate) text: String,
    /// Characters that are missing behind the text, compared with the longest fraction in its column.
    pub(crate) pad: usize,
}

/// Most significant digits anywhere: more would need more rounds than a person waits for.
const DIGITS: usize = 3;

/// The unit for a table of times: the largest in which the smaller half still has a digit before the point.
pub(crate) fn unit_for(times_ns: impl Iterator<Item = f64>) -> TimeUnit {
    let mut times: Vec<f64> = times_ns.collect();
    times.sort_by(f64::total_cmp);
    // The lower quartile: a table of mostly nanoseconds with one slow row stays in nanoseconds.
    TimeUnit::fitting(times.get(times.len() / 4).copied().unwrap_or(1.0))
}

/// The unit for a table of resident memory: as [`unit_for`], but never smaller than what the kernel counts in.
pub(crate) fn byte_unit_for(bytes: impl Iterator<Item = f64>) -> ByteUnit {
    let mut bytes: Vec<f64> = bytes.filter(|bytes| *bytes > 0.0).collect();
    bytes.sort_by(f64::total_cmp);
    match ByteUnit::fitting(bytes.get(bytes.len() / 4).copied().unwrap_or(0.0)) {
        ByteUnit::Bytes => ByteUnit::Kibibytes,
        unit => unit,
    }
}

/// Resident memory in `unit`: whole KiB, hundredths of the larger units. What is more than nothing never reads 0.
pub(crate) fn bytes(bytes: f64, unit: ByteUnit) -> String {
    let decimals = match unit {
        ByteUnit::Bytes | ByteUnit::Kibibytes => 0,
        ByteUnit::Mebibytes | ByteUnit::Gibibytes => 2,
    };
    let value = bytes / unit.in_bytes();
    let least = 10f64.powi(-decimals);
    if value == 0.0 {
        return "0".to_owned();
    }
    if value > 0.0 && value < least / 2.0 {
        return format!("< {least:.*}", decimals as usize);
    }
    fixed(value, decimals_for(value, DIGITS).min(decimals as usize))
}

/// Where a measurement lies: its interval, or else the least and the most of its rounds.
pub(crate) fn spread(measured: &Measured) -> Option<(f64, f64)> {
    let rounds = &measured.replicates;
    measured.interval.or_else(|| {
        (rounds.len() >= 2).then(|| {
            let ends = |fold: fn(f64, f64) -> f64| rounds.iter().copied().fold(rounds[0], fold);
            (ends(f64::min), ends(f64::max))
        })
    })
}

/// What [`spread`] is of a whole table: intervals if every measurement has one.
pub(crate) fn spread_title<'m>(mut measured: impl Iterator<Item = &'m Measured>) -> &'static str {
    if measured.all(|measured| measured.interval.is_some()) { "95 % interval" } else { "range of rounds" }
}

/// A number that repeats exactly, as instructions per operation: four digits, at most two behind the point unless
/// fewer than two would be left.
pub(crate) fn exact(value: f64) -> String {
    let decimals = decimals_for(value, 4).min(2).max(decimals_for(value, 2));
    if value.fract() == 0.0 || decimals == 0 {
        return if value >= 0.0 { grouped(value.round() as u64) } else { format!("{value:.0}") };
    }
    format!("{value:.decimals$}")
}

/// A time in `unit` with as many digits as any number may have.
pub(crate) fn duration(ns: f64, unit: TimeUnit) -> String {
    let value = ns / unit.in_ns();
    fixed(value, decimals_for(value, DIGITS).min(2))
}

/// A time in `unit` from a counter that moves in steps of `quantum_ns`: no digits that are finer than a step.
pub(crate) fn stepped(ns: f64, quantum_ns: f64, unit: TimeUnit) -> String {
    let value = ns / unit.in_ns();
    let supported = if quantum_ns > 0.0 { decimals_for(quantum_ns / unit.in_ns(), 1) } else { DIGITS };
    fixed(value, decimals_for(value, DIGITS).min(supported))
}

/// `measured` in `unit`, cut to the digits that its interval supports.
pub(crate) fn time(measured: &Measured, unit: TimeUnit) -> String {
    let scale = unit.in_ns();
    fixed(measured.value / scale, decimals(measured, scale))
}

/// The ends of `measured`'s interval in `unit`, with the digits of its value.
pub(crate) fn interval(measured: &Measured, unit: TimeUnit) -> Option<String> {
    let (low, high) = measured.interval?;
    let scale = unit.in_ns();
    let decimals = decimals(measured, scale);
    Some(format!("{}–{}", fixed(low / scale, decimals), fixed(high / scale, decimals)))
}

fn decimals(measured: &Measured, scale: f64) -> usize {
    let most = decimals_for(measured.value / scale, DIGITS);
    let Some((low, high)) = measured.interval else { return most };
    let half_width = (high - low).abs() / 2.0 / scale;
    if half_width <= 0.0 {
        return most;
    }
    // One digit beyond the first uncertain one says nothing any more.
    most.min(decimals_for(half_width, 1))
}

/// A ratio with its digits: two decimals below 10, one below 100, none above.
pub(crate) fn ratio(value: f64) -> String {
    let decimals = match value {
        v if v < 0.1 => decimals_for(v, 2),
        v if v < 9.995 => 2,
        v if v < 99.95 => 1,
        _ => 0,
    };
    fixed(value, decimals)
}

/// A ratio's interval.
pub(crate) fn ratio_interval((low, high): (f64, f64)) -> String {
    format!("{}–{}", ratio(low), ratio(high))
}

/// `value` with `decimals`; from 1000 on rounded to three significant digits, and grouped.
fn fixed(value: f64, decimals: usize) -> String {
    if decimals == 0 && value.abs() >= 1000.0 && value.abs() < 1e15 {
        let step = 10f64.powi(value.abs().log10().floor() as i32 - (DIGITS as i32 - 1));
        return grouped(((value / step).round() * step) as u64);
    }
    format!("{value:.decimals$}")
}

/// A whole number with its thousands apart.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    // Four digits read well as they are.
    if digits.len() <= 4 {
        return digits;
    }
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// Texts of one column, with the padding that puts their decimal points below each other.
pub(crate) fn align(texts: Vec<String>) -> Vec<Figure> {
    let fraction = |text: &str| text.find('.').map_or(0, |point| text.len() - point);
    // What is no number stands at the right.
    let number = |text: &str| text.bytes().any(|byte| byte.is_ascii_digit());
    let longest = texts.iter().map(|text| fraction(text)).max().unwrap_or(0);
    let pad = |text: &str| if number(text) { longest - fraction(text) } else { 0 };
    texts.into_iter().map(|text| Figure { pad: pad(&text), text }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(value: f64, low: f64, high: f64) -> Measured {
        Measured { value, interval: Some((low, high)), replicates: vec![value; 6] }
    }

    #[test]
    fn a_wide_interval_takes_digits_away() {
        let ns = TimeUnit::Nanoseconds;
        assert_eq!(time(&measured(12.345, 12.34, 12.35), ns), "12.3");
        assert_eq!(time(&measured(3.1234, 3.121, 3.125), ns), "3.12");
        assert_eq!(time(&measured(3.1234, 2.9, 3.3), ns), "3.1");
        assert_eq!(time(&measured(12.345, 8.0, 16.0), ns), "12");
        assert_eq!(interval(&measured(12.345, 8.0, 16.0), ns).as_deref(), Some("8–16"));
    }

    #[test]
    fn a_counter_that_moves_in_steps_supports_no_finer_digits() {
        assert_eq!(stepped(52.4, 10.0, TimeUnit::Nanoseconds), "52");
        assert_eq!(stepped(5_240.0, 10.0, TimeUnit::Microseconds), "5.24");
        assert_eq!(stepped(52.4, 0.3, TimeUnit::Nanoseconds), "52.4");
    }

    #[test]
    fn large_numbers_keep_three_digits_and_are_grouped() {
        let ns = TimeUnit::Nanoseconds;
        assert_eq!(time(&measured(123_456.0, 123_000.0, 124_000.0), ns), "123\u{202f}000");
        assert_eq!(grouped(1_000), "1000");
        assert_eq!(grouped(1_048_576), "1\u{202f}048\u{202f}576");
    }

    #[test]
    fn memory_is_in_hundredths_of_a_mebibyte_and_little_is_not_nothing() {
        let mib = ByteUnit::Mebibytes;
        assert_eq!(bytes(0.0, mib), "0");
        assert_eq!(bytes(4096.0, mib), "< 0.01");
        assert_eq!(bytes(12_288.0, mib), "0.01");
        assert_eq!(bytes(1.5 * 1_048_576.0, mib), "1.50");
        assert_eq!(bytes(123.4 * 1_048_576.0, mib), "123");
        assert_eq!(bytes(4096.0, ByteUnit::Kibibytes), "4");
        assert_eq!(bytes(300.0, ByteUnit::Kibibytes), "< 1");
    }

    #[test]
    fn the_unit_of_memory_fits_the_smaller_half_and_is_at_least_a_kibibyte() {
        assert_eq!(byte_unit_for([100e6, 2e6, 3e6].into_iter()), ByteUnit::Mebibytes);
        assert_eq!(byte_unit_for([0.0, 0.0, 5e9].into_iter()), ByteUnit::Gibibytes);
        assert_eq!(byte_unit_for([12.0].into_iter()), ByteUnit::Kibibytes);
        assert_eq!(byte_unit_for(std::iter::empty()), ByteUnit::Kibibytes);
    }

    #[test]
    fn rounds_without_an_interval_still_have_a_range() {
        let three = Measured { value: 2.0, interval: None, replicates: vec![2.0, 1.0, 4.0] };
        assert_eq!(spread(&three), Some((1.0, 4.0)));
        assert_eq!(spread(&measured(2.0, 1.9, 2.1)), Some((1.9, 2.1)));
        assert_eq!(spread(&Measured { replicates: vec![2.0], ..three }), None);
    }

    #[test]
    fn exact_numbers_keep_what_they_have() {
        assert_eq!(
            [23.416, 2.0, 0.125, 123.46, 12_345.6, 0.00104, 0.0625].map(exact),
            ["23.42", "2", "0.12", "123.5", "12\u{202f}346", "0.0010", "0.062"]
        );
    }

    #[test]
    fn points_stand_below_points() {
        let column = align(vec!["12.3".into(), "123".into(), "1.25".into()]);
        assert_eq!(column.iter().map(|figure| figure.pad).collect::<Vec<_>>(), [1, 3, 0]);
    }

    #[test]
    fn a_table_of_mostly_nanoseconds_is_in_nanoseconds() {
        assert_eq!(unit_for([12.0, 30.0, 45_000.0].into_iter()), TimeUnit::Nanoseconds);
        assert_eq!(unit_for([12_000.0, 30_000.0, 9e6].into_iter()), TimeUnit::Microseconds);
        assert_eq!(unit_for(std::iter::empty()), TimeUnit::Nanoseconds);
    }
}
