//! Arguments that are kept out of what others are shown.

use base::args::Args;
use base::settings::row::SECRET;

use crate::exec::spec::Spec;
use crate::session::settings::spec::find;

/// Whether an argument is a secret.
pub fn hides(spec: &Spec, args: Args<'_>, index: usize) -> bool {
    match spec.name {
        "auth" => index > 0,
        // The user and the password behind AUTH.
        "hello" => index > 2 && (args.is(index - 1, "AUTH") || args.is(index - 2, "AUTH")),
        "config|set" => {
            let names_it = index > 2 && !index.is_multiple_of(2);
            names_it && find(args.at(index - 1)).is_some_and(|setting| setting.has(SECRET))
        }
        _ => false,
    }
}
