//! How far threads give way to the workers.
#![forbid(unsafe_code)]

/// What has a time limit, or somebody who waits for it.
pub const LOW: i32 = 10;
/// What can wait for a moment in which nobody wants the processor, but does get its share.
pub const LOWEST: i32 = 19;

/// Makes the calling thread, and whatever it starts, so much nicer than the workers. There is no
/// way back without privileges.
pub fn give_way(niceness: i32) {
    if let Err(error) = rustix::process::setpriority_process(None, niceness) {
        let thread = std::thread::current();
        tracing::warn!(%error, thread = thread.name(), "the thread runs at ordinary priority");
    }
}
