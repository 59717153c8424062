//! Strings.

pub const LINES: &str = "
4 SET $string $text
4 SET $string $text { NX|XX ; GET ; KEEPTTL ; EX|PX $time ; EXAT $seconds ; PXAT $ms }
  SETEX|PSETEX $string $time $text
  SETNX|GETSET $string $text
2 GET|GETDEL|STRLEN $string
2 GETEX $string { PERSIST ; EX|PX $time ; EXAT $seconds ; PXAT $ms }
3 APPEND $string $text
2 SETRANGE $string $offset $text
2 GETRANGE|SUBSTR $string $int $int
2 INCR|DECR $string
3 INCRBY|DECRBY $string $int
3 INCRBYFLOAT $string $float
2 MSET|MSETNX ( $string $text )*4
2 MGET ( $string / $any )*5
2 LCS $string $string { LEN ; IDX ; MINMATCHLEN $int ; WITHMATCHLEN }
";
