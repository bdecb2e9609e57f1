//! Tokens of real pools, taken and given back.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed set-up is a failed test")]

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use kbt_jobserver::{Auth, Claim, Client, Escrow, Jobserver, MakeFlags, Server, Unusable};

/// A pool of each style; the directory has to outlive the FIFO.
fn pools(tokens: usize) -> Vec<(Option<tempfile::TempDir>, Server)> {
    let room = tempfile::tempdir().unwrap();
    let fifo = Server::fifo(&room.path().join("a pool"), tokens).unwrap();
    vec![(Some(room), fifo), (None, Server::pipe(tokens).unwrap())]
}

fn client(server: &Server) -> Client {
    let makeflags = MakeFlags::with_auth(b"", server.auth(), 1);
    match Jobserver::from_makeflags(&makeflags) {
        Jobserver::Usable(client) => client,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn unusable(makeflags: &str) -> String {
    match Jobserver::from_makeflags(makeflags.as_bytes()) {
        Jobserver::Unusable(reason) => reason.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_token_goes_back_however_it_ends() {
    for (_room, server) in pools(2) {
        let client = client(&server);
        let first = client.try_acquire().unwrap().expect("two are free");
        let second = client.try_acquire().unwrap().expect("one is free");
        assert!(client.try_acquire().unwrap().is_none(), "none is free");
        assert_eq!((client.free().unwrap(), server.missing().unwrap()), (0, 2));
        first.release().unwrap();
        assert_eq!(client.free().unwrap(), 1);
        drop(second);
        assert_eq!((client.free().unwrap(), server.missing().unwrap(), client.lost()), (2, 0, 0));
    }
}

#[test]
fn tokens_in_an_escrow_are_in_no_memory() {
    for (_room, server) in pools(3) {
        let escrow = Escrow::new(client(&server), 2).unwrap();
        assert_eq!(escrow.take(0).unwrap(), 0);
        assert_eq!((escrow.take(1).unwrap(), server.missing().unwrap()), (1, 1));
        assert_eq!((escrow.take(9).unwrap(), escrow.take(9).unwrap()), (2, 0), "none is free");
        assert_eq!(server.missing().unwrap(), 3);
        escrow.give_back().unwrap();
        assert_eq!(server.missing().unwrap(), 2);
        escrow.give_back_all().unwrap();
        assert_eq!(server.missing().unwrap(), 0);
        // Nothing lies there: nothing is given.
        escrow.give_back().unwrap();
        escrow.give_back_all().unwrap();
        assert_eq!((server.missing().unwrap(), server.surplus().unwrap()), (0, 0));
    }
}

#[test]
fn an_escrow_leaves_the_pool_as_it_was() {
    // More than the 16 places of a pipe, many times: make can still write all of its tokens.
    for (_room, server) in pools(200) {
        let client = client(&server);
        let escrow = Escrow::new(client.clone(), 200).unwrap();
        for round in 0..20 {
            let at_once = if round % 2 == 0 { 1 } else { usize::MAX };
            while escrow.take(at_once).unwrap() > 0 {}
            assert_eq!(client.free().unwrap(), 0, "there is room for all");
            escrow.give_back_all().unwrap();
            assert_eq!(client.free().unwrap(), 200);
        }
        for _ in 0..200 {
            client.return_byte(b'+').unwrap();
        }
        assert_eq!(client.free().unwrap(), 400);
    }
}

#[test]
fn an_escrow_takes_a_large_pool_at_once() {
    // More than a pipe of a megabyte has places for bytes of their own.
    for (_room, server) in pools(5000) {
        let escrow = Escrow::new(client(&server), 1).unwrap();
        assert_eq!((escrow.take(usize::MAX).unwrap(), server.missing().unwrap()), (5000, 5000));
        escrow.give_back_all().unwrap();
        assert_eq!((server.missing().unwrap(), server.surplus().unwrap()), (0, 0));
        // One by one there is room for as many as the system allows, which is well above what a pipe has unasked.
        let escrow = Escrow::new(client(&server), 5000).unwrap();
        assert!((0..200).all(|_| escrow.take(1).unwrap() == 1));
        escrow.give_back_all().unwrap();
        assert_eq!((server.missing().unwrap(), server.surplus().unwrap()), (0, 0));
    }
}

#[test]
fn the_bytes_in_an_escrow_go_back() {
    let room = tempfile::tempdir().unwrap();
    let server = Server::fifo(&room.path().join("pool"), 0).unwrap();
    let client = client(&server);
    for byte in [b'a', 0, 255] {
        client.return_byte(byte).unwrap();
    }
    let escrow = Escrow::new(client.clone(), 3).unwrap();
    assert_eq!(escrow.take(2).unwrap(), 2);
    assert_eq!(escrow.take(2).unwrap(), 1);
    escrow.give_back_all().unwrap();
    let tokens = client.acquire_free(3).unwrap();
    assert_eq!(tokens.iter().map(kbt_jobserver::Token::byte).collect::<Vec<_>>(), [b'a', 0, 255]);
}

#[test]
fn the_byte_that_was_read_goes_back() {
    let room = tempfile::tempdir().unwrap();
    let server = Server::fifo(&room.path().join("pool"), 0).unwrap();
    let client = client(&server);
    for byte in [b'a', 0, 255] {
        client.return_byte(byte).unwrap();
    }
    let mut claim = Claim::of(Some(client.clone()));
    claim.open(usize::MAX).unwrap();
    assert_eq!(claim.bytes(), [b'a', 0, 255]);
    claim.close().unwrap();
    claim.open(2).unwrap();
    assert_eq!(claim.bytes(), [b'a', 0], "as they went back");
    assert_eq!(server.surplus().unwrap(), 1);
}

#[test]
fn a_claim_opens_once_and_closes_once() {
    for (_room, server) in pools(3) {
        let client = client(&server);
        let mut claim = Claim::of(Some(client.clone()));
        assert_eq!(claim.parallelism(), None);
        claim.open(2).unwrap();
        claim.open(9).unwrap();
        assert_eq!((claim.parallelism().unwrap().get(), client.free().unwrap()), (3, 1));
        claim.close().unwrap();
        claim.close().unwrap();
        assert_eq!((claim.parallelism(), client.free().unwrap()), (None, 3));
        claim.open(9).unwrap();
        drop(claim);
        assert_eq!((client.free().unwrap(), server.surplus().unwrap()), (3, 0));
    }
}

#[test]
fn without_a_jobserver_nothing_is_claimed() {
    assert!(matches!(Jobserver::from_makeflags(b"kw -j1"), Jobserver::None));
    let mut claim = Claim::of(None);
    claim.open(9).unwrap();
    assert_eq!(claim.parallelism(), None);
    claim.close().unwrap();
}

#[test]
fn waiting_ends_with_a_token_or_with_the_time() {
    for (_room, server) in pools(1) {
        let client = client(&server);
        let held = client.try_acquire().unwrap().unwrap();
        let start = Instant::now();
        assert!(client.acquire_timeout(Duration::from_millis(30)).unwrap().is_none());
        assert!(start.elapsed() >= Duration::from_millis(30));
        let waiter = std::thread::spawn({
            let client = client.clone();
            move || client.acquire_timeout(Duration::from_secs(60)).unwrap().is_some()
        });
        std::thread::sleep(Duration::from_millis(20));
        held.release().unwrap();
        assert!(waiter.join().unwrap());
        assert_eq!(client.free().unwrap(), 1);
    }
}

#[test]
fn many_clients_lose_nothing() {
    for (_room, server) in pools(3) {
        let holders = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let client = client(&server);
                    for _ in 0..200 {
                        let token = client.acquire_timeout(Duration::from_secs(60)).unwrap().unwrap();
                        let now = holders.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
                        assert!(now <= 3, "{now} hold a token of three");
                        holders.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                        drop(token);
                    }
                });
            }
        });
        assert_eq!((server.missing().unwrap(), server.surplus().unwrap()), (0, 0));
    }
}

