//! Sorted sets. Ranges of names have a meaning only where all scores are the same.

pub const LINES: &str = "
4 ZADD $zset $score $text
4 ZADD $zset { NX|XX ; GT|LT ; CH } ( $score $text )*9
2 ZADD $zset { NX|XX|CH ; GT|LT ; INCR } $score $text
2 ZINCRBY $zset $score $text
3 ZREM $zset ( $text )*6
  ZMSCORE $zset ( $text )*5
2 ZRANK|ZREVRANK|ZSCORE $zset $text
  ZCARD $zset
2 ZCOUNT $zset $bound $bound
2 ZADD $names 0 $text
2 ZADD $names { XX ; CH } ( 0 $text )*9
  ZREM $names ( $text )*6
  ZLEXCOUNT $names $lex $lex
2 ZPOPMIN|ZPOPMAX $zset [ $count ]
2 ZMPOP #3:$zset MIN|MAX|x { COUNT $count }
3 ZUNION|ZINTER #3:$zset|$set { WEIGHTS $weights ; AGGREGATE SUM|MIN|MAX|x ; WITHSCORES }
2 ZDIFF #3:$zset|$set { WITHSCORES ; WEIGHTS $weights }
3 ZUNIONSTORE|ZINTERSTORE $zset|$any #3:$zset|$set { WEIGHTS $weights ; AGGREGATE SUM|MIN|MAX }
2 ZDIFFSTORE $zset|$any #3:$zset|$set { WITHSCORES }
  ZINTERCARD #3:$zset|$set { LIMIT $int }
  # ZRANDMEMBER $zset $sample [ WITHSCORES ]
  ? ZRANDMEMBER $zset
  ~~ ZRANDMEMBER $zset 100000 WITHSCORES
2 ~~ ZSCAN $zset 0 COUNT 1000000 { MATCH $glob }
3 ZRANGE $zset $int $int { REV ; WITHSCORES ; LIMIT $int $int ; BYLEX|BYSCORE }
3 ZRANGE $zset $bound $bound BYSCORE { REV ; WITHSCORES ; LIMIT $int $int }
2 ZRANGE $names $lex $lex BYLEX { REV ; WITHSCORES ; LIMIT $int $int }
  ZREVRANGE $zset $int $int { WITHSCORES }
2 ZRANGEBYSCORE|ZREVRANGEBYSCORE $zset $bound $bound { WITHSCORES ; LIMIT $int $int }
2 ZRANGEBYLEX|ZREVRANGEBYLEX $names $lex $lex { LIMIT $int $int }
  ZRANGESTORE $zset|$any $zset $int $int { REV ; LIMIT $int $int }
2 ZRANGESTORE $zset|$any $zset $bound $bound BYSCORE { REV ; LIMIT $int $int }
  ZRANGESTORE $zset|$any $names $lex $lex BYLEX { REV ; LIMIT $int $int }
  ZREMRANGEBYSCORE $zset $bound $bound
  ZREMRANGEBYRANK $zset $int $int
  ZREMRANGEBYLEX $names $lex $lex
";
