//! Acting on what lower layers have noticed, before the shards concerned are unlocked.

use crate::maintenance::background;
use crate::session::pubsub;
use base::core::Core;
use base::event::Class;
use base::heap::if_room;
use base::notices::Event;

/// Publishes events and hands over what is to be freed.
#[cold]
pub fn settle(core: &mut Core) {
    let noticed = core.notices.take();
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
