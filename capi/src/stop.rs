//! What happens where a bug of this library would go on with a broken state: the processor stops.
//!
//! No input is known to lead here, and the fuzzers look for one. The message is not formatted, so that neither it nor
//! what prints it is linked.

/// Stops by an instruction that raises a fault, which a boot loader's handler shows with its address; where
/// there is none, forever.
#[panic_handler]
fn stop(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        // SAFETY: each of them raises an exception and touches nothing.
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        unsafe {
            core::arch::asm!("ud2", options(nomem, nostack));
        }
        // SAFETY: as above.
        #[cfg(target_arch = "aarch64")]
        unsafe {
            core::arch::asm!("brk #1", options(nomem, nostack));
        }
        // SAFETY: as above.
        #[cfg(target_arch = "arm")]
        unsafe {
            core::arch::asm!("udf #0", options(nomem, nostack));
        }
        // SAFETY: as above.
        #[cfg(any(target_arch = "riscv32", target_arch = "riscv64"))]
        unsafe {
            core::arch::asm!("ebreak", options(nomem, nostack));
        }
        core::hint::spin_loop();
    }
}

// The compiler asks for bcmp where it wants to know only whether bytes differ; memcmp answers that, too, and is among
// the four functions that a host has.
core::arch::global_asm!(".set bcmp, memcmp");
