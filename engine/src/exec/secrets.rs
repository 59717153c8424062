//! Arguments that are kept out of what others are shown (`MONITOR`, the slow log).

use base::args::Args;
use base::settings::row::SECRET;

use crate::session::settings::spec::find;

/// Which arguments of a command are secrets. Argument 0 is the command's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    /// None.
    None,
    /// All from this one on.
    From(usize),
    /// So many behind each of some words, which may stand from an argument on.
    Behind {
        /// The words, in capitals, and how many follow each.
        words: &'static [(&'static str, usize)],
        /// The first argument that may be one of the words.
        from: usize,
    },
    /// From an argument on names and values of settings take turns: values of settings that are
    /// secrets.
    OfSettings(usize),
}

impl Secrets {
    /// Whether an argument is one.
    pub fn hide(self, args: Args<'_>, index: usize) -> bool {
        match self {
            Secrets::None => false,
            Secrets::From(first) => index >= first,
            Secrets::Behind { words, from } => words.iter().any(|(word, count)| {
                (from.max(index.saturating_sub(*count))..index).any(|at| args.is(at, word))
            }),
            Secrets::OfSettings(first) => {
                let is_value = index > first && !(index - first).is_multiple_of(2);
                is_value && find(args.at(index - 1)).is_some_and(|setting| setting.has(SECRET))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::resp::parse::Span;

    fn check(secrets: Secrets, line: &str, expected: &str) {
        let mut spans = Vec::new();
        for word in line.split(' ') {
            let start = word.as_ptr() as usize - line.as_ptr() as usize;
            spans.push(Span { start: start as u32, len: word.len() as u32 });
        }
        let args = Args::new(line.as_bytes(), &spans);
        let shown = |(index, word)| if secrets.hide(args, index) { "*" } else { word };
        let shown: Vec<_> = line.split(' ').enumerate().map(shown).collect();
        assert_eq!(shown.join(" "), expected);
    }

    #[test]
    fn a_row_says_which_arguments_are_secrets() {
        check(Secrets::None, "SET AUTH requirepass", "SET AUTH requirepass");
        check(Secrets::From(1), "AUTH user password", "AUTH * *");
    }

    #[test]
    fn what_follows_a_word_is_hidden_wherever_the_word_stands() {
        let secrets = Secrets::Behind { words: &[("AUTH", 2), ("KEY", 1)], from: 2 };
        check(secrets, "HELLO 3 auth user password SETNAME a", "HELLO 3 auth * * SETNAME a");
        check(secrets, "HELLO 3 SETNAME a AUTH user password", "HELLO 3 SETNAME a AUTH * *");
        check(secrets, "HELLO AUTH 3 4", "HELLO AUTH 3 4");
        check(secrets, "HELLO 3 KEY a b AUTH c d e", "HELLO 3 KEY * b AUTH * * e");
    }

    #[test]
    fn the_values_of_secret_settings_are_hidden() {
        let line = "CONFIG SET port 1 requirepass a masterauth b dir requirepass c d";
        let shown = "CONFIG SET port 1 requirepass * masterauth * dir requirepass c d";
        check(Secrets::OfSettings(2), line, shown);
    }
}
