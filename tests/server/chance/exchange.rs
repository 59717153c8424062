//! A value that each of two servers restores as the other has dumped it.

use super::draw::Draw;
use super::plan::quoted;

/// What is dumped, and how that is restored.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Who sends it.
    pub client: usize,
    /// The key that is dumped.
    pub from: Vec<u8>,
    to: Vec<u8>,
    /// The time to live, then options.
    options: Vec<String>,
    damage: Damage,
}

/// What is wrong with a payload.
#[derive(Clone, Copy, Debug)]
enum Damage {
    Nothing,
    /// A byte is another: the one at so many thousandths of its length.
    Byte(u64, u8),
    /// So many thousandths of it are missing.
    Short(u64),
    /// It has a byte more.
    Long,
}

impl Exchange {
    /// Draws one, of any key.
    pub fn draw(draw: &mut Draw, client: usize) -> Self {
        let from = draw.named("any");
        let to = if draw.one_in(3) { draw.named("any") } else { from.clone() };
        let mut options: Vec<String> = match draw.below(6) {
            0 => vec!["9999999999999".into(), "ABSTTL".into()],
            1 => vec![String::from_utf8_lossy(&draw.named("time")).into()],
            _ => vec!["0".into()],
        };
        if !draw.one_in(6) {
            options.push("REPLACE".into());
        }
        for name in ["IDLETIME", "FREQ"] {
            if draw.one_in(8) {
                options
                    .extend([name.into(), draw.of(&["0", "10", "255", "256", "-1", "x"]).into()]);
            }
        }
        let damage = match draw.below(16) {
            0 => Damage::Byte(draw.below(1000), 1 << draw.below(8)),
            1 => Damage::Short(draw.below(1001)),
            2 => Damage::Long,
            _ => Damage::Nothing,
        };
        Self { client, from, to, options, damage }
    }

    /// The command that restores a payload.
    pub fn restore(&self, payload: &[u8]) -> Vec<Vec<u8>> {
        let mut payload = payload.to_vec();
        match self.damage {
            Damage::Nothing => {}
            Damage::Byte(at, bits) => {
                let at = at as usize * payload.len() / 1000;
                payload[at] ^= bits;
            }
            Damage::Short(by) => payload.truncate(payload.len() * (1000 - by as usize) / 1000),
            // Not a 0, which fits a checksum that begins with one.
            Damage::Long => payload.push(0xff),
        }
        let (time, options) = self.options.split_first().expect("a time to live");
        let mut words = vec![b"RESTORE".to_vec(), self.to.clone(), time.clone().into(), payload];
        words.extend(options.iter().map(|word| word.clone().into_bytes()));
        words
    }
}

impl std::fmt::Display for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (time, options) = self.options.split_first().expect("a time to live");
        write!(
            f,
            "# @{} RESTORE {} {time} <DUMP {} of the other, {:?}> {}",
            self.client + 1,
            quoted(&self.to),
            quoted(&self.from),
            self.damage,
            options.join(" ")
        )
    }
}
