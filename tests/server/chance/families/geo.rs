//! Positions. They are in no order but by distance, unless that is the same.

pub const LINES: &str = "
5 GEOADD $geo { NX|XX ; CH } ( $longitude $latitude $text )*4
2 GEOPOS|GEOHASH $geo ( $text )*4
2 GEODIST $geo $text $text [ m|km|ft|mi|x ]
2 ~ GEOSEARCH $geo FROMMEMBER $text BYRADIUS $distance m|km|ft|mi { WITHDIST ; WITHCOORD ; WITHHASH }
4 ~ GEOSEARCH $geo FROMLONLAT $longitude $latitude BYRADIUS $distance m|km|ft|mi { WITHDIST ; WITHCOORD ; WITHHASH }
4 ~ GEOSEARCH $geo FROMLONLAT $longitude $latitude BYBOX $distance $distance m|km { ASC|DESC ; WITHDIST ; WITHHASH }
  # GEOSEARCH $geo FROMLONLAT $longitude $latitude BYRADIUS $distance km { COUNT $count ; ANY ; ASC|DESC }
3 GEOSEARCHSTORE $zset|$any $geo FROMLONLAT $longitude $latitude BYRADIUS $distance km { STOREDIST ; ASC|DESC }
  GEOSEARCHSTORE $geo $geo FROMMEMBER $text BYBOX $distance $distance km { STOREDIST ; WITHDIST }
2 ~ GEORADIUS_RO|GEORADIUS $geo $longitude $latitude $distance m|km { WITHDIST ; WITHCOORD ; WITHHASH ; ASC|DESC }
  GEORADIUS $geo $longitude $latitude $distance km { STORE $zset ; STOREDIST $any ; DESC }
2 ~ GEORADIUSBYMEMBER_RO|GEORADIUSBYMEMBER $geo $text $distance km { WITHDIST ; WITHCOORD ; ASC|DESC }
  GEORADIUSBYMEMBER $geo $text $distance km { STORE $zset ; STOREDIST $any }
  ZREM $geo ( $text )*5
";
