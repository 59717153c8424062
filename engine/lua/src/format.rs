//! Numbers as C writes and reads them.

/// A number as `printf("%.*g")` writes it.
pub(crate) fn general(value: f64, precision: usize) -> String {
    if value.is_nan() {
        return if value.is_sign_negative() { "-nan" } else { "nan" }.into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.into();
    }
    let precision = precision.max(1);
    let text = format!("{:.*e}", precision - 1, value);
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if exponent < -4 || exponent >= precision as i32 {
        let direction = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{direction}{:02}", without_zeros(digits), exponent.abs());
    }
    let decimals = (precision as i32 - 1 - exponent) as usize;
    without_zeros(&format!("{value:.decimals$}")).into()
}

fn without_zeros(text: &str) -> &str {
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => text,
    }
}

/// The number at the start of a text, as `strtod` finds it, and how many bytes of it that takes.
pub(crate) fn number_at(text: &[u8]) -> Option<(f64, usize)> {
    let sign = text.first().is_some_and(|byte| matches!(byte, b'+' | b'-')) as usize;
    let (rest, negative) = (&text[sign..], text.first() == Some(&b'-'));
    let (value, len) =
        special_at(rest).or_else(|| hexadecimal_at(rest)).or_else(|| decimal_at(rest))?;
    Some((if negative { -value } else { value }, sign + len))
}

fn special_at(text: &[u8]) -> Option<(f64, usize)> {
    let begins = |word: &[u8]| text.get(..word.len()).is_some_and(|t| t.eq_ignore_ascii_case(word));
    let words = [("infinity", f64::INFINITY), ("inf", f64::INFINITY), ("nan", f64::NAN)];
    let found = words.into_iter().find(|(word, _)| begins(word.as_bytes()))?;
    Some((found.1, found.0.len()))
}

fn digits(text: &[u8], is_digit: fn(&u8) -> bool) -> usize {
    text.iter().take_while(|byte| is_digit(byte)).count()
}

fn decimal_at(text: &[u8]) -> Option<(f64, usize)> {
    let whole = digits(text, u8::is_ascii_digit);
    let mut len = whole;
    let mut fraction = 0;
    if text.get(len) == Some(&b'.') {
        fraction = digits(&text[len + 1..], u8::is_ascii_digit);
        len += 1 + fraction;
    }
    if whole + fraction == 0 {
        return None;
    }
    len += exponent_at(&text[len..], b'e').map_or(0, |(_, len)| len);
    let value = std::str::from_utf8(&text[..len]).ok()?.trim_end_matches('.').parse().ok()?;
    Some((value, len))
}

/// An exponent behind its letter, and how many bytes it takes.
fn exponent_at(text: &[u8], letter: u8) -> Option<(i32, usize)> {
    if text.first()?.to_ascii_lowercase() != letter {
        return None;
    }
    let sign = text.get(1).is_some_and(|byte| matches!(byte, b'+' | b'-')) as usize;
    let len = digits(&text[1 + sign..], u8::is_ascii_digit);
    let value = std::str::from_utf8(&text[1..1 + sign + len]).ok()?;
    (len > 0).then(|| (value.parse().unwrap_or(i32::MAX / 2), 1 + sign + len))
}

fn hexadecimal_at(text: &[u8]) -> Option<(f64, usize)> {
    if !(text.first() == Some(&b'0') && matches!(text.get(1), Some(b'x' | b'X'))) {
        return None;
    }
    let digit = |byte: u8| (byte as char).to_digit(16).unwrap_or(0) as f64;
    let whole = digits(&text[2..], u8::is_ascii_hexdigit);
    let mut value = text[2..2 + whole].iter().fold(0.0, |sum, byte| sum * 16.0 + digit(*byte));
    let mut len = 2 + whole;
    let mut fraction = 0;
    if text.get(len) == Some(&b'.') {
        fraction = digits(&text[len + 1..], u8::is_ascii_hexdigit);
        let places = text[len + 1..].iter().take(fraction).enumerate();
        value += places.map(|(at, byte)| digit(*byte) * 16f64.powi(-1 - at as i32)).sum::<f64>();
        len += 1 + fraction;
    }
    if whole + fraction == 0 {
        return None;
    }
    if let Some((exponent, bytes)) = exponent_at(&text[len..], b'p') {
        value *= 2f64.powi(exponent);
        len += bytes;
    }
    Some((value, len))
}

#[cfg(test)]
mod tests {
    use super::{general, number_at};

    #[test]
    fn general_is_as_in_c() {
        for (value, precision, expect) in [
            (0.0, 14, "0"),
            (1.0, 14, "1"),
            (-1.5, 14, "-1.5"),
            (0.1, 14, "0.1"),
            (1e14, 14, "1e+14"),
            (99999999999999.0, 14, "99999999999999"),
            (123456789012345678.0, 14, "1.2345678901235e+17"),
            (1e-5, 14, "1e-05"),
            (0.0001, 14, "0.0001"),
            (2.71499, 3, "2.71"),
            (100.0, 3, "100"),
            (1000.0, 3, "1e+03"),
            (0.1, 17, "0.10000000000000001"),
            (f64::INFINITY, 3, "inf"),
        ] {
            assert_eq!(general(value, precision), expect);
        }
    }

    #[test]
    fn numbers_are_read_as_far_as_they_go() {
        for (text, expect) in [
            ("1", Some((1.0, 1))),
            ("-1.5e3x", Some((-1500.0, 6))),
            ("1e", Some((1.0, 1))),
            ("1.", Some((1.0, 2))),
            (".5", Some((0.5, 2))),
            ("0x10", Some((16.0, 4))),
            ("0x1p4", Some((16.0, 5))),
            ("0x", Some((0.0, 1))),
            ("-inf", Some((f64::NEG_INFINITY, 4))),
            ("Infinity", Some((f64::INFINITY, 8))),
            ("x", None),
            ("-", None),
        ] {
            assert_eq!(number_at(text.as_bytes()), expect, "{text}");
        }
    }
}
