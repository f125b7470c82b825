//! Durations as text.

/// Returns a duration with up to three digits and its unit: `850 ns`, `1.24 ms`, `31.0 s`, `4.20 min`. A text without a
/// sign has at most 8 characters.
pub fn text(ns: i64) -> String {
    let ns = ns as f64;
    for (unit, size, limit) in [
        ("ns", 1.0, 1e3),
        ("µs", 1e3, 1e6),
        ("ms", 1e6, 1e9),
        ("s", 1e9, 60e9),
        ("min", 60e9, 36_000e9),
    ] {
        // A number that is rounded up to the next unit is in the next unit.
        if ns.abs() < limit * 0.9995 {
            let value = ns / size;
            let digits = match value.abs() {
                _ if size == 1.0 => 0,
                value if value < 9.995 => 2,
                value if value < 99.95 => 1,
                _ => 0,
            };
            return format!("{value:.digits$} {unit}");
        }
    }
    format!("{:.0} h", ns / 3600e9)
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn durations_have_the_fitting_unit() {
        for (ns, expected) in [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_240_000, "1.24 ms"),
            (-5_000_000_000, "-5.00 s"),
            (31_000_000_000, "31.0 s"),
            (999_999, "1.00 ms"),
            (90_000_000_000, "1.50 min"),
            (36_000_000_000_000, "10 h"),
        ] {
            assert_eq!(text(ns), expected);
        }
    }
}
