//! Rust as a run of tokens: enough to see names, paths and braces.

/// A name, `::`, or a single character of punctuation, with its line counted from 1.
#[derive(Clone, Copy, Debug)]
pub struct Token<'a> {
    pub text: &'a str,
    pub line: usize,
}

/// The tokens of a source without comments and literals.
pub fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < source.len() {
        let rest = &source[at..];
        let len = len_of_next(rest);
        let text = &rest[..len];
        if is_kept(text) {
            found.push(Token { text, line });
        }
        line += text.matches('\n').count();
        at += len;
    }
    found
}

/// A source without its comments.
pub fn without_comments(source: &str) -> String {
    let mut rest = source;
    let mut found = String::with_capacity(source.len());
    while !rest.is_empty() {
        let (text, after) = rest.split_at(len_of_next(rest));
        if !text.starts_with("//") && !text.starts_with("/*") {
            found.push_str(text);
        }
        rest = after;
    }
    found
}

/// The tokens without what is compiled for tests alone.
pub fn shipped(source: &str) -> Vec<Token<'_>> {
    let all = tokens(source);
    let mut found = Vec::with_capacity(all.len());
    let mut at = 0;
    while at < all.len() {
        let len = len_of_test_item(&all[at..]);
        if len == 0 {
            found.push(all[at]);
        }
        at += len.max(1);
    }
    found
}

pub fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

fn is_kept(text: &str) -> bool {
    let is_literal =
        text.contains('"') || text.starts_with('\'') || text.starts_with('#') && text.len() > 1;
    let is_comment = text.starts_with("//") || text.starts_with("/*");
    !is_comment && !is_literal && !text.trim().is_empty()
}

fn len_of_next(rest: &str) -> usize {
    let first = rest.chars().next().expect("not at the end");
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return len_of_block_comment(rest);
    }
    if rest.starts_with("::") {
        return 2;
    }
    if let Some(len) = len_of_string(rest) {
        return len;
    }
    if first == '\'' {
        return len_of_char_or_lifetime(rest);
    }
    if is_name(rest) || first.is_ascii_digit() {
        return rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    }
    first.len_utf8()
}

fn len_of_block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

/// The length of a string literal of any kind, if one begins here.
fn len_of_string(rest: &str) -> Option<usize> {
    let prefix = rest.find(|c| !matches!(c, 'b' | 'c' | 'r'))?;
    let is_raw = rest[..prefix].contains('r');
    let hashes = rest[prefix..].len() - rest[prefix..].trim_start_matches('#').len();
    let quote = prefix + hashes;
    if prefix > 2 || !rest[quote..].starts_with('"') || hashes > 0 && !is_raw {
        return None;
    }
    let body = &rest[quote + 1..];
    if is_raw {
        let end = format!("\"{}", "#".repeat(hashes));
        return Some(body.find(&end).map_or(rest.len(), |at| quote + 1 + at + end.len()));
    }
    let mut is_escaped = false;
    for (at, c) in body.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return Some(quote + 1 + at + 1),
            _ => {}
        }
    }
    Some(rest.len())
}

fn len_of_char_or_lifetime(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), Some((at, escaped))) => {
            let after = at + escaped.len_utf8();
            rest[after..].find('\'').map_or(rest.len(), |end| after + end + 1)
        }
        (Some(_), Some((at, '\''))) => at + 1,
        (Some((at, c)), _) if is_name(&rest[at..]) => {
            at + rest[at..].find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(c.len_utf8())
        }
        _ => 1,
    }
}

/// How many tokens an item under `#[cfg(test)]` takes here; 0 if there is none.
fn len_of_test_item(tokens: &[Token<'_>]) -> usize {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    if tokens.len() < MARK.len()
        || !MARK.iter().zip(tokens).all(|(mark, token)| *mark == token.text)
    {
        return 0;
    }
    let (mut depth, mut at) = (0, MARK.len());
    while at < tokens.len() {
        match tokens[at].text {
            "{" | "[" | "(" => depth += 1,
            "}" | "]" | ")" => depth -= 1,
            _ => {}
        }
        let is_end = tokens[at].text == ";" || tokens[at].text == "}";
        at += 1;
        if depth == 0 && is_end && !is_use_group(&tokens[..at]) {
            break;
        }
    }
    at
}

/// Whether the brace that ends here closes a group of a `use`, behind which comes its `;`.
fn is_use_group(item: &[Token<'_>]) -> bool {
    item.last().is_some_and(|token| token.text == "}")
        && item.iter().any(|token| token.text == "use")
        && !item.iter().any(|token| matches!(token.text, "mod" | "fn" | "impl"))
}

#[cfg(test)]
mod tests {
    fn check(source: &str, expected: &str) {
        let texts: Vec<_> = super::shipped(source).iter().map(|token| token.text).collect();
        assert_eq!(texts.join(" "), expected);
    }

    #[test]
    fn comments_and_literals_are_left_out() {
        check("a::b // unsafe\n/* c /* d */ e */ f", "a :: b f");
        check(r##"x("unsafe \" y", r#"z "q" "#, b"n", 'u', '\'', '"') w"##, "x ( , , , , , ) w");
        check(
            "fn f<'a>(x: &'a str) -> char { 'é' }",
            "fn f < > ( x : & str ) -> char { }".replace("->", "- >").as_str(),
        );
    }

    #[test]
    fn what_is_for_tests_alone_is_left_out() {
        check("use a; #[cfg(test)] mod tests { fn f() { g(); } } b", "use a ; b");
        check("#[cfg(test)] mod tests; use c;", "use c ;");
        check("#[cfg(test)] #[allow(x)] use d::{e, f}; g", "g");
    }

    #[test]
    fn lines_are_counted() {
        let lines: Vec<_> =
            super::tokens("a\n\"x\ny\"\nb").iter().map(|token| token.line).collect();
        assert_eq!(lines, [1, 4]);
    }
}
