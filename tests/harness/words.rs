//! Splits a line into words the way `redis-cli` does.

/// The words of a line; quotes and escapes as in `redis-cli`.
pub fn split(line: &str) -> Vec<Vec<u8>> {
    let mut rest = line.trim_start().as_bytes();
    let mut words = Vec::new();
    while !rest.is_empty() {
        let mut word = Vec::new();
        rest = match rest[0] {
            b'"' => double_quoted(&rest[1..], &mut word),
            b'\'' => {
                let end = rest[1..].iter().position(|b| *b == b'\'').expect("a closing quote");
                word.extend_from_slice(&rest[1..=end]);
                &rest[end + 2..]
            }
            _ => {
                let end = rest.iter().position(|b| *b == b' ').unwrap_or(rest.len());
                word.extend_from_slice(&rest[..end]);
                &rest[end..]
            }
        };
        words.push(word);
        rest = rest.trim_ascii_start();
    }
    words
}

fn double_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> &'a [u8] {
    loop {
        match rest {
            [b'"', tail @ ..] => return tail,
            [b'\\', b'x', a, b, tail @ ..] => {
                let digits = [*a, *b];
                let digits = std::str::from_utf8(&digits).expect("hexadecimal digits");
                word.push(u8::from_str_radix(digits, 16).expect("hexadecimal digits"));
                rest = tail;
            }
            [b'\\', escaped, tail @ ..] => {
                word.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    other => *other,
                });
                rest = tail;
            }
            [byte, tail @ ..] => {
                word.push(*byte);
                rest = tail;
            }
            [] => panic!("a closing quote is missing"),
        }
    }
}
