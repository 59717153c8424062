//! Libraries as bytes, both ways: those of `FUNCTION DUMP`, in the form of Redis's files.
//!
//! ```text
//! payload   (245 u8, source as a string)*, version u16, checksum u64 of all before it
//! ```

use crate::exec::context::ClientCtx;
use crate::session::scripts;
use base::args::Args;
use base::crc64::crc64;
use base::error::{Done, Error};
use base::settings::setting;
use value::dump::{VERSION, open};
use value::serialized::reader::Reader;
use value::serialized::writer::Writer;

/// What a library begins with.
const LIBRARY: u8 = 245;
/// What one of a version before the first release began with.
const OLD_LIBRARY: u8 = 246;

/// What becomes of libraries that are there when others are restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// All go.
    Flush,
    /// They stay: none may come in the place of one.
    Append,
    /// They stay but where another comes in their place.
    Replace,
}

pub fn dump(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    let core = &mut *cx.data.keys.core;
    let all = scripts::libraries(core);
    let compresses = core.get(setting::RDBCOMPRESSION);
    let mut payload = Vec::new();
    for library in all {
        payload.push(LIBRARY);
        let compressor = compresses.then_some(&mut core.compressor);
        Writer::new(&mut payload, compressor, usize::MAX).string(&library.source);
    }
    payload.extend_from_slice(&VERSION.to_le_bytes());
    payload.extend_from_slice(&crc64(&payload).to_le_bytes());
    cx.data.out.bulk(&payload);
    Ok(())
}

/// The sources in a payload, the checksum of which `is_checked`, or not.
pub fn sources(payload: &[u8], is_checked: bool) -> Result<Vec<Vec<u8>>, Error> {
    let (_, body) = open(payload, is_checked)
        .filter(|(version, _)| *version <= VERSION)
        .ok_or(Error::new("ERR DUMP payload version or checksum are wrong"))?;
    let mut reader = Reader::new(body);
    let mut sources = Vec::new();
    while reader.left() > 0 {
        match reader.byte() {
            Ok(LIBRARY) => {}
            Ok(OLD_LIBRARY) => {
                return Err(Error::new("ERR Pre-GA function format not supported"));
            }
            _ => return Err(Error::new("ERR given type is not a function")),
        }
        let source = reader.string();
        let broken = |_| Error::new("ERR Failed loading library data");
        sources.push(source.map_err(broken)?.into_owned());
    }
    Ok(sources)
}