#[test]
fn what_is_no_pool_is_refused_with_its_reason() {
    let file = File::open("/proc/self/status").unwrap();
    let directory = File::open("/").unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    let (other, _writer) = std::io::pipe().unwrap();
    let [file, directory, read, write, other] =
        [file.as_raw_fd(), directory.as_raw_fd(), reader.as_raw_fd(), writer.as_raw_fd(), other.as_raw_fd()];
    let says = |auth: &str| unusable(&format!("-j2 --jobserver-auth={auth}"));
    assert_eq!(says("9998,9999"), "descriptor 9998 is not open");
    assert_eq!(says(&format!("{read},9999")), "descriptor 9999 is not open");
    let expected = format!("descriptor {file} is a regular file instead of a pipe");
    assert_eq!(says(&format!("{file},{write}")), expected);
    let expected = format!("descriptor {directory} is a directory instead of a pipe");
    assert_eq!(says(&format!("{directory},{write}")), expected);
    assert_eq!(says(&format!("{write},{write}")), format!("descriptor {write} is not open to read"));
    assert_eq!(says(&format!("{read},{read}")), format!("descriptor {read} is not open to write"));
    let expected = format!("descriptors {other} and {write} are not the ends of one pipe");
    assert_eq!(says(&format!("{other},{write}")), expected);
    assert_eq!(says("three,4"), "--jobserver-auth has the unknown value 'three,4'");
    assert_eq!(says("fifo:/nope"), "cannot open /nope: No such file or directory");
    assert_eq!(says("fifo:/"), "/ is a directory instead of a FIFO");
}

