//! The memory of a machine: logic's own, counted, and bounded.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::ffi::c_void;

use crate::Host;
use crate::cjson::Config;
use crate::library::Loading;
use crate::pool::Pool;

/// What a machine's Rust code finds wherever it is called. It is reached through the allocator, of
/// which there is one a machine.
pub(crate) struct State {
    pool: Pool,
    /// Bytes in use.
    pub used: Cell<usize>,
    /// Bytes that the machine's own code may use.
    limit: usize,
    /// Whether Rust code runs, which always gets memory.
    pub in_rust: Cell<bool>,
    /// Who runs the script, while one runs.
    pub host: Cell<Option<*mut dyn Host>>,
    /// The library that is loaded, while one is.
    pub loading: RefCell<Option<Loading>>,
    /// A panic on its way out.
    pub panic: Cell<Option<Box<dyn Any + Send>>>,
    /// A command's arguments, while it is made.
    pub arguments: RefCell<crate::redis::Arguments>,
    /// Where `math.random` is.
    pub random: Cell<u64>,
    /// The settings of `cjson`, and of each further instance of it.
    pub cjson: RefCell<Vec<Config>>,
}

impl State {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            pool: Pool::new(),
            used: Cell::new(0),
            limit,
            in_rust: Cell::new(true),
            host: Cell::new(None),
            loading: RefCell::new(None),
            panic: Cell::new(None),
            arguments: RefCell::default(),
            random: Cell::new(crate::random::FIRST),
            cjson: RefCell::new(vec![Config::default()]),
        }
    }

    /// Runs `f` as Rust code that Lua has called.
    pub(crate) fn as_rust<R>(&self, f: impl FnOnce() -> R) -> R {
        let before = self.in_rust.replace(true);
        let result = f();
        self.in_rust.set(before);
        result
    }
}

/// What Lua allocates by, as its manual describes it. `state` is a [`State`].
pub(crate) unsafe extern "C" fn allocate(
    state: *mut c_void,
    old: *mut c_void,
    old_size: usize,
    size: usize,
) -> *mut c_void {
    // SAFETY: the machine hands over its state, which lives until after Lua is closed; all of it is
    // cells, to which nobody refers exclusively.
    let state = unsafe { &*state.cast::<State>() };
    let used = state.used.get() - old_size;
    if size > old_size && !state.in_rust.get() && used + size > state.limit {
        return std::ptr::null_mut();
    }
    state.used.set(used + size);
    // SAFETY: Lua tells the size of what it frees or resizes, which came from here.
    unsafe {
        match (old_size, size) {
            (0, 0) => std::ptr::null_mut(),
            (_, 0) => {
                state.pool.give_back(old.cast(), old_size);
                std::ptr::null_mut()
            }
            (0, _) => state.pool.take(size).cast(),
            _ => state.pool.resize(old.cast(), old_size, size).cast(),
        }
    }
}
