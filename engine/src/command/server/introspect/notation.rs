//! Reads the notation in which rows describe arguments.
//!
//! ```text
//! key            a placeholder            [a]      may be left out
//! EX             a word typed as it is    <a | b>  one of several
//! key [key ...]  one or more              EX seconds   a value that a word announces
//! ```

/// A part of a description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// A placeholder, or a word in capitals that is typed as it is.
    Word(&'a str),
    /// May be left out: one of these sequences.
    Optional(Vec<Vec<Part<'a>>>),
    /// One of these sequences.
    Choice(Vec<Vec<Part<'a>>>),
    /// What stands before it may be repeated.
    Repeat,
}

impl<'a> Part<'a> {
    /// The word in capitals this is.
    pub fn token(&self) -> Option<&'a str> {
        match self {
            Part::Word(word) if !word.contains(|c: char| c.is_ascii_lowercase()) => Some(word),
            _ => None,
        }
    }

    /// The placeholder this is.
    pub fn placeholder(&self) -> Option<&'a str> {
        match self {
            Part::Word(word) if self.token().is_none() => Some(word),
            _ => None,
        }
    }
}

/// Reads a description.
pub fn read(text: &str) -> Vec<Part<'_>> {
    let mut rest = text;
    let mut sequences = read_sequences(&mut rest);
    match sequences.len() {
        1 => sequences.remove(0),
        _ => vec![Part::Choice(sequences)],
    }
}

/// Reads sequences with `|` between them, up to a closing bracket or the end.
fn read_sequences<'a>(rest: &mut &'a str) -> Vec<Vec<Part<'a>>> {
    let mut sequences = vec![Vec::new()];
    loop {
        *rest = rest.trim_start();
        let Some(first) = rest.chars().next() else { return sequences };
        if first == ']' || first == '>' {
            *rest = &rest[1..];
            return sequences;
        }
        match first {
            '|' => {
                *rest = &rest[1..];
                sequences.push(Vec::new());
            }
            _ => {
                let part = read_part(rest, first);
                sequences.last_mut().expect("there is at least one").push(part);
            }
        }
    }
}

fn read_part<'a>(rest: &mut &'a str, first: char) -> Part<'a> {
    match first {
        '[' => {
            *rest = &rest[1..];
            Part::Optional(read_sequences(rest))
        }
        '<' => {
            *rest = &rest[1..];
            Part::Choice(read_sequences(rest))
        }
        _ => {
            let ends = |c: char| c.is_whitespace() || matches!(c, '[' | ']' | '<' | '>' | '|');
            let (word, after) = rest.split_at(rest.find(ends).unwrap_or(rest.len()));
            *rest = after;
            if word == "..." { Part::Repeat } else { Part::Word(word) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Part::*;

    #[test]
    fn reads_brackets_words_and_repetition() {
        let found = read("key [EX seconds | KEEPTTL] <LEFT | RIGHT> [key ...]");
        let expect = vec![
            Word("key"),
            Optional(vec![vec![Word("EX"), Word("seconds")], vec![Word("KEEPTTL")]]),
            Choice(vec![vec![Word("LEFT")], vec![Word("RIGHT")]]),
            Optional(vec![vec![Word("key"), Repeat]]),
        ];
        assert_eq!(found, expect);
        assert_eq!(read("a | b"), [Choice(vec![vec![Word("a")], vec![Word("b")]])]);
        assert_eq!(read(""), []);
        assert_eq!((Word("EX").token(), Word("key").token()), (Some("EX"), None));
    }
}