#[test]
fn the_flags_of_what_was_inherited_stay() {
    let (reader, writer) = std::io::pipe().unwrap();
    let fd = |fd: i32| u32::try_from(fd).unwrap();
    let auth = Auth::Pipe { read: fd(reader.as_raw_fd()), write: fd(writer.as_raw_fd()) };
    let before = rustix::fs::fcntl_getfl(&reader).unwrap();
    let client = Client::open(&auth).unwrap();
    assert!(client.try_acquire().unwrap().is_none(), "an empty pool does not block");
    assert_eq!(rustix::fs::fcntl_getfl(&reader).unwrap(), before);
}

#[test]
fn a_fifo_is_gone_with_its_server_and_a_path_is_not_taken_over() {
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("pool");
    drop(Server::fifo(&path, 1).unwrap());
    assert!(!path.exists());
    std::fs::write(&path, "mine").unwrap();
    assert!(Server::fifo(&path, 1).is_err());
    assert_eq!(std::fs::read(&path).unwrap(), b"mine");
}

#[test]
fn more_tokens_than_a_pipe_holds_are_refused() {
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("pool");
    assert!(Server::fifo(&path, 1 << 24).is_err());
    assert_eq!(std::fs::read_dir(room.path()).unwrap().count(), 0);
    assert!(Server::pipe(1 << 24).is_err());
}

#[test]
fn every_token_of_a_large_pool_can_come_back() {
    // As many as a pipe has room for unasked, less a page, more than that, and about as many as a user may have.
    for tokens in [61_440, 61_441, 65_536, 1_000_000] {
        for (_room, server) in pools(tokens) {
            let client = client(&server);
            for _ in 0..5000 {
                client.try_acquire().unwrap().unwrap().release().unwrap();
            }
            assert_eq!((server.missing().unwrap(), server.surplus().unwrap()), (0, 0), "{tokens}");
        }
    }
}

#[test]
fn a_path_need_not_be_text() {
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join(Path::new(std::ffi::OsStr::from_bytes(b"\xe4 \\x")));
    let server = Server::fifo(&path, 1).unwrap();
    assert_eq!(client(&server).free().unwrap(), 1);
    let reason = Client::open(&Auth::Fifo(b"/\xe4".to_vec())).unwrap_err();
    assert!(matches!(reason, Unusable::Io { .. }));
}
