//! `ACL LOG`

use abi::acl::{context, reason};

use crate::exec::argument::{Argument, integer, one_of, token};
use crate::exec::context::ClientCtx;
use crate::session::acl::{self, Report};
use base::args::Args;
use base::error::{self, Done};
use base::resp::write::Reply;

/// Entries that are told unless more are asked for.
const COUNT: i64 = 10;

/// The arguments of `ACL LOG`.
pub const LOG: &[Argument] = &[one_of("operation", &[integer("count"), token("RESET")]).optional()];

pub fn log(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let count = match args.len() {
        2 => COUNT,
        3 if args.is(2, "RESET") => {
            acl::clear_log(cx.core());
            cx.out.ok();
            return Ok(());
        }
        3 => args.integer(2)?,
        _ => return Err(error::subcommand_syntax("acl", args.at(1))),
    };
    let entries = acl::newest(cx.core(), usize::try_from(count).unwrap_or(0));
    let now_ms = cx.keys.core.clock.now_ms as u64;
    let is_later = cx.exec.release.is_since(7, 2);
    cx.out.array(entries.len());
    for entry in &entries {
        cx.out.map(if is_later { 10 } else { 7 });
        tell(&mut cx.out, entry, now_ms);
        if is_later {
            tell_more(&mut cx.out, entry);
        }
    }
    Ok(())
}

/// Writes the seven fields of an entry.
fn tell(out: &mut Reply<'_>, entry: &Report, now_ms: u64) {
    let reason = match entry.reason {
        reason::COMMAND => "command",
        reason::KEY => "key",
        reason::CHANNEL => "channel",
        _ => "auth",
    };
    let context = match entry.context {
        context::MULTI => "multi",
        context::SCRIPT => "lua",
        _ => "toplevel",
    };
    out.bulk(b"count");
    out.integer(entry.count as i64);
    let texts = [
        ("reason", reason.as_bytes()),
        ("context", context.as_bytes()),
        ("object", &entry.object),
        ("username", &entry.user),
    ];
    for (field, text) in texts {
        out.bulk(field.as_bytes());
        out.bulk(text);
    }
    out.bulk(b"age-seconds");
    out.double(now_ms.saturating_sub(entry.updated_ms) as f64 / 1000.0);
    out.bulk(b"client-info");
    out.bulk(&entry.client);
}

/// What has been told since 7.2.
fn tell_more(out: &mut Reply<'_>, entry: &Report) {
    let numbers = [
        ("entry-id", entry.id),
        ("timestamp-created", entry.created_ms),
        ("timestamp-last-updated", entry.updated_ms),
    ];
    for (field, number) in numbers {
        out.bulk(field.as_bytes());
        out.integer(number as i64);
    }
}
