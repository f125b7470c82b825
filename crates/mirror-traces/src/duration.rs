//! Durations as text.

/// Returns a duration with three significant digits and a unit: `1.23 ms`.
pub fn duration_text(nanoseconds: i64) -> String {
    let (unit, divisor) = match nanoseconds.unsigned_abs() {
        0..1_000 => return format!("{nanoseconds} ns"),
        1_000..1_000_000 => ("µs", 1e3),
        1_000_000..1_000_000_000 => ("ms", 1e6),
        _ => ("s", 1e9),
    };
    let value = nanoseconds as f64 / divisor;
    let decimals = match value.abs() {
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::duration_text;

    #[test]
    fn a_duration_has_three_significant_digits() {
        for (nanoseconds, expected) in [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_500, "1.50 µs"),
            (12_345_678, "12.3 ms"),
            (250_000_000, "250 ms"),
            (5_000_000_000, "5.00 s"),
            (-5_000_000_000, "-5.00 s"),
        ] {
            assert_eq!(duration_text(nanoseconds), expected);
        }
    }
}
