//! The comparison of the contract's types with those a library was built with.
//!
//! Only for a process that ends soon: the checker keeps references into the library for ever.

use abi::logic::LogicRef;
use abi_stable::StableAbi;
use abi_stable::abi_stability::abi_checking::{
    AbiInstability, AbiInstabilityError, check_layout_compatibility,
};
use abi_stable::library::LibHeader;
use abi_stable::type_layout::{TLFieldOrFunction, TypeLayout};

use crate::refusal::{Code, Refusal};

/// More than types are nested.
const DEPTH_MAX: usize = 1000;

/// Most differences that are named.
const NAMED_MAX: usize = 4;

/// Compares every type that crosses the boundary or is stored.
///
/// # Errors
/// `layout_mismatch`, naming types and fields that differ.
pub fn check(header: &LibHeader) -> Result<(), Refusal> {
    let Some(found) = header.layout() else {
        let message = "the library carries no description of its layouts";
        return Err(Refusal::new(Code::LayoutMismatch, message));
    };
    check_layout_compatibility(<LogicRef as StableAbi>::LAYOUT, found).map_err(|errors| {
        let mut named: Vec<(usize, String)> = errors.errors.iter().flat_map(differences).collect();
        named.sort_by_key(|(rank, _)| *rank);
        named.dedup();
        let named: Vec<String> = named.into_iter().map(|(_, text)| text).take(NAMED_MAX).collect();
        Refusal::new(Code::LayoutMismatch, named.join("; "))
    })
}

/// What differs, and a rank: fields first, as sizes and counts follow from them; then the innermost
/// types, as those around them differ because of them.
fn differences(error: &AbiInstabilityError) -> impl Iterator<Item = (usize, String)> + '_ {
    let place = Place::of(error);
    let depth = error.stack_trace.len();
    error.errs.iter().map(move |instability| {
        use AbiInstability::{Name, UnexpectedField};
        let is_field = matches!(instability, Name(_) | UnexpectedField(_));
        let rank = if is_field { 0 } else { DEPTH_MAX };
        (rank + DEPTH_MAX.saturating_sub(depth), place.describe(instability))
    })
}

/// Where a difference was found: a type, and the field that led to it.
struct Place {
    owner: &'static str,
    field: &'static str,
    layout: &'static TypeLayout,
}

impl Place {
    fn of(error: &AbiInstabilityError) -> Self {
        let root = Self { owner: "", field: "", layout: <LogicRef as StableAbi>::LAYOUT };
        error.stack_trace.iter().fold(root, |outer, step| match step.expected {
            TLFieldOrFunction::Field(field) => {
                Self { owner: outer.layout.name(), field: field.name(), layout: field.layout() }
            }
            TLFieldOrFunction::Function(_) => outer,
        })
    }

    fn describe(&self, instability: &AbiInstability) -> String {
        use AbiInstability as Is;
        let (owner, field, name) = (self.owner, self.field, self.layout.name());
        match instability {
            Is::Name(v) => {
                let (expected, found) = (v.expected.name(), v.found.name());
                format!("field `{owner}.{field}` should be `{expected}`, is `{found}`")
            }
            Is::UnexpectedField(v) => {
                let (expected, found) = (v.expected.name(), v.found.name());
                format!("type `{name}` should have field `{expected}`, has `{found}` in its place")
            }
            Is::FieldCountMismatch(v) => {
                format!("type `{name}` should have {} fields, has {}", v.expected, v.found)
            }
            Is::Size(v) => {
                format!("type `{name}` should take {} bytes, takes {}", v.expected, v.found)
            }
            Is::Alignment(v) => {
                format!("type `{name}` should be aligned to {}, is to {}", v.expected, v.found)
            }
            Is::PackageVersion(v) => {
                format!("type `{name}` should be of version {}, is of {}", v.expected, v.found)
            }
            Is::Package(v) => {
                format!("type `{name}` should be of crate {}, is of {}", v.expected, v.found)
            }
            other => {
                let text = format!("{other:?}");
                let kind = text.split(['(', '{', ' ']).next().unwrap_or_default();
                format!("type `{name}`, reached by field `{owner}.{field}`, differs ({kind})")
            }
        }
    }
}
