//! Arguments as `COMMAND DOCS` shows them, made from the notation of the rows.

use super::naming;
use super::notation::{self, Part};
use crate::exec::spec::Spec;

/// An argument or a group of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Argument {
    /// Its name.
    pub name: String,
    /// `string`, `integer`, `block`, `oneof` …
    pub kind: &'static str,
    /// The word that announces it.
    pub token: Option<String>,
    /// Which of the row's rules finds it, if it is a key.
    pub key_rule: Option<usize>,
    /// May be left out.
    pub optional: bool,
    /// May be repeated.
    pub multiple: bool,
    /// If repeated, then with the word that announces it.
    pub multiple_token: bool,
    /// The members of a group.
    pub members: Vec<Argument>,
}

/// The arguments of a command.
pub fn of(spec: &Spec) -> Vec<Argument> {
    let mut builder = Builder { spec, rules_used: 0, choices: 0 };
    builder.sequence(&notation::read(spec.syntax))
}

struct Builder<'a> {
    spec: &'a Spec,
    /// Rules of keys that have got a placeholder.
    rules_used: usize,
    /// Choices that have got a name.
    choices: usize,
}

impl Builder<'_> {
    fn sequence(&mut self, parts: &[Part<'_>]) -> Vec<Argument> {
        let mut arguments = Vec::new();
        let mut rest = parts;
        while !rest.is_empty() {
            let (argument, used) = self.repeated(rest).unwrap_or_else(|| self.first(rest));
            arguments.extend(argument);
            rest = &rest[used..];
        }
        arguments
    }

    /// What stands at the start if the same follows in brackets with `...` behind it.
    fn repeated(&mut self, parts: &[Part<'_>]) -> Option<(Option<Argument>, usize)> {
        let len = (1..parts.len()).find(|len| repeats(&parts[*len], &parts[..*len]))?;
        let announced = len > 1 && parts[0].token().is_some();
        let mut argument = self.group(&parts[..len]);
        if naming::is_wrapped(self.spec.name) {
            argument = self.block(vec![argument]);
        }
        argument.multiple = true;
        argument.multiple_token = announced;
        Some((Some(argument), len + 1))
    }

    /// The argument at the start, and of how many parts it is made.
    fn first(&mut self, parts: &[Part<'_>]) -> (Option<Argument>, usize) {
        match &parts[0] {
            Part::Optional(sequences) => {
                let mut argument = self.alternatives(sequences);
                argument.optional = true;
                (Some(argument), 1)
            }
            Part::Choice(sequences) => (Some(self.alternatives(sequences)), 1),
            Part::Repeat => (None, 1),
            Part::Word(word) => match parts[0].token() {
                Some(token) => self.announced(token, parts),
                None => (Some(self.placeholder(word)), 1),
            },
        }
    }

    /// A word in capitals with the values that it announces.
    fn announced(&mut self, token: &str, parts: &[Part<'_>]) -> (Option<Argument>, usize) {
        let values = match &parts[1..] {
            [Part::Choice(_), ..] => 1,
            rest => announced_len(rest),
        };
        let mut argument = match values {
            0 => Argument {
                name: naming::of_token(self.spec.name, token),
                kind: "pure-token",
                ..Argument::default()
            },
            _ => self.values(&parts[1..=values]),
        };
        argument.token = Some(token.to_owned());
        (Some(argument), 1 + values)
    }

    fn placeholder(&mut self, word: &str) -> Argument {
        let kind = naming::kind_of(self.spec, word);
        let key_rule = naming::is_found_by_rule(self.spec, word).then(|| {
            let rule = naming::rule_of(self.spec, word).unwrap_or(self.rules_used);
            self.rules_used = (rule + 1).min(self.spec.keys.len().saturating_sub(1));
            rule
        });
        let name = naming::of_placeholder(self.spec.name, word);
        Argument { name, kind, key_rule, ..Argument::default() }
    }

    /// One argument for a sequence: the only one, or a block of several.
    fn group(&mut self, parts: &[Part<'_>]) -> Argument {
        let mut members = self.sequence(parts);
        match members.len() {
            1 => members.remove(0),
            _ => self.block(members),
        }
    }

    fn block(&self, members: Vec<Argument>) -> Argument {
        let name = naming::of_block(self.spec.name, &members);
        Argument { name, kind: "block", members, ..Argument::default() }
    }

    /// What a word announces: a list that it announces once is a block of its own.
    fn values(&mut self, parts: &[Part<'_>]) -> Argument {
        match self.group(parts) {
            list if list.multiple => self.block(vec![list]),
            argument => argument,
        }
    }

    /// One of several sequences, perhaps again and again.
    fn alternatives(&mut self, sequences: &[Vec<Part<'_>>]) -> Argument {
        let (sequences, multiple) = without_repetition(sequences);
        if let [only] = &sequences[..] {
            let mut argument = self.group(only);
            argument.multiple |= multiple;
            return argument;
        }
        let members: Vec<_> = sequences.iter().map(|sequence| self.group(sequence)).collect();
        let name = naming::of_choice(self.spec.name, self.choices, &members);
        self.choices += 1;
        Argument { name, kind: "oneof", multiple, members, ..Argument::default() }
    }
}

/// Whether a part is `[before ...]`.
fn repeats(part: &Part<'_>, before: &[Part<'_>]) -> bool {
    let Part::Optional(sequences) = part else { return false };
    match &sequences[..] {
        [only] => {
            only.split_last().is_some_and(|(last, rest)| *last == Part::Repeat && rest == before)
        }
        _ => false,
    }
}

/// How many placeholders, with their repetition, follow a word.
fn announced_len(parts: &[Part<'_>]) -> usize {
    let placeholders = parts.iter().take_while(|part| part.placeholder().is_some()).count();
    match parts.get(placeholders) {
        Some(next) if placeholders > 0 && repeats(next, &parts[..placeholders]) => placeholders + 1,
        _ => placeholders,
    }
}

/// Sequences of which the last ends with all of them again and `...`: without that end.
fn without_repetition<'a>(sequences: &[Vec<Part<'a>>]) -> (Vec<Vec<Part<'a>>>, bool) {
    let mut all = sequences.to_vec();
    let Some(Part::Optional(inner)) = all.last().and_then(|last| last.last()).cloned() else {
        return (all, false);
    };
    let mut inner = inner;
    let ends = inner.last_mut().is_some_and(|last| last.pop() == Some(Part::Repeat));
    let mut shorter = all.clone();
    if let Some(last) = shorter.last_mut() {
        last.pop();
    }
    if ends && inner == shorter && shorter.len() > 1 {
        all = shorter;
        return (all, true);
    }
    (all, false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::spec::access::RW;
    use crate::exec::spec::{Group, KeySpec};

    /// An argument in a line: `name:type`, its token, its flags, its members.
    fn line(argument: &Argument) -> String {
        let mut text = format!("{}:{}", argument.name, argument.kind);
        if let Some(token) = &argument.token {
            text.push_str(&format!(" {token}"));
        }
        for (flag, is_set) in [('?', argument.optional), ('*', argument.multiple)] {
            text.extend(is_set.then_some(flag));
        }
        if !argument.members.is_empty() {
            text.push_str(&format!("({})", lines(&argument.members)));
        }
        text
    }

    fn lines(arguments: &[Argument]) -> String {
        arguments.iter().map(line).collect::<Vec<_>>().join(", ")
    }

    fn check(name: &'static str, syntax: &'static str, expect: &str) {
        const RULES: &[KeySpec] = &[KeySpec::at(1, RW)];
        let spec = Spec::for_client(name, -1, Group::String, |_, _| Ok(())).keys(RULES).doc(
            "1.0.0",
            "O(1)",
            syntax,
            "Does something.",
        );
        assert_eq!(lines(&of(&spec)), expect, "{syntax}");
    }

    #[test]
    fn notation_becomes_arguments() {
        check("a", "", "");
        check("a", "key [key ...]", "key:key*");
        check("a", "key value [key value ...]", "key_value:block*(key:key, value:string)");
        check("a", "[section [section ...]]", "section:string?*");
        check("a", "[COUNT count] [FORCE]", "count:integer COUNT?, force:pure-token FORCE?");
        check("a", "[ID id [id ...]]", "id:block ID?(id:integer*)");
        check("a", "[NX | XX]", "condition:oneof?(nx:pure-token NX, xx:pure-token XX)");
        check("a", "[GET pattern [GET pattern ...]]", "pattern:pattern GET?*");
        check(
            "a",
            "[LIMIT offset count]",
            "offset_count:block LIMIT?(offset:integer, count:integer)",
        );
        check(
            "a",
            "[TYPE <A | B>] [x [x ...]]",
            "a_b:oneof TYPE?(a:pure-token A, b:pure-token B), x:string?*",
        );
        check(
            "a",
            "[GET x | SET x y [GET x | SET x y ...]]",
            "x_x_y:oneof?*(x:string GET, x_y:block SET(x:string, y:string))",
        );
    }
}
