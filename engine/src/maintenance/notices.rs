//! Acting on what lower layers have noticed, before the shards concerned are unlocked.

use crate::maintenance::background;
use crate::session::pubsub;
use crate::session::tracking::tell;
use base::core::Core;
use base::event::Class;
use base::heap::if_room;
use base::notices::Event;
use keyspace::Keys;

/// Acts on all that was noticed; shards are about to be unlocked.
#[cold]
pub fn settle_all(core: &mut Core) {
    settle(core);
    let changed = core.notices.take_changed();
    if !changed.is_empty() && !tell::changed(core, changed) {
        Keys::new(core, 0).end_noting_changes();
    }
}

/// Tells clients what they are to forget, publishes events, and hands over what is to be freed.
#[cold]
pub fn settle(core: &mut Core) {
    let noticed = core.notices.take();
    if !noticed.invalid.is_empty() || noticed.is_all_invalid {
        tell::invalid(core, &noticed.invalid, noticed.is_all_invalid);
    }
    // What has happened has happened, whether or not there is memory to tell of it.
    noticed.events.into_iter().for_each(|event| if_room(|| publish(core, &event)));
    noticed.garbage.into_iter().for_each(|garbage| background::free_later(core, garbage));
}

fn publish(core: &mut Core, event: &Event) {
    let asked = core.settings.notify;
    let (name, key) = (event.name, &event.key);
    if asked & Class::KEYSPACE.0 != 0 {
        let mut channel = format!("__keyspace@{}__:", key.db).into_bytes();
        channel.extend_from_slice(&key.name);
        pubsub::publish(core, &channel, name.as_bytes());
    }
    if asked & Class::KEYEVENT.0 != 0 {
        let channel = format!("__keyevent@{}__:{name}", key.db);
        pubsub::publish(core, channel.as_bytes(), &key.name);
    }
}
