//! Numbers as C writes and reads them.

/// Digits that a number has at most which can be told from every other by so many.
const SURE_DIGITS: usize = 15;

/// Appends a number as `printf("%.*g")` writes it.
pub(crate) fn write_general(out: &mut Vec<u8>, value: f64, precision: usize) {
    let whole = value as i64;
    // Nearly all numbers are whole and small; a zero may have a sign.
    if whole as f64 == value
        && whole != 0
        && whole.unsigned_abs() < WHOLE[precision.min(SURE_DIGITS)]
    {
        return out.extend_from_slice(itoa::Buffer::new().format(whole).as_bytes());
    }
    out.extend_from_slice(general(value, precision).as_bytes());
}

/// The first number that has more digits than its index.
const WHOLE: [u64; SURE_DIGITS + 1] = {
    let (mut powers, mut at) = ([1; SURE_DIGITS + 1], 1);
    while at <= SURE_DIGITS {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

/// A number as `printf("%.*g")` writes it.
pub(crate) fn general(value: f64, precision: usize) -> String {
    if value.is_nan() {
        return if value.is_sign_negative() { "-nan" } else { "nan" }.into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.into();
    }
    let precision = precision.max(1);
    let (digits, exponent) = digits_of(value, precision);
    let digits = digits.trim_end_matches('0');
    let sign = if value.is_sign_negative() { "-" } else { "" };
    let (first, rest) = digits.split_at(1.min(digits.len()));
    match exponent {
        _ if digits.is_empty() => format!("{sign}0"),
        ..-4 => in_powers(sign, first, rest, '-', exponent),
        -4..0 => format!("{sign}0.{}{digits}", "0".repeat((-1 - exponent) as usize)),
        _ if exponent >= precision as i32 => in_powers(sign, first, rest, '+', exponent),
        _ => match digits.split_at_checked(1 + exponent as usize) {
            Some((whole, "")) => format!("{sign}{whole}"),
            Some((whole, rest)) => format!("{sign}{whole}.{rest}"),
            None => format!("{sign}{digits:0<width$}", width = 1 + exponent as usize),
        },
    }
}

fn in_powers(sign: &str, first: &str, rest: &str, direction: char, exponent: i32) -> String {
    let point = if rest.is_empty() { "" } else { "." };
    format!("{sign}{first}{point}{rest}e{direction}{:02}", exponent.abs())
}

/// The digits of a number, rounded to so many, and the power of ten of the first.
fn digits_of(value: f64, precision: usize) -> (String, i32) {
    // The fewest digits that tell it from every other are the right ones, if they are few enough:
    // then what is left out is too little to change one. The smallest numbers have fewer.
    let mut text = format!("{:e}", value.abs());
    let digits = text.find('e').unwrap_or(text.len()) - usize::from(text.contains('.'));
    if !value.is_normal() || precision > SURE_DIGITS || digits > precision {
        text = format!("{:.*e}", precision - 1, value.abs());
    }
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    (digits.replace('.', ""), exponent.parse().unwrap_or(0))
}

/// The number at the start of a text, as `strtod` finds it, and how many bytes of it that takes.
pub(crate) fn number_at(text: &[u8]) -> Option<(f64, usize)> {
    let sign = text.first().is_some_and(|byte| matches!(byte, b'+' | b'-')) as usize;
    let (rest, negative) = (&text[sign..], text.first() == Some(&b'-'));
    let (value, len) = match rest.first()? {
        b'1'..=b'9' => decimal_at(rest),
        _ => special_at(rest).or_else(|| hexadecimal_at(rest)).or_else(|| decimal_at(rest)),
    }?;
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
    if (1..=SURE_DIGITS).contains(&whole) && !matches!(text.get(whole), Some(b'.' | b'e' | b'E')) {
        let value = text[..whole].iter().fold(0u64, |sum, byte| sum * 10 + u64::from(byte - b'0'));
        return Some((value as f64, whole));
    }
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
    use super::{general, number_at, write_general};

    #[test]
    fn general_is_as_in_c() {
        for (value, precision, expect) in [
            (0.0, 14, "0"),
            (-0.0, 14, "-0"),
            (10.0, 1, "1e+01"),
            (9.5, 1, "1e+01"),
            (-7.0, 1, "-7"),
            (120.0, 14, "120"),
            (1234.5, 14, "1234.5"),
            (0.00012, 14, "0.00012"),
            (-0.000012, 14, "-1.2e-05"),
            (1e15, 16, "1000000000000000"),
            (1e300, 14, "1e+300"),
            (2.5e-310, 14, "2.5e-310"),
            (0.3, 16, "0.3"),
            (2.0 / 3.0, 14, "0.66666666666667"),
            (5e-324, 14, "4.9406564584125e-324"),
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
            let mut out = b"x".to_vec();
            write_general(&mut out, value, precision);
            assert_eq!(out, format!("x{expect}").as_bytes());
        }
    }

    /// Both ways to find the digits agree on numbers that a small generator draws.
    #[test]
    fn few_digits_are_the_right_ones() {
        let mut state = 1u64;
        for round in 0..100_000u32 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let decimal = (state >> 20) as f64 / 10f64.powi((round % 40) as i32);
            for value in [f64::from_bits(state), decimal, (state >> 44) as f64 / 8.0] {
                for precision in [1, 3, 14, 15] {
                    if !value.is_finite() || value == 0.0 {
                        continue;
                    }
                    let exact = format!("{:.*e}", precision - 1, value.abs());
                    let (digits, exponent) = exact.split_once('e').expect("there is one");
                    let expect = (digits.replace('.', ""), exponent.parse().expect("a number"));
                    let (digits, exponent) = super::digits_of(value, precision);
                    assert_eq!((format!("{digits:0<precision$}"), exponent), expect, "{value}");
                }
            }
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
