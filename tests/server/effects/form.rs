//! What each command is told as, and what `redis-server` tells its replicas in its place.

use std::io::Read;
use std::time::Duration;

use super::replay::{Follower, HOLD, words};
use crate::harness::connection::reply_end;
use crate::harness::{Connection, Peer, Server};

/// Commands, separated by `; `, and the effects they have, separated by ` | `. `%` waits until
/// short times to live are over, `&` sends a command on a second connection that is to wait.
/// A Unix time in ms is `<ms>`.
struct Row {
    commands: &'static str,
    ours: &'static str,
    theirs: &'static str,
}

/// Told as Redis does.
const fn same(commands: &'static str, effects: &'static str) -> Row {
    Row { commands, ours: effects, theirs: effects }
}

/// Told otherwise, with the same outcome.
const fn other(commands: &'static str, ours: &'static str, theirs: &'static str) -> Row {
    Row { commands, ours, theirs }
}

const NOTHING: &str = "";

/// What only the second release knows: told in words that all know.
const ROWS_OF_SECOND: &[Row] = &[
    other("SET k v; SET k w IFEQ v; SET k x IFEQ v", "SET k v | SET k w", NOTHING),
    other("SET k v; DELIFEQ k w; DELIFEQ k v", "SET k v | DEL k", NOTHING),
    other(
        "MSETEX 2 a 1 b 2 EX 100; MSETEX 2 b 3 c 4 NX; MSETEX 1 a 5 XX KEEPTTL",
        "MULTI | SET a 1 PXAT <ms> | SET b 2 PXAT <ms> | EXEC | SET a 5 KEEPTTL",
        NOTHING,
    ),
    other(
        "ZADD g 0 a 5 b; GEOSEARCHSTORE d g BYPOLYGON 3 10 10 20 20 30 10; \
         GEOSEARCHSTORE d g BYPOLYGON 4 -180 -85.05112878 0 -85.05112878 0 0 -180 0; \
         GEOSEARCH g BYPOLYGON 4 -180 -85.05112878 0 -85.05112878 0 0 -180 0; \
         GEOSEARCHSTORE d n BYPOLYGON 3 0 0 1 1 2 0; GEOSEARCHSTORE d n BYPOLYGON 3 0 0 1 1 2 0",
        "ZADD g 0 a 5 b | MULTI | DEL d | ZADD d 0 a 5 b | EXEC | DEL d",
        NOTHING,
    ),
];

