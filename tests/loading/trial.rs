//! Trials of libraries by the program under test.

use std::path::Path;
use std::time::Duration;

use shell::logic::image::Image;
use shell::logic::verify::Verdict;
use shell::logic::verify::parent::Verifier;
use shell::refusal::Refusal;

use crate::libraries;

/// Verifies with the program under test.
pub fn verifier() -> Verifier {
    let (program, time_limit) = (libraries::shell(), Duration::from_secs(60));
    Verifier { program, time_limit, lanes: 3, trusted: None }
}

/// Copies and verifies a library.
pub fn verify(path: &Path) -> Result<(Image, Verdict), Refusal> {
    let image = Image::read(path)?;
    let verdict = verifier().verify(&image)?;
    Ok((image, verdict))
}
