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
        // The innermost types are where the difference is; those around them differ because of it.
        let mut causes: Vec<&AbiInstabilityError> = errors.errors.iter().collect();
        causes.sort_by_key(|error| std::cmp::Reverse(error.stack_trace.len()));
        let mut named: Vec<String> = Vec::new();
        for difference in causes.into_iter().flat_map(differences) {
            if !named.contains(&difference) && named.len() < NAMED_MAX {
                named.push(difference);
            }
        }
        Refusal::new(Code::LayoutMismatch, named.join("; "))
    })
}

fn differences(error: &AbiInstabilityError) -> Vec<String> {
    let place = Place::of(error);
    error.errs.iter().map(|instability| place.describe(instability)).collect()
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