const ROWS: &[Row] = &[
    // Streams.
    same("XADD s 1-1 a b; XADD s 1-1 a b; XADD s 2-* a b", "XADD s 1-1 a b | XADD s 2-0 a b"),
    same("XADD s NOMKSTREAM 1-1 a b; XADD s 0-* a b", "XADD s 0-1 a b"),
    same("XADD s 1 a b; XADD s MAXLEN 1 2 a b", "XADD s 1 a b | XADD s MAXLEN 1 2 a b"),
    same(
        "XADD s 1 a b; XADD s MAXLEN ~ 1 2-* a b; XADD s MINID ~ 2 3 a b",
        "XADD s 1 a b | XADD s MAXLEN = 2 2-0 a b | XADD s MINID = 1-0 3 a b",
    ),
    other(
        "XADD s 1 a b; XADD s MAXLEN ~ 0 LIMIT 9 2 a b",
        "XADD s 1 a b | XADD s MAXLEN = 0 2 a b",
        "XADD s 1 a b | XADD s MAXLEN = 0 LIMIT 9 2 a b",
    ),
    same(
        "XADD s 1 a b; XADD s 2 a b; XTRIM s MAXLEN 1; XTRIM s MAXLEN 1",
        "XADD s 1 a b | XADD s 2 a b | XTRIM s MAXLEN 1",
    ),
    same("XADD s 1 a b; XTRIM s MAXLEN ~ 0; XTRIM s MINID 5", "XADD s 1 a b | XTRIM s MAXLEN = 0"),
    same(
        "XADD s 1 a b; XTRIM s MINID ~ 5",
        "XADD s 1 a b | XTRIM s MINID = 18446744073709551615-18446744073709551615",
    ),
    // A number that has become too large overflows in Redis, and no replica takes it.
    other(
        "XADD s 1 a b; XGROUP CREATE s g 0 ENTRIESREAD 9223372036854775807; \
         XREADGROUP GROUP g c NOACK STREAMS s >",
        "XADD s 1 a b | XGROUP CREATE s g 0 ENTRIESREAD <ms> | MULTI | \
         XGROUP CREATECONSUMER s g c | XGROUP SETID s g 1-0 ENTRIESREAD <ms> | EXEC",
        "XADD s 1 a b | XGROUP CREATE s g 0 ENTRIESREAD <ms> | MULTI | \
         XGROUP CREATECONSUMER s g c | XGROUP SETID s g 1-0 ENTRIESREAD -9223372036854775808 | EXEC",
    ),
    other(
        "XADD s 1 a b; XGROUP CREATE s g 1; \
         XCLAIM s g c 0 1 FORCE JUSTID TIME 1000 RETRYCOUNT 9223372036854775807; XCLAIM s g c 0 1 TIME 1000",
        "XADD s 1 a b | XGROUP CREATE s g 1 | MULTI | XGROUP CREATECONSUMER s g c | \
         XCLAIM s g c 0 1-0 TIME 1000 RETRYCOUNT <ms> FORCE JUSTID LASTID 1-0 | EXEC | \
         XCLAIM s g c 0 1-0 TIME 1000 RETRYCOUNT <ms> FORCE JUSTID LASTID 1-0",
        "XADD s 1 a b | XGROUP CREATE s g 1 | \
         XCLAIM s g c 0 1 TIME 1000 RETRYCOUNT <ms> FORCE JUSTID LASTID 1-0 | \
         XCLAIM s g c 0 1 TIME 1000 RETRYCOUNT -9223372036854775808 FORCE JUSTID LASTID 1-0",
    ),
    same("XADD s 1 a b; XDEL s 1 2; XDEL s 1", "XADD s 1 a b | XDEL s 1 2"),
    same("XADD s 1 a b; XSETID s 5", "XADD s 1 a b | XSETID s 5"),
    same("XADD s 1 a b; XRANGE s - +; XREAD STREAMS s 0; XINFO STREAM s", "XADD s 1 a b"),
    same("XGROUP CREATE s g $ MKSTREAM; XGROUP CREATE s g 0", "XGROUP CREATE s g $ MKSTREAM"),
    same(
        "XADD s 1 a b; XGROUP CREATE s g 0; XGROUP SETID s g $; XGROUP DESTROY s g",
        "XADD s 1 a b | XGROUP CREATE s g 0 | XGROUP SETID s g $ | XGROUP DESTROY s g",
    ),
    same(
        "XADD s 1 a b; XGROUP CREATE s g 0; XGROUP CREATECONSUMER s g c; \
         XGROUP CREATECONSUMER s g c; XGROUP DELCONSUMER s g c; XGROUP DELCONSUMER s g c",
        "XADD s 1 a b | XGROUP CREATE s g 0 | XGROUP CREATECONSUMER s g c | \
         XGROUP DELCONSUMER s g c",
    ),
    // How many entries a group has read is told too, as since Redis 7.2.
    other(
        "XADD s 1 a b; XGROUP CREATE s g 0; XREADGROUP GROUP g c STREAMS s >; XACK s g 1",
        "XADD s 1 a b | XGROUP CREATE s g 0 | MULTI | XGROUP CREATECONSUMER s g c | \
         XCLAIM s g c 0 1-0 TIME <ms> RETRYCOUNT 1 FORCE JUSTID LASTID 1-0 | \
         XGROUP SETID s g 1-0 ENTRIESREAD 1 | EXEC | XACK s g 1",
        "XADD s 1 a b | XGROUP CREATE s g 0 | \
         XCLAIM s g c 0 1-0 TIME <ms> RETRYCOUNT 1 FORCE JUSTID LASTID 1-0 | XACK s g 1",
    ),
    // So is what is delivered once more.
    other(
        "XADD s 1 a b; XGROUP CREATE s g 1; XGROUP CREATECONSUMER s g c; \
         XCLAIM s g c 0 1 FORCE JUSTID; XREADGROUP GROUP g c STREAMS s 0",
        "XADD s 1 a b | XGROUP CREATE s g 1 | XGROUP CREATECONSUMER s g c | \
         XCLAIM s g c 0 1-0 TIME <ms> RETRYCOUNT 1 FORCE JUSTID LASTID 1-0 | \
         XCLAIM s g c 0 1-0 TIME <ms> RETRYCOUNT 2 FORCE JUSTID LASTID 1-0",
        "XADD s 1 a b | XGROUP CREATE s g 1 | XGROUP CREATECONSUMER s g c | \
         XCLAIM s g c 0 1 TIME <ms> RETRYCOUNT 1 FORCE JUSTID LASTID 1-0",
    ),
    same(
        "XADD s 1 a b; XGROUP CREATE s g 0; XREADGROUP GROUP g c NOACK STREAMS s >",
        "XADD s 1 a b | XGROUP CREATE s g 0 | MULTI | XGROUP CREATECONSUMER s g c | \
         XGROUP SETID s g 1-0 ENTRIESREAD 1 | EXEC",
    ),
    same(
        "XADD s 1 a b; XGROUP CREATE s g 0; XGROUP CREATECONSUMER s g c; \
         XGROUP CREATECONSUMER s g d; XCLAIM s g c 0 1-0 FORCE JUSTID; XAUTOCLAIM s g d 0 0; \
         XDEL s 1; XAUTOCLAIM s g d 0 0; XCLAIM s g c 0 9 LASTID 8; XCLAIM s g c 0 9",
        "XADD s 1 a b | XGROUP CREATE s g 0 | XGROUP CREATECONSUMER s g c | \
         XGROUP CREATECONSUMER s g d | \
         XCLAIM s g c 0 1-0 TIME <ms> RETRYCOUNT 1 FORCE JUSTID LASTID 0-0 | \
         XCLAIM s g d 0 1-0 TIME <ms> RETRYCOUNT 2 FORCE JUSTID LASTID 0-0 | XDEL s 1 | \
         XCLAIM s g d 0 1-0 TIME <ms> RETRYCOUNT 2 FORCE JUSTID LASTID 0-0 | \
         XGROUP SETID s g 8-0 ENTRIESREAD -1",
    ),
    other(
        "XGROUP CREATE s g $ MKSTREAM; XGROUP CREATECONSUMER s g c; \
         & XREADGROUP GROUP g c BLOCK 0 STREAMS s >; XADD s 1 a b",
        "XGROUP CREATE s g $ MKSTREAM | XGROUP CREATECONSUMER s g c | XADD s 1 a b | MULTI | \
         XCLAIM s g c 0 1-0 TIME <ms> RETRYCOUNT 1 FORCE JUSTID LASTID 1-0 | \
         XGROUP SETID s g 1-0 ENTRIESREAD 1 | EXEC",
        "XGROUP CREATE s g $ MKSTREAM | XGROUP CREATECONSUMER s g c | XADD s 1 a b | \
         XCLAIM s g c 0 1-0 TIME <ms> RETRYCOUNT 1 FORCE JUSTID LASTID 1-0",
    ),
    same("& XREAD BLOCK 0 STREAMS s $; XADD s 1 a b", "XADD s 1 a b"),
    // Strings.
    same("SET k v", "SET k v"),
    same("SET k v EX 100", "SET k v PXAT <ms>"),
    same("SET k v PX 100000", "SET k v PXAT <ms>"),
    same("SET k v EXAT 9999999999", "SET k v PXAT <ms>"),
    same("SET k v PXAT 9999999999999", "SET k v PXAT <ms>"),
    same("SET k v KEEPTTL", "SET k v KEEPTTL"),
    same("SET k v XX", NOTHING),
    other("SET k v NX; SET k w NX", "SET k v", "SET k v NX"),
    other("SET k v NX GET", "SET k v", "SET k v NX"),
    same("SETEX k 100 v", "SET k v PXAT <ms>"),
    same("PSETEX k 100000 v", "SET k v PXAT <ms>"),
    other("SETNX k v; SETNX k w", "SET k v", "SETNX k v"),
    same("GETSET k v", "SET k v"),
    same("SET k v; GETDEL k; GETDEL k", "SET k v | DEL k"),
    same("SET k v; GETEX k", "SET k v"),
    same("SET k v; GETEX k EX 100", "SET k v | PEXPIREAT k <ms>"),
    same("SET k v; GETEX k PXAT 1", "SET k v | DEL k"),
    same("SET k v EX 100; GETEX k PERSIST", "SET k v PXAT <ms> | PERSIST k"),
    same("SET k v; GETEX k PERSIST", "SET k v"),
    same("INCR k; INCRBY k 5; DECR k", "INCR k | INCRBY k 5 | DECR k"),
    same("INCRBYFLOAT k 0.5", "SET k 0.5 KEEPTTL"),
    same("SET k text; INCR k", "SET k text"),
    same("MSET a 1 b 2", "MSET a 1 b 2"),
    same("MSETNX a 1 b 2; MSETNX b 3 c 4", "MSETNX a 1 b 2"),
    same("APPEND k x; SETRANGE k 2 y", "APPEND k x | SETRANGE k 2 y"),
    same("SETRANGE k 2 {}", NOTHING),
    same("SETBIT k 3 1", "SETBIT k 3 1"),
    same("SET a x; BITOP NOT d a", "SET a x | BITOP NOT d a"),
    same("BITOP NOT d a", NOTHING),
    same("BITFIELD k SET u8 0 5", "BITFIELD k SET u8 0 5"),
    same("BITFIELD k GET u8 0", NOTHING),
    other("BITFIELD k OVERFLOW FAIL SET u2 9 7", "SETRANGE k 1 \\x00", NOTHING),
    // Lists.
    same("RPUSH l a b; LPUSHX l c; LPUSHX m c", "RPUSH l a b | LPUSHX l c"),
    same("RPUSH l a b; LPOP l; RPOP l; LPOP l", "RPUSH l a b | LPOP l | RPOP l"),
    same("RPUSH l a b c; LPOP l 2; LPOP l 0", "RPUSH l a b c | LPOP l 2"),
    same("RPUSH l a b c; LMPOP 2 m l RIGHT COUNT 9", "RPUSH l a b c | RPOP l 3"),
    same("LMPOP 1 m LEFT", NOTHING),
    same("RPUSH l a b; BLPOP m l 0", "RPUSH l a b | LPOP l"),
    same("& BLPOP m l 0; RPUSH l a b", "RPUSH l a b | LPOP l"),
    same("& BLMPOP 0 1 l RIGHT COUNT 2; RPUSH l a b c", "RPUSH l a b c | RPOP l 2"),
    same(
        "RPUSH l a; LMOVE l m LEFT RIGHT; LMOVE l m LEFT LEFT",
        "RPUSH l a | LMOVE l m LEFT RIGHT",
    ),
    same("RPUSH l a; BLMOVE l m LEFT RIGHT 0", "RPUSH l a | LMOVE l m LEFT RIGHT"),
    other(
        "& BLMOVE l m LEFT RIGHT 0; RPUSH l a",
        "RPUSH l a | LMOVE l m LEFT RIGHT",
        "RPUSH l a | LMOVE l m left right",
    ),
    same("RPUSH l a; RPOPLPUSH l m", "RPUSH l a | RPOPLPUSH l m"),
    other(
        "RPUSH l a; BRPOPLPUSH l m 0",
        "RPUSH l a | LMOVE l m RIGHT LEFT",
        "RPUSH l a | RPOPLPUSH l m",
    ),
    same("RPUSH l a b; LSET l 0 x; LSET l 9 x", "RPUSH l a b | LSET l 0 x"),
    same("RPUSH l a; LINSERT l AFTER a b; LINSERT l AFTER x b", "RPUSH l a | LINSERT l AFTER a b"),
    same("RPUSH l a b; LREM l 0 a; LREM l 0 a", "RPUSH l a b | LREM l 0 a"),
    same("RPUSH l a b; LTRIM l 0 0", "RPUSH l a b | LTRIM l 0 0"),
    same("RPUSH l 2 1; SORT l STORE s; SORT l", "RPUSH l 2 1 | SORT l STORE s"),
    // Hashes.
    same("HSET h a 1 b 2; HSET h a 1; HMSET h c 3", "HSET h a 1 b 2 | HSET h a 1 | HMSET h c 3"),
    same("HSETNX h a 1; HSETNX h a 2", "HSETNX h a 1"),
    same("HINCRBY h a 5; HINCRBY h a x", "HINCRBY h a 5"),
    same("HINCRBYFLOAT h a 0.5", "HSET h a 0.5"),
    same(
        "HSET h a 1 b 2; HDEL h a x; HDEL h x; HDEL h b",
        "HSET h a 1 b 2 | HDEL h a x | HDEL h b",
    ),
    same("HSET h a 1; HGETALL h; HRANDFIELD h; HSCAN h 0", "HSET h a 1"),
    // Sets.
    same("SADD s a b; SADD s a; SADD s a c", "SADD s a b | SADD s a c"),
    same("SADD s a b; SREM s a x; SREM s x; SREM s b", "SADD s a b | SREM s a x | SREM s b"),
    same("SADD s a; SPOP s; SPOP s", "SADD s a | SREM s a"),
    same("SADD s a b; SPOP s 0; SPOP s 5; SPOP s 5", "SADD s a b | DEL s"),
    same("SADD s a; SMOVE s t a; SMOVE s t a; SMOVE t t a", "SADD s a | SMOVE s t a"),
    same(
        "SADD s 1; SINTERSTORE d s s; SINTERSTORE d s t",
        "SADD s 1 | SINTERSTORE d s s | SINTERSTORE d s t",
    ),
    same("SADD s 1; SUNIONSTORE d s t; SUNIONSTORE e t", "SADD s 1 | SUNIONSTORE d s t"),
    same(
        "SADD s 1; SDIFFSTORE d s t; SDIFFSTORE d s s",
        "SADD s 1 | SDIFFSTORE d s t | SDIFFSTORE d s s",
    ),
    same("SADD s 2 1; SORT s BY nosort STORE d", "SADD s 2 1 | SORT s BY nosort STORE d"),
    // Sorted sets.
    same("ZADD z 1 a 2 b; ZADD z 1 a; ZADD z XX 5 c", "ZADD z 1 a 2 b"),
    same("ZADD z INCR 1.5 a; ZINCRBY z 0.1 a", "ZADD z INCR 1.5 a | ZINCRBY z 0.1 a"),
    same(
        "ZADD z 1 a 2 b; ZREM z a x; ZREM z x; ZREM z b",
        "ZADD z 1 a 2 b | ZREM z a x | ZREM z b",
    ),
    same(
        "ZADD z 1 a 2 b; ZPOPMIN z; ZPOPMAX z 5; ZPOPMAX z; ZPOPMAX z 0",
        "ZADD z 1 a 2 b | ZPOPMIN z | ZPOPMAX z 5",
    ),
    same("ZADD z 1 a 2 b; ZMPOP 2 n z MAX COUNT 10; ZMPOP 1 z MIN", "ZADD z 1 a 2 b | ZPOPMAX z 2"),
    same(
        "ZADD z 1 a 2 b; BZPOPMIN n z 0; BZMPOP 0 1 z MAX COUNT 3",
        "ZADD z 1 a 2 b | ZPOPMIN z | ZPOPMAX z 1",
    ),
    same("& BZPOPMAX m z 0; ZADD z 1 a 2 b", "ZADD z 1 a 2 b | ZPOPMAX z"),
    same("& BZMPOP 0 1 z MIN COUNT 9; ZADD z 1 a 2 b", "ZADD z 1 a 2 b | ZPOPMIN z 2"),
    same(
        "ZADD z 1 a 2 b; ZREMRANGEBYRANK z 0 0; ZREMRANGEBYSCORE z 5 9; ZREMRANGEBYLEX z - +",
        "ZADD z 1 a 2 b | ZREMRANGEBYRANK z 0 0 | ZREMRANGEBYLEX z - +",
    ),
    same(
        "ZADD z 1 a; ZUNIONSTORE d 2 z y; ZUNIONSTORE e 1 y; ZINTERSTORE d 2 z y",
        "ZADD z 1 a | ZUNIONSTORE d 2 z y | ZINTERSTORE d 2 z y",
    ),
    same(
        "ZADD z 1 a; ZDIFFSTORE d 2 z y; ZRANGESTORE d z 5 9; ZRANGESTORE d z 0 -1 REV",
        "ZADD z 1 a | ZDIFFSTORE d 2 z y | ZRANGESTORE d z 5 9 | ZRANGESTORE d z 0 -1 REV",
    ),
    // Positions, which are told as the scores they are.
    same("GEOADD g -180 -85.05112878 a; GEOADD g -180 -85.05112878 a", "zadd g 0 a"),
    same(
        "GEOADD g 1 2 a; GEOADD g NX CH 3 4 a 5 6 b",
        "zadd g <ms> a | zadd g NX CH <ms> a <ms> b",
    ),
    same("GEOADD g XX 1 2 a; GEOADD g 1 2 a 200 4 b", NOTHING),
    same(
        "ZADD g 0 a; GEOSEARCHSTORE d g FROMMEMBER a BYRADIUS 1 m; GEOSEARCH g FROMMEMBER a BYRADIUS 1 m; \
         GEOSEARCHSTORE d none FROMMEMBER a BYRADIUS 1 m; GEOSEARCHSTORE d none FROMMEMBER a BYRADIUS 1 m",
        "ZADD g 0 a | GEOSEARCHSTORE d g FROMMEMBER a BYRADIUS 1 m | \
         GEOSEARCHSTORE d none FROMMEMBER a BYRADIUS 1 m",
    ),
    same(
        "ZADD g 0 a; GEORADIUS g -180 -85 9 km STORE d; GEORADIUS g -180 -85 9 km; \
         GEORADIUSBYMEMBER g a 1 km STOREDIST e; GEORADIUS g 1 2 1 km STORE d; GEORADIUS g 1 2 1 km STORE d",
        "ZADD g 0 a | GEORADIUS g -180 -85 9 km STORE d | GEORADIUSBYMEMBER g a 1 km STOREDIST e | \
         GEORADIUS g 1 2 1 km STORE d",
    ),
    same("ZADD z 1 a; ZSCORE z a; ZRANDMEMBER z; ZSCAN z 0; ZRANGE z 0 -1", "ZADD z 1 a"),
    // Keys.
    same("SET k v; DEL k j; DEL k", "SET k v | DEL k j"),
    same("SET k v; UNLINK k; UNLINK k", "SET k v | UNLINK k"),
    same("SET k v; EXPIRE k 100; EXPIRE j 100", "SET k v | PEXPIREAT k <ms>"),
    other(
        "SET k v; PEXPIREAT k 9999999999999 NX",
        "SET k v | PEXPIREAT k <ms>",
        "SET k v | PEXPIREAT k <ms> NX",
    ),
    same("SET k v; EXPIRE k 100 XX", "SET k v"),
    same("SET k v; EXPIRE k -1", "SET k v | DEL k"),
    same("SET k v EX 100; PERSIST k; PERSIST k", "SET k v PXAT <ms> | PERSIST k"),
    same("SET k v; RENAME k j; RENAME j j", "SET k v | RENAME k j"),
    same("SET k v; SET j v; RENAMENX k j", "SET k v | SET j v"),
    same("SET k v; COPY k j; COPY k j", "SET k v | COPY k j"),
    same("SET k v; MOVE k 1; MOVE k 1", "SET k v | MOVE k 1"),
    same(
        "RESTORE k 0 \0\x06v12967\n\0hjj9zUeo; RESTORE k 0 \0\x06v12967\n\0hjj9zUeo; DUMP k",
        r"RESTORE k 0 \x00\x06v12967\n\x00hjj9zUeo",
    ),
    same(
        "RESTORE k 100000 \0\x06v12967\n\0hjj9zUeo IDLETIME 5 REPLACE",
        r"RESTORE k <ms> \x00\x06v12967\n\x00hjj9zUeo IDLETIME 5 REPLACE ABSTTL",
    ),
    same(
        "RESTORE k 9999999999999 \0\x06v12967\n\0hjj9zUeo ABSTTL",
        r"RESTORE k <ms> \x00\x06v12967\n\x00hjj9zUeo ABSTTL",
    ),
    same("RESTORE k 1 \0\x06v12967\n\0hjj9zUeo ABSTTL", NOTHING),
    same("SET k v; RESTORE k 1 \0\x06v12967\n\0hjj9zUeo ABSTTL REPLACE", "SET k v | DEL k"),
    same("SELECT 3; SET k v; SWAPDB 3 4", "SELECT 3 | SET k v | SWAPDB 3 4"),
    same("SELECT 3; FLUSHDB; FLUSHALL", "SELECT 3 | FLUSHDB | FLUSHALL"),
    // Keys whose time has come.
    same("SET k v PX 1; %; GET k", "SET k v PXAT <ms> | DEL k"),
    same("SET k v PX 1; %; DEL k", "SET k v PXAT <ms> | DEL k"),
    same("SET k v PX 1; %; APPEND k x", "SET k v PXAT <ms> | MULTI | DEL k | APPEND k x | EXEC"),
    same("SET k v PX 1; %; SET k w XX", "SET k v PXAT <ms> | DEL k"),
    // Transactions.
    same("MULTI; SET a 1; EXEC", "SET a 1"),
    same("MULTI; SET a 1; GET a; INCR a; EXEC", "MULTI | SET a 1 | INCR a | EXEC"),
    same("MULTI; GET a; EXEC", NOTHING),
    same("MULTI; SET a 1; DISCARD", NOTHING),
    same("MULTI; SET a x; INCR a; SET b 1; EXEC", "MULTI | SET a x | SET b 1 | EXEC"),
    same("WATCH a; SET a 1; MULTI; SET a 2; EXEC", "SET a 1"),
    same("RPUSH l a; MULTI; BLPOP l 0; BLPOP l 0; EXEC", "RPUSH l a | LPOP l"),
    // What concerns no data.
    same("PING; CONFIG SET hz 10; OBJECT HELP; TOUCH k", NOTHING),
    other("PUBLISH c m", NOTHING, "PUBLISH c m"),
    same("SET k; LPUSH; NOSUCH k; SET k v EX 0", NOTHING),
];

