//! Lists. A rank whose negative is no number is left to chance by Redis.

pub const LINES: &str = "
5 RPUSH|LPUSH $list ( $text )*8
1 RPUSH|LPUSH $list ( $text )*90
  RPUSHX|LPUSHX $list ( $text )*3
4 LPOP|RPOP $list [ $count ]
2 LLEN|LPOP|RPOP $list
2 LMPOP #3:$list LEFT|RIGHT|x { COUNT $count }
3 LRANGE $list $int $int
2 LINDEX $list $int
2 LSET $list $int $text
2 LINSERT $list BEFORE|AFTER|x $text $text
3 LREM $list $int $text
2 LTRIM $list $int $int
3 LPOS $list $text { RANK $nth ; COUNT $count ; MAXLEN $count }
3 LMOVE $list $list|$any LEFT|RIGHT LEFT|RIGHT|x
2 RPOPLPUSH $list $list
";
