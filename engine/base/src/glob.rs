//! Glob patterns as Redis matches them: `*`, `?`, `[a-z]`, `[^a]`, `\` to escape.
#![forbid(unsafe_code)]

/// Whether a text matches a pattern. `fold`: letters match in any case.
///
/// A pattern with many stars takes time linear in the text for each star, never more: only the
/// last star passed is ever tried again. An empty text matches no pattern but the empty one, not even
/// `*`.
pub fn matches(pattern: &[u8], text: &[u8], fold: bool) -> bool {
    if text.is_empty() {
        return pattern.is_empty();
    }
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if p < pattern.len() && pattern[p] == b'*' {
            p += 1;
            retry = Some((p, t));
            continue;
        }
        if p == pattern.len() && t == text.len() {
            return true;
        }
        if t < text.len()
            && p < pattern.len()
            && let Some(next) = matches_one(pattern, p, text[t], fold)
        {
            p = next;
            t += 1;
            continue;
        }
        match retry {
            Some((after, from)) if from < text.len() => {
                retry = Some((after, from + 1));
                p = after;
                t = from + 1;
            }
            _ => return false,
        }
    }
}

/// Whether the element of the pattern at `p` matches a byte; returns where the next one begins.
fn matches_one(pattern: &[u8], p: usize, byte: u8, fold: bool) -> Option<usize> {
    match pattern[p] {
        b'?' => Some(p + 1),
        b'[' => {
            let (inside, next) = class(pattern, p + 1, byte, fold);
            inside.then_some(next)
        }
        b'\\' if p + 1 < pattern.len() => equal(pattern[p + 1], byte, fold).then_some(p + 2),
        literal => equal(literal, byte, fold).then_some(p + 1),
    }
}

fn equal(a: u8, b: u8, fold: bool) -> bool {
    a == b || fold && a.eq_ignore_ascii_case(&b)
}

/// Whether a byte is in the class that begins at `p`, and where the class ends.
fn class(pattern: &[u8], mut p: usize, byte: u8, fold: bool) -> (bool, usize) {
    let negated = pattern.get(p) == Some(&b'^');
    p += negated as usize;
    let lower = |b: u8| if fold { b.to_ascii_lowercase() } else { b };
    let mut inside = false;
    loop {
        match &pattern[p.min(pattern.len())..] {
            // An unclosed class ends with the pattern.
            [] => return (inside != negated, p),
            [b']', ..] => return (inside != negated, p + 1),
            [b'\\', escaped, ..] => {
                inside |= equal(*escaped, byte, fold);
                p += 2;
            }
            [from, b'-', to, ..] => {
                let (low, high) = (lower(*from).min(lower(*to)), lower(*from).max(lower(*to)));
                inside |= (low..=high).contains(&lower(byte));
                p += 3;
            }
            [literal, ..] => {
                inside |= equal(*literal, byte, fold);
                p += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns() {
        for (pattern, text, expect) in [
            ("*", "", false),
            ("**", "", false),
            ("", "", true),
            ("", "a", false),
            ("h?llo", "hello", true),
            ("h?llo", "hllo", false),
            ("h*llo", "heeeello", true),
            ("h[ae]llo", "hallo", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hello", false),
            ("h[a-c]llo", "hbllo", true),
            ("h[c-a]llo", "hbllo", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "axb", false),
            ("[\\]]", "]", true),
            ("[abc", "b", true),
            ("*a*b*c*", "xxaxxbxxcxx", true),
            ("*a*b*c*", "xxaxxcxxbxx", false),
            ("a**", "a", true),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes(), false),
                expect,
                "{pattern} {text}"
            );
        }
        assert!(matches(b"HE*o", b"helLO", true));
        assert!(!matches(b"HE*o", b"helLO", false));
    }

    #[test]
    fn many_stars_do_not_explode() {
        let pattern = "a*".repeat(200) + "b";
        assert!(!matches(pattern.as_bytes(), "a".repeat(5000).as_bytes(), false));
    }
}
