//! Sets.

pub const LINES: &str = "
4 SADD $set ( $text )*5
2 SADD $set ( $int )*40
4 SREM $set ( $text )*8
2 SISMEMBER $set $text
2 SMISMEMBER $set ( $text )*5
  SCARD $set
3 SMOVE $set $set|$any $text
2 ~ SMEMBERS $set
3 ! SPOP $set [ $count ]
  ! SPOP $set 100000
  ~ SRANDMEMBER $set 100000
  # SRANDMEMBER $set $sample
  ? SRANDMEMBER $set
4 ~ SINTER|SUNION|SDIFF ( $set )*4
4 SINTERSTORE|SUNIONSTORE|SDIFFSTORE $set|$any ( $set )*4
2 SINTERCARD #3:$set { LIMIT $int }
2 ~ SSCAN $set 0 COUNT 1000000 { MATCH $glob ; COUNT 2000000 }
";
