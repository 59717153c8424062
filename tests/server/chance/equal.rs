//! When two replies count as equal.

use super::line::View;
use super::streams::{self, Counts};
use crate::harness::connection::{Reply, parts};

/// Milliseconds, or seconds, by which times may differ.
const NEAR: i64 = 5_000;

/// Whether the replies are equal in a view, of which `counts` is for what is told of streams.
pub fn equal(ours: &Reply, theirs: &Reply, view: View, counts: Counts) -> bool {
    ours == theirs
        || match view {
            View::Exactly => is_small_set(ours, theirs),
            View::Taken => false,
            View::Nearly => near(ours, theirs),
            View::OrErrors => ours.is_error() && theirs.is_error(),
            _ if ours.0[0] != theirs.0[0] || ours.is_error() => false,
            View::TypeOnly => ours.is_null() == theirs.is_null(),
            View::Told => streams::same(&streams::told(ours), &streams::told(theirs), counts),
            View::Pending => streams::pending(ours) == streams::pending(theirs),
            View::Length => parts(ours).len() == parts(theirs).len(),
            // One by chance, of a command that was not asked for all.
            View::Unordered | View::UnorderedPairs if ours.0[0] == b'$' => {
                ours.is_null() == theirs.is_null()
            }
            View::Unordered => canonical(ours, view) == canonical(theirs, view),
            // They are no pairs if a word has gone that asks for them.
            View::UnorderedPairs => [View::UnorderedPairs, View::Unordered]
                .iter()
                .any(|view| canonical(ours, *view) == canonical(theirs, *view)),
        }
}

/// Whether the replies to a transaction are equal, of which each has its own view.
pub fn equal_in_transaction(ours: &Reply, theirs: &Reply, views: &[View], counts: Counts) -> bool {
    let replies = [ours, theirs].map(|reply| reply.elements());
    let [ours_all, theirs_all] = &replies;
    let is_one = ours.0[0] != b'*' || ours_all.len() != views.len();
    if is_one || theirs_all.len() != views.len() {
        return ours == theirs;
    }
    views
        .iter()
        .zip(ours_all.iter().zip(theirs_all))
        .all(|(view, (a, b))| equal(a, b, *view, counts))
}

/// Whether these are what the second release and Redis 7.0 call the encoding of a small set. That it is
/// one is looked at where data are compared.
fn is_small_set(ours: &Reply, theirs: &Reply) -> bool {
    ours.0 == b"$8\r\nlistpack\r\n" && theirs.0 == b"$9\r\nhashtable\r\n"
}

fn near(ours: &Reply, theirs: &Reply) -> bool {
    let number = |reply: &Reply| reply.0.starts_with(b":").then(|| reply.number());
    match (number(ours), number(theirs)) {
        (Some(ours), Some(theirs)) => {
            ours >= 0 && theirs >= 0 && ours.abs_diff(theirs) <= NEAR as u64
        }
        _ => false,
    }
}

/// The elements of a reply in an order of their own; of a scan's reply, with the cursor.
fn canonical(reply: &Reply, view: View) -> Vec<Vec<u8>> {
    let mut found = parts(reply);
    if found.len() == 2 && found[1].starts_with(b"*") && !found[0].starts_with(b"*") {
        let mut elements = canonical(&Reply(found.remove(1)), view);
        elements.extend(found);
        return elements;
    }
    let are_pairs = found.iter().all(|part| part.starts_with(b"*"));
    if view == View::UnorderedPairs && !are_pairs {
        found = found.chunks(2).map(<[_]>::concat).collect();
    }
    found.sort();
    found
}
