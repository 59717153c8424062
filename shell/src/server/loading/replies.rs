//! Which of several replies are errors.
#![forbid(unsafe_code)]

/// The errors among replies in the second protocol, with the index of the reply that each is in.
pub fn errors(replies: &[u8]) -> Vec<(usize, String)> {
    let (mut found, mut at, mut index) = (Vec::new(), 0, 0);
    while at < replies.len() {
        let Some(end) = walk(replies, at, &mut |text| found.push((index, text))) else { break };
        at = end;
        index += 1;
    }
    found
}

/// Goes through the reply at a place. Returns where it ends.
fn walk(replies: &[u8], at: usize, found: &mut dyn FnMut(String)) -> Option<usize> {
    let rest = replies.get(at..)?;
    let len = rest.windows(2).position(|pair| pair == b"\r\n")?;
    let (line, mut end) = (&rest[1..len], at + len + 2);
    let number = || std::str::from_utf8(line).ok()?.parse::<i64>().ok();
    match rest[0] {
        b'-' => found(String::from_utf8_lossy(line).into_owned()),
        b'$' => {
            let bytes = number()?;
            end += if bytes < 0 { 0 } else { bytes as usize + 2 };
        }
        b'*' => {
            for _ in 0..number()?.max(0) {
                end = walk(replies, end, found)?;
            }
        }
        _ => {}
    }
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_found_with_their_replies() {
        let replies =
            b"+OK\r\n-ERR a\r\n$4\r\n-x\r\n\r\n*2\r\n:1\r\n-ERR b\r\n$-1\r\n*-1\r\n-C\r\n";
        let found = errors(replies);
        let found: Vec<(usize, &str)> =
            found.iter().map(|(at, text)| (*at, text.as_str())).collect();
        assert_eq!(found, [(1, "ERR a"), (3, "ERR b"), (6, "C")]);
    }
}
