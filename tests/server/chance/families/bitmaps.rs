//! Bits of strings. What the second release refuses of `BITCOUNT` and `BITPOS` even if there is no
//! key is not drawn.

pub const LINES: &str = "
4 SETBIT $bitmap $offset 0|1|1|2
2 GETBIT $bitmap $offset
2 SET $bitmap $text
2 BITCOUNT $bitmap [ $index $index [ BYTE|BIT ] ]
3 BITPOS $bitmap 0|1 [ $index [ $index [ BYTE|BIT ] ] ]
2 BITOP AND|OR|XOR|x $any|$bitmap ( $bitmap / $string )*3
  BITOP NOT $bitmap $bitmap [ $bitmap ]
6 BITFIELD $bitmap ( GET $field $place / SET $field $place $int / INCRBY $field $place $int / OVERFLOW WRAP|SAT|FAIL|x )*6
2 BITFIELD_RO $bitmap ( GET $field $place / OVERFLOW SAT )*4
";
