//! Keys of any type, and databases. Which keys whose time has come are still counted is left open,
//! and `RANDOMKEY` would remove one by chance.

pub const LINES: &str = "
3 TYPE|PERSIST|EXISTS|TOUCH $any
3 DEL|UNLINK|EXISTS|TOUCH ( $any )*3
3 RENAME|RENAMENX $any $any
3 COPY $any $any { DB 0|1|x|99 ; REPLACE }
  MOVE $any 0|1|1|-1|x
  SWAPDB 0 0|1|1|x
  SELECT 0|0|0|1|x|16
2 % TTL|PTTL|EXPIRETIME|PEXPIRETIME $any
3 EXPIRE|PEXPIRE $any $time { NX|XX ; GT|LT }
3 EXPIREAT $any $seconds { NX|XX ; GT|LT }
3 PEXPIREAT $any $ms { NX|XX ; GT|LT }
4 OBJECT ENCODING $any
  ? OBJECT REFCOUNT|IDLETIME|FREQ|x $any
  ? MEMORY USAGE $any { SAMPLES $count }
2 ~ KEYS $glob
3 ~ SCAN 0 COUNT 1000000 { MATCH $glob ; TYPE string|list|set|zset|hash|stream|x ; COUNT 2000000 }
  ? DBSIZE
  ? DUMP $any
2 RESTORE $any $time $text { REPLACE ; ABSTTL ; IDLETIME $int ; FREQ $int }
2 DEBUG DIGEST-VALUE ( $any )*3
";
