//! Commands that wait for a key.

pub const LINES: &str = "
3 BLPOP|BRPOP ( $list )*3 $timeout
2 BLMOVE $list $list|$any LEFT|RIGHT LEFT|RIGHT $timeout
  BRPOPLPUSH $list $list $timeout
2 BLMPOP $timeout #3:$list LEFT|RIGHT { COUNT $count }
3 BZPOPMIN|BZPOPMAX ( $zset )*3 $timeout
2 XREAD { COUNT $count } BLOCK $ms_timeout STREAMS $stream $last|$last|$id
2 & XREADGROUP GROUP $group a|b { COUNT $count ; NOACK } BLOCK $ms_timeout STREAMS $stream >
2 BZMPOP $timeout #3:$zset MIN|MAX { COUNT $count }
";