/// Says that a row has ended.
const END: &str = "SET end-of-row";

/// Runs rows on a server and compares what `next` reads of its effects.
struct Checker<F> {
    port: u16,
    client: Connection,
    stream: Vec<u8>,
    more: F,
}

impl<F: FnMut() -> Vec<u8>> Checker<F> {
    fn new(port: u16, stream: Vec<u8>, more: F) -> Self {
        let mut client = Connection::open(port);
        client.ask("DEBUG SET-ACTIVE-EXPIRE 0");
        Self { port, client, stream, more }
    }

    /// The effects of a row's commands.
    fn run(&mut self, commands: &str) -> String {
        // Whatever database the row before has selected, all begin in the same.
        self.client.ask("SELECT 0");
        self.client.ask("FLUSHALL");
        self.client.ask(&format!("{END} begin"));
        self.until("begin");
        let mut other = Connection::open(self.port);
        for command in commands.split("; ") {
            match command.strip_prefix("& ") {
                Some(command) => {
                    other.send(&command.split(' ').collect::<Vec<_>>());
                    // It waits before the next is sent.
                    std::thread::sleep(Duration::from_millis(20));
                }
                None if command == "%" => std::thread::sleep(Duration::from_millis(5)),
                None => {
                    let parts: Vec<_> =
                        command.split(' ').map(|part| part.trim_matches(['{', '}'])).collect();
                    self.client.call(&parts);
                }
            }
        }
        self.client.ask(&format!("{END} end"));
        self.until("end").join(" | ")
    }

