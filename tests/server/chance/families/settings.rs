//! Settings that say how values are stored, by their old names too.

pub const LINES: &str = "
3 CONFIG SET hash-max-listpack-entries|hash-max-ziplist-entries 0|8|512
2 CONFIG SET hash-max-listpack-value|hash-max-ziplist-value 0|20|64
3 CONFIG SET set-max-intset-entries 0|16|512
3 CONFIG SET zset-max-listpack-entries|zset-max-ziplist-entries 0|8|128
2 CONFIG SET zset-max-listpack-value|zset-max-ziplist-value 0|20|64
2 CONFIG SET list-max-listpack-size|list-max-ziplist-size -2|-1|1|8|128
2 CONFIG SET lazyfree-lazy-user-del|lazyfree-lazy-server-del|lazyfree-lazy-expire yes|no
  CONFIG SET proto-max-bulk-len|no-such x
  ~~ CONFIG GET hash-max-*|set-max-*|zset-max-*
";

/// What they are without these.
pub const DEFAULTS: &str = "CONFIG SET hash-max-listpack-entries 512 hash-max-listpack-value 64 \
    set-max-intset-entries 512 zset-max-listpack-entries 128 zset-max-listpack-value 64 \
    list-max-listpack-size -2 lazyfree-lazy-user-del no \
    lazyfree-lazy-server-del no lazyfree-lazy-expire no stream-node-max-entries 100 stream-node-max-bytes 4096 \
    notify-keyspace-events ";
