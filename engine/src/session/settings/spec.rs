//! All settings, whoever reads them.

use super::unread::UNREAD;
use base::settings::row::Row;
use base::settings::setting::READ;

/// All settings, in the order of their names.
pub static SETTINGS: [Row; READ.len() + UNREAD.len()] = in_order(READ, UNREAD);

/// The setting of a name, in any case.
pub fn find(name: &[u8]) -> Option<&'static Row> {
    SETTINGS.iter().find(|setting| setting.is_named(name))
}

/// Two lists that each are in order, as one. A name out of its order does not compile.
const fn in_order<'a, const N: usize>(mut a: &'a [Row], mut b: &'a [Row]) -> [Row; N] {
    let mut all = [a[0]; N];
    let mut at = 0;
    while at < N {
        let from =
            if b.is_empty() || !a.is_empty() && is_before(&a[0], &b[0]) { &mut a } else { &mut b };
        let Some((next, rest)) = from.split_first() else { panic!("there are fewer") };
        assert!(at == 0 || is_before(&all[at - 1], next), "not in the order of names");
        all[at] = *next;
        *from = rest;
        at += 1;
    }
    all
}

const fn is_before(a: &Row, b: &Row) -> bool {
    let (mut a, mut b) = (a.name.as_bytes(), b.name.as_bytes());
    while let ([first_a, rest_a @ ..], [first_b, rest_b @ ..]) = (a, b) {
        if *first_a != *first_b {
            return *first_a < *first_b;
        }
        (a, b) = (rest_a, rest_b);
    }
    a.len() < b.len()
}

#[cfg(test)]
mod tests {
    use super::super::kind::parse;
    use super::super::store::CLASSES;
    use super::*;
    use abi::config::CONFIG_SLOTS;
    use base::settings::row::Kind;
    use base::settings::setting::RENAMED;

    #[test]
    fn no_two_settings_share_a_slot_or_a_name() {
        let mut slots = vec![false; CONFIG_SLOTS];
        let mut names = Vec::new();
        for setting in SETTINGS.iter().chain([&RENAMED.row()]) {
            let taken: Vec<u32> = match setting.kind {
                Kind::OutputLimits => {
                    CLASSES.iter().flat_map(|class| class.2..class.2 + 3).collect()
                }
                _ => vec![setting.id],
            };
            for id in taken {
                assert!(!std::mem::replace(&mut slots[id as usize], true), "{}", setting.name);
            }
            names.extend(setting.names());
        }
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn every_default_reads_back_as_itself() {
        for setting in &SETTINGS {
            let value = parse(setting, setting.default.as_bytes());
            assert!(value.is_ok(), "{}: {value:?}", setting.name);
        }
    }
}
