//! Streams. Ids are never those of the clock.
//!
//! Groups have the consumers a and b always: whether one is made that gets nothing differs between
//! releases. How many entries a group has read, or how often one was delivered, is never so much that it
//! overflows in Redis. From `$log` nothing is removed by its id: where the last entry of a node was, an exact
//! `MINID` may leave that node without entries in Redis, and the second release has `XSETID` go by it.

pub const LINES: &str = "
30 XADD $stream $newid ( a $text / a $text / a $text b $text / a $text b $text / b $text / 12 $text a $text / field $text other $text more $text )
6 XADD $log $newid ( a $text / a $text b $text / b $text )
2 XADD $stream { NOMKSTREAM ; MAXLEN [ =|~ ] $left ; LIMIT $count } $newid ( a $text / a $text b $text )
  XADD $stream { NOMKSTREAM } MINID ~ $oldid [ LIMIT $count ] $newid ( a $text )*3
  XADD $log MINID [ = ] $oldid $newid a $text
2 XADD $stream $id ( $text $text )*3
4 XDEL $stream ( $id )*5
2 XTRIM $stream MAXLEN [ =|~ ] $left [ LIMIT $count ]
  XTRIM $stream MINID ~ $id [ LIMIT $count ]
2 XTRIM $log MAXLEN|MINID [ = ] $id
  XTRIM $log MAXLEN [ =|~ ] $left
4 XRANGE|XREVRANGE $stream|$log $end $end [ COUNT $count ]
  XRANGE|XREVRANGE $stream $end $end { COUNT $count ; x }
2 XREAD { COUNT $count } STREAMS $stream $stream|$log $id $id
2 XREAD STREAMS $stream $id|$last
2 XLEN $stream|$log
  XSETID $log $id { ENTRIESADDED $count ; MAXDELETEDID 0-0|0-1|x }
3 XINFO STREAM $stream|$log
3 ^ XINFO STREAM $stream FULL [ COUNT $count ]
  ^ XINFO GROUPS|STREAM|x $stream
  ^ XINFO CONSUMERS $stream $group
6 XGROUP CREATE $stream $group $id|$last|0|0 MKSTREAM [ ENTRIESREAD -2|-1|0|1|3|7|100|x ]
  XGROUP CREATE $stream $group $id|$last { MKSTREAM ; ENTRIESREAD -2|-1|0|1|3|7|100|x }
2 XGROUP SETID $stream $group $id|$last { ENTRIESREAD -2|-1|0|1|3|7|100|x }
  XGROUP DESTROY $stream $group
2 XGROUP DELCONSUMER $stream $group a|b|c
  XGROUP CREATECONSUMER $stream $group a|b
20 XREADGROUP GROUP $group a|b { COUNT $count ; NOACK } STREAMS $stream >|>|>|0|0|$id|$last
2 XREADGROUP GROUP $group a|b { COUNT $count ; NOACK } STREAMS $stream $stream >|0|$id >|0
6 XACK $stream $group ( $id )*5
2 XPENDING $stream $group
4 ^^ XPENDING $stream $group { IDLE 0|100000 } $end $end $count [ a|b|nobody ]
6 XCLAIM $stream $group a|b 0|0|100000 ( $id )*5 { JUSTID ; FORCE ; RETRYCOUNT -1|0|1|3|100|x ; TIME 1000 ; IDLE 0|200000 ; LASTID $id }
4 XAUTOCLAIM $stream $group a|b 0|0|100000 $end { COUNT 1|2|3|10|0|x ; JUSTID }
";
