//! The title of the process, as `ps` shows it.
//!
//! Linux shows what stands where the process found its arguments when it began, and what follows if
//! the last byte there is none that ends a text: the environment. So that goes elsewhere first.

use std::ffi::{OsString, c_char};
use std::io;
use std::sync::{Mutex, PoisonError};

/// Where the kernel finds the title.
struct Place {
    start: usize,
    end: usize,
    /// The name that the program was called by, which was the first of the arguments.
    name: String,
}

/// None: the process keeps its title.
static PLACE: Mutex<Option<Place>> = Mutex::new(None);

unsafe extern "C" {
    /// The environment as the C library has it.
    static environ: *const *const c_char;
}

/// Makes room for a title. To be called while the process has one thread, and after the arguments
/// have been read: they are gone once there is a title.
///
/// # Errors
/// There are other threads, or the place cannot be found.
pub fn prepare() -> io::Result<()> {
    super::check_alone()?;
    let mut place = find()?;
    let variables: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    for (name, value) in variables {
        // SAFETY: no other thread is there to read the environment meanwhile.
        unsafe { std::env::set_var(name, value) };
    }
    // What could not be moved, a variable without a name for one, must stay as it is.
    if let Some(first) = environment().filter(|at| (place.start..place.end).contains(at)).min() {
        place.end = first;
    }
    *PLACE.lock().unwrap_or_else(PoisonError::into_inner) = Some(place);
    Ok(())
}

/// The addresses of the variables of the environment.
fn environment() -> impl Iterator<Item = usize> {
    // SAFETY: the C library's own list, which nobody changes while there is one thread, ends with a
    // null; null itself if there is no environment.
    let at = |index: usize| unsafe {
        if environ.is_null() { std::ptr::null() } else { *environ.add(index) }
    };
    (0..).map(at).take_while(|variable| !variable.is_null()).map(|variable| variable as usize)
}

/// Where arguments and environment stood when the process began, which is behind one another.
fn find() -> io::Result<Place> {
    /// `arg_start` among the fields behind the name, which ends with a bracket; `arg_end`,
    /// `env_start` and `env_end` follow. See proc(5).
    const ARG_START: usize = 45;
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    let addresses = fields.trim_end().split(' ').skip(ARG_START).map_while(|at| at.parse().ok());
    let (start, end) = match addresses.take(4).collect::<Vec<usize>>()[..] {
        [start, end, env_start, env_end] if env_start == end => (start, env_end),
        [start, end, ..] => (start, end),
        _ => (0, 0),
    };
    if start == 0 || end <= start {
        return Err(io::Error::other("the kernel does not tell where the arguments are"));
    }
    let name = std::env::args_os().next().unwrap_or_default();
    Ok(Place { start, end, name: name.to_string_lossy().into_owned() })
}

/// Sets the title, which is made from the name that the program was called by, as far as there is
/// room for it.
pub fn set(title_for: impl FnOnce(&str) -> String) {
    let place = PLACE.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(Place { start, end, name }) = &*place else { return };
    let (title, room) = (title_for(name), end - start);
    let text = &title.as_bytes()[..title.len().min(room - 1)];
    // SAFETY: memory that the kernel has given the process for its arguments and environment, for as
    // long as it lives. Nobody reads either there: the arguments were read before, the environment
    // has moved, and the lock keeps others from writing.
    let shown = unsafe { std::slice::from_raw_parts_mut(*start as *mut u8, room) };
    shown.fill(0);
    shown[..text.len()].copy_from_slice(text);
}
