//! Formats numbers for people, in the same way for the terminal and the report.

/// Formats a count as `12,345`.
pub(crate) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats a count with its noun: `1 call`, `2 calls`.
pub(crate) fn counted(number: u64, one: &str, many: &str) -> String {
    let noun = if number == 1 { one } else { many };
    format!("{} {noun}", count(number))
}

/// Formats a share of one as `97.5%`. Only exactly 1 is 100%, and only exactly 0 is 0%.
pub(crate) fn percent(share: f64) -> String {
    if share > 0.9995 && share < 1.0 {
        return ">99.9%".to_owned();
    }
    if share > 0.0 && share < 0.0005 {
        return "<0.1%".to_owned();
    }
    format!("{:.1}%", share * 100.0)
}

/// Formats a reward or a weight, with four decimal places unless it is very small or very large.
pub(crate) fn value(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 || (1e-3..1e5).contains(&size) {
        format!("{value:.4}")
    } else {
        format!("{value:.3e}")
    }
}

/// Formats an amount with three significant digits: `0.435`, `12.3`, `1,234`.
pub(crate) fn quantity(amount: f64) -> String {
    let size = amount.abs();
    if size == 0.0 {
        return "0".to_owned();
    }
    if (1000.0..1e15).contains(&size) {
        let sign = if amount < 0.0 { "−" } else { "" };
        return format!("{sign}{}", count(size.round() as u64));
    }
    let decimals = (2 - size.log10().floor() as i32).clamp(0, 9) as usize;
    format!("{amount:.decimals$}").replace('-', "−")
}

/// Formats a relative difference with its sign: `+3.4%`, `−12%`.
pub(crate) fn signed_percent(difference: f64) -> String {
    let percent = difference * 100.0;
    let text = if percent.abs() < 10.0 {
        format!("{percent:+.1}%")
    } else {
        format!("{percent:+.0}%")
    };
    text.replace('-', "−")
}

/// Formats seconds as milliseconds, without the unit.
pub(crate) fn milliseconds(seconds: f64) -> String {
    format!("{:.2}", seconds * 1e3)
}

/// Formats seconds as `840 µs`, `12.4 ms`, `3.2 s`, `2 min 5 s` or `1 h 12 min`.
pub(crate) fn duration(seconds: f64) -> String {
    if seconds < 1e-3 {
        format!("{:.0} µs", seconds * 1e6)
    } else if seconds < 1.0 {
        format!("{:.1} ms", seconds * 1e3)
    } else if seconds < 60.0 {
        format!("{seconds:.1} s")
    } else if seconds < 3600.0 {
        format!(
            "{:.0} min {:.0} s",
            (seconds / 60.0).floor(),
            (seconds % 60.0).floor()
        )
    } else {
        let minutes = (seconds % 3600.0 / 60.0).floor();
        format!("{:.0} h {minutes:.0} min", (seconds / 3600.0).floor())
    }
}

/// Returns the first `longest` characters, followed by `…` if there are more.
pub(crate) fn shortened(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Rounds `value` to five significant digits, which is more precise than a plot and smaller in a file.
pub(crate) fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let digits = 4 - value.abs().log10().floor() as i32;
    let scale = 10_f64.powi(digits);
    let rounded = (value * scale).round() / scale;
    if rounded.is_finite() { rounded } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_formatted_for_people() {
        let check = |written: String, expected: &str| assert_eq!(written, expected);
        check(count(0), "0");
        check(count(999), "999");
        check(count(1_234_567), "1,234,567");
        check(counted(1, "call", "calls"), "1 call");
        check(counted(0, "call", "calls"), "0 calls");
        check(percent(1.0), "100.0%");
        check(percent(0.99996), ">99.9%");
        check(percent(0.00001), "<0.1%");
        check(percent(0.0), "0.0%");
        check(value(0.25), "0.2500");
        check(value(-1e-7), "-1.000e-7");
        check(value(0.0), "0.0000");
        check(duration(0.000_84), "840 µs");
        check(duration(0.0124), "12.4 ms");
        check(duration(3.2), "3.2 s");
        check(duration(125.9), "2 min 5 s");
        check(duration(4320.0), "1 h 12 min");
        check(shortened("héllo", 2), "hé…");
        check(shortened("héllo", 5), "héllo");
    }

    #[test]
    fn rounding_keeps_five_digits() {
        let check =
            |value: f64, expected: f64| assert!((rounded(value) - expected).abs() < expected.abs() * 1e-12);
        check(0.123_456_789, 0.123_46);
        check(-98_765_432.0, -98_765_000.0);
        check(1e-300, 1e-300);
        assert!(rounded(f64::MAX).is_finite());
    }
}
