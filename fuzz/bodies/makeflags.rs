//! MAKEFLAGS: no panic, and what is written for a child is read back as it was meant, variables untouched.

use kbt_jobserver::{Auth, Jobs, MakeFlags};

/// One input.
pub fn run(bytes: &[u8]) {
    let flags = MakeFlags::parse(bytes);
    // Some path: what was named, or the input itself.
    let auth = flags.auth.unwrap_or_else(|| Auth::Fifo(bytes.to_vec()));
    let made = MakeFlags::with_auth(bytes, &auth, 3);
    let again = MakeFlags::parse(&made);
    assert_eq!(again, MakeFlags { jobs: Some(Jobs::Count(3)), auth: Some(auth.clone()) });
    assert_eq!(MakeFlags::with_auth(&made, &auth, 3), made, "a second time changes nothing");
}
