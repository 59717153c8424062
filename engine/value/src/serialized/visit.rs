//! What is called with the parts of a packed value. A fault that it returns ends the visit.

use super::fault::Fault;
use store::packed::Element;

/// Is called with each element.
pub type EachElement<'v> = &'v mut dyn FnMut(Element<'_>) -> Result<(), Fault>;

/// Is called with each member and its score, or each field and its value.
pub type EachPair<'v> = &'v mut dyn FnMut(&[u8], &[u8]) -> Result<(), Fault>;
