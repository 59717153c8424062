//! Registers, as the kernel tells them of each kind of processor.

pub use here::{INSTRUCTION, NAMES, registers, stack_pointer};

#[cfg(target_arch = "x86_64")]
mod here {
    use crate::crash::record::REGISTERS;

    /// Their names, in the order in which they are kept.
    pub const NAMES: [&str; 17] = [
        "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rdi", "rsi", "rbp", "rbx", "rdx",
        "rax", "rcx", "rsp", "rip",
    ];
    /// Which of them says where the thread was.
    pub const INSTRUCTION: usize = libc::REG_RIP as usize;

    /// All of them.
    pub fn registers(context: &libc::ucontext_t) -> [u64; REGISTERS] {
        context.uc_mcontext.gregs.map(|value| value as u64)
    }

    /// Where the stack ends.
    pub fn stack_pointer(context: &libc::ucontext_t) -> u64 {
        context.uc_mcontext.gregs[libc::REG_RSP as usize] as u64
    }
}

#[cfg(target_arch = "aarch64")]
mod here {
    use crate::crash::record::REGISTERS;

    /// Their names, in the order in which they are kept.
    pub const NAMES: [&str; REGISTERS] = [
        "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13",
        "x14", "x15", "x16", "x17", "x18", "x29", "x30", "sp", "pc",
    ];
    /// Which of them says where the thread was.
    pub const INSTRUCTION: usize = REGISTERS - 1;

    /// All of them.
    pub fn registers(context: &libc::ucontext_t) -> [u64; REGISTERS] {
        let machine = &context.uc_mcontext;
        let mut all = [0; REGISTERS];
        all[..19].copy_from_slice(&machine.regs[..19]);
        all[19..21].copy_from_slice(&machine.regs[29..31]);
        (all[21], all[22]) = (machine.sp, machine.pc);
        all
    }

    /// Where the stack ends.
    pub fn stack_pointer(context: &libc::ucontext_t) -> u64 {
        context.uc_mcontext.sp
    }
}
