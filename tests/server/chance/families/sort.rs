//! `SORT`. In Redis a sorted set that was sorted is a table from then on, so only a copy of a key
//! is sorted, which has no other use. What is not sorted has an order only if it is a list, which a
//! row is.

pub const LINES: &str = "
4 COPY $any sorted REPLACE
4 SORT|SORT_RO sorted { ALPHA ; ASC|DESC ; LIMIT $int $int ; GET $pattern ; GET # }
3 SORT|SORT_RO sorted ALPHA { ASC|DESC ; LIMIT $int $int ; GET $pattern ; GET # ; STORE $any }
3 SORT|SORT_RO sorted BY $by { LIMIT $int $int ; GET $pattern ; DESC ; GET # ; STORE $any }
2 ~ SORT|SORT_RO sorted BY nosort|x|# { ALPHA ; GET # }
  SORT sorted BY nosort { ALPHA ; GET # ; GET $pattern } STORE $list
2 RPUSH|LPUSH $row ( $text )*6
  LTRIM $row -6 -1
3 SORT|SORT_RO $row BY nosort|x { LIMIT $int $int ; GET $pattern ; DESC ; GET # ; STORE $any }
";

/// The copy.
pub const SORTED: &[u8] = b"sorted";
