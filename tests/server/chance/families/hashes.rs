//! Hashes.

pub const LINES: &str = "
4 HSET $hash $text $text
3 HSET|HMSET $hash ( $text $text )*12
  HSETNX $hash $text $text
  HGET|HEXISTS|HSTRLEN $hash $text
2 HMGET $hash ( $text )*5
3 HDEL $hash ( $text )*8
2 HINCRBY $hash $text $int
2 HINCRBYFLOAT $hash $text $float
  HLEN $hash
2 ~~ HGETALL $hash
  ~ HKEYS|HVALS $hash
  ~~ HRANDFIELD $hash 100000 WITHVALUES
  # HRANDFIELD $hash $sample [ WITHVALUES ]
  ? HRANDFIELD $hash
2 ~~ HSCAN $hash 0 COUNT 1000000 { MATCH $glob ; COUNT 2000000 }
";