    /// The effects up to the end of something.
    fn until(&mut self, what: &str) -> Vec<String> {
        let mut effects = Vec::new();
        loop {
            let effect = self.next();
            if effect == format!("{END} {what}") {
                return effects;
            }
            effects.push(effect);
        }
    }

    fn next(&mut self) -> String {
        loop {
            while self.stream.first() == Some(&b'\n') {
                self.stream.remove(0);
            }
            if let Some(end) = reply_end(&self.stream, 0) {
                let command: Vec<u8> = self.stream.drain(..end).collect();
                let words = words(&command);
                let words = words.split(' ').map(|word| {
                    let is_time = word.len() >= 12 && word.bytes().all(|b| b.is_ascii_digit());
                    if is_time { "<ms>" } else { word }
                });
                let effect = words.collect::<Vec<_>>().join(" ");
                if effect != "PING" {
                    return effect;
                }
                continue;
            }
            let more = (self.more)();
            assert!(!more.is_empty(), "the stream has ended");
            self.stream.extend(more);
        }
    }
}

/// Compares each row's effects with what it says.
fn check<'a>(
    mut checker: Checker<impl FnMut() -> Vec<u8>>,
    rows: impl Iterator<Item = &'a Row>,
    expected: fn(&Row) -> &str,
) {
    let mut wrong = Vec::new();
    for row in rows {
        let got = checker.run(row.commands);
        // The end of a row is told in the database that the row has selected.
        let got = got.trim_end_matches(" | SELECT 0");
        if got != expected(row) {
            wrong.push(format!(
                "{}\n  expected: {}\n  got:      {got}",
                row.commands,
                expected(row)
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn commands_are_told_as_what_they_did() {
    let server = Server::start();
    let mut follower = Follower::join(&server, HOLD);
    let checker = Checker::new(server.port, Vec::new(), move || follower.take());
    check(checker, ROWS.iter(), |row| row.ours);
}

#[test]
fn commands_are_told_as_what_they_did_by_the_other_release() {
    let server = Server::start();
    server.swap();
    let mut follower = Follower::join(&server, HOLD);
    let checker = Checker::new(server.port, Vec::new(), move || follower.take());
    check(checker, ROWS.iter().chain(ROWS_OF_SECOND), |row| row.ours);
}

#[test]
fn redis_tells_its_replicas_the_same() {
    let peer = Peer::start();
    Connection::open(peer.port).ask("CONFIG SET repl-diskless-sync no");
    let mut replica = Connection::open(peer.port);
    replica.send_raw(b"SYNC\r\n");
    let stream = skip_snapshot(&mut replica);
    let more = move || more(&mut replica);
    check(Checker::new(peer.port, stream, more), ROWS.iter(), |row| row.theirs);
}

/// Reads up to the end of the snapshot that stands before the stream; returns what is behind it.
fn skip_snapshot(replica: &mut Connection) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        bytes.extend(more(replica));
        let begin = bytes.iter().take_while(|byte| **byte == b'\n').count();
        let line = bytes[begin..].windows(2).position(|two| two == b"\r\n");
        let Some(line) = line.map(|len| begin + len) else { continue };
        let len = std::str::from_utf8(&bytes[begin + 1..line]).expect("a length");
        let end = line + 2 + len.parse::<usize>().expect("a length");
        if bytes.len() >= end {
            return bytes.split_off(end);
        }
    }
}

fn more(replica: &mut Connection) -> Vec<u8> {
    let mut bytes = vec![0; 1 << 16];
    let len = replica.stream().read(&mut bytes).expect("the peer goes on");
    bytes.truncate(len);
    bytes
}
