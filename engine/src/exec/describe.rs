//! The rules about commands as Redis 7.0 tells them: not as they were given, but the categories that
//! fit best, and the commands for which these are wrong.

use crate::exec::categories::CATEGORIES;
use crate::exec::granted::Commands;
use crate::exec::index::Index;
use crate::session::acl::Selector;

/// Tells the rules of a selector about commands. Those that name what this release does not have
/// stand at the end.
pub fn describe(index: &Index, selector: &Selector) -> Vec<Vec<u8>> {
    let commands = Commands::of(index, selector);
    let by_default = selector.allows_by_default();
    let mut rules = vec![if by_default { b"+@all".to_vec() } else { b"-@all".to_vec() }];
    let mut told = Commands::all_or_none(index, by_default);
    add_categories(index, &commands, by_default, (&mut told, &mut rules));
    for at in in_order(index) {
        let (allowed, name) = (commands.has(at), index[at].spec.name.as_bytes());
        if allowed != told.has(at) {
            rules.push([if allowed { b"+" } else { b"-" }, name].concat());
            told.set(index, at, allowed);
        }
        for first in commands.first_arguments.get(&at).into_iter().flatten().filter(|_| !allowed) {
            rules.push([b"+", name, b"|", &first[..]].concat());
        }
    }
    rules.extend(commands.unknown);
    rules
}

/// All commands, each before its subcommands.
fn in_order(index: &Index) -> impl Iterator<Item = u16> {
    let commands = 0..index.top_level().len() as u16;
    commands.flat_map(|at| std::iter::once(at).chain(index.subcommands(at)))
}

/// Tells the categories with which most of what is left is said, and least that is wrong, one after
/// the other, as long as they say more that is right.
fn add_categories(
    index: &Index,
    commands: &Commands,
    by_default: bool,
    (told, rules): (&mut Commands, &mut Vec<Vec<u8>>),
) {
    let mut left = commands.clone();
    let mut unused: Vec<_> = CATEGORIES.iter().collect();
    loop {
        let mut best: Option<(usize, usize, usize)> = None;
        for (place, (_, has)) in unused.iter().enumerate() {
            let of_it = (0..).zip(index.all()).filter(|(_, command)| has(command.spec));
            let (right, wrong): (Vec<bool>, Vec<bool>) =
                of_it.map(|(at, _)| left.has(at) != by_default).partition(|is_right| *is_right);
            let (right, wrong) = (right.len(), wrong.len());
            let is_better = best.is_none_or(|(_, least_wrong, most_right)| {
                wrong < least_wrong || wrong == least_wrong && right > most_right
            });
            if right > wrong && is_better {
                best = Some((place, wrong, right));
            }
        }
        let Some((place, ..)) = best else { return };
        let (name, has) = unused.remove(place);
        rules.push(format!("{}@{name}", if by_default { '-' } else { '+' }).into_bytes());
        told.set_category(index, *has, !by_default);
        left.set_category(index, *has, by_default);
    }
}
