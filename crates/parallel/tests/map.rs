//! What `Workers::map` promises, with and without tokens.

// A test that cannot go on ends in a panic, its helpers too.
#![allow(clippy::unwrap_used)]

mod pool;

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use kbt_parallel::{Panic, Workers};
use pool::Pool;

/// A cost at which every task is worth a worker.
fn dear<T>(_: &T) -> Duration {
    Duration::from_secs(1)
}

fn of(workers: usize) -> NonZeroUsize {
    NonZeroUsize::new(workers).unwrap()
}

/// With a pool that has a token for each worker beyond the first.
fn with_pool(workers: usize) -> (Workers, Pool) {
    let pool = Pool::new(workers - 1);
    (Workers::with_tokens(of(workers), pool.clone()), pool)
}

#[derive(Debug, PartialEq)]
enum Failure {
    Task(usize),
    Panic(Panic),
}

impl From<Panic> for Failure {
    fn from(panic: Panic) -> Self {
        Self::Panic(panic)
    }
}

fn visits_each_once(workers: &Workers, tasks: usize) {
    let visits: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
    let numbers: Vec<usize> = (0..tasks).collect();
    let step = |&number: &usize| -> Result<usize, Failure> {
        visits[number].fetch_add(1, Ordering::Relaxed);
        // So that workers meet.
        thread::yield_now();
        Ok(number * 3)
    };
    let results = workers.map(&numbers, dear, step).unwrap();
    assert_eq!(results, numbers.iter().map(|number| number * 3).collect::<Vec<_>>());
    assert!(visits.iter().all(|count| count.load(Ordering::Relaxed) == 1), "{visits:?}");
}

#[test]
fn every_number_of_workers_visits_each_task_once() {
    for workers in 1..=9 {
        for tasks in 0..=64 {
            visits_each_once(&Workers::new(of(workers)), tasks);
            let (with_tokens, pool) = with_pool(workers);
            visits_each_once(&with_tokens, tasks);
            assert_eq!(pool.free(), workers - 1, "{workers} workers, {tasks} tasks");
        }
    }
}

/// So long is waited for what has to happen, however loaded the machine is; only a failure takes it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until something is so, or until a time.
fn wait_until(deadline: Instant, is_so: impl Fn() -> bool) {
    while !is_so() && Instant::now() < deadline {
        thread::sleep(Duration::from_micros(200));
    }
}

/// The most steps that were ever at work at once. Steps wait for each other until there are as many as expected.
fn most_at_once(workers: &Workers, tasks: usize, expected: usize) -> usize {
    let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let deadline = Instant::now() + PATIENCE;
    let step = |_: &usize| -> Result<(), Failure> {
        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        wait_until(deadline, || most.load(Ordering::SeqCst) >= expected);
        // Time for one too many.
        thread::sleep(Duration::from_millis(5));
        now.fetch_sub(1, Ordering::SeqCst);
        Ok(())
    };
    workers.map(&(0..tasks).collect::<Vec<_>>(), dear, step).unwrap();
    most.into_inner()
}

#[test]
fn as_many_as_allowed_and_no_more() {
    assert_eq!(most_at_once(&Workers::new(of(5)), 20, 5), 5);
    assert_eq!(most_at_once(&with_pool(5).0, 20, 5), 5);
}

#[test]
fn tokens_are_the_bound() {
    let pool = Pool::new(2);
    let workers = Workers::with_tokens(of(8), pool.clone());
    assert_eq!(most_at_once(&workers, 20, 3), 3);
    assert_eq!((pool.free(), pool.most_held()), (2, 2));
}

#[test]
fn without_a_free_token_the_first_worker_does_it_all() {
    let workers = Workers::with_tokens(of(8), Pool::new(0));
    assert_eq!(most_at_once(&workers, 10, 1), 1);
}

#[test]
fn small_work_takes_no_thread_and_no_token() {
    let (workers, pool) = with_pool(4);
    let here = thread::current().id();
    // It takes longer than it was said to, so that others would have the time to join.
    let step = |_: &usize| -> Result<bool, Failure> {
        thread::sleep(Duration::from_millis(1));
        Ok(thread::current().id() == here)
    };
    let tasks: Vec<usize> = (0..64).collect();
    let results = workers.map(&tasks, |_| Duration::from_micros(100), step).unwrap();
    assert!(results.iter().all(|own| *own));
    assert_eq!(pool.most_held(), 0);
}

#[test]
fn tokens_freed_midway_are_used() {
    let pool = Pool::new(0);
    let workers = Workers::with_tokens(of(4), pool.clone());
    let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let deadline = Instant::now() + PATIENCE;
    let step = |&number: &usize| -> Result<(), Failure> {
        match number {
            // Long enough for the naps between two questions to be at their longest.
            0..20 => thread::sleep(Duration::from_millis(5)),
            20 => pool.add(3),
            _ => {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                wait_until(deadline, || most.load(Ordering::SeqCst) == 4);
                now.fetch_sub(1, Ordering::SeqCst);
            }
        }
        Ok(())
    };
    workers.map(&(0..80).collect::<Vec<_>>(), dear, step).unwrap();
    assert_eq!(most.into_inner(), 4);
    assert_eq!((pool.free(), pool.most_held()), (3, 3));
}

#[test]
fn a_token_is_offered_to_others_every_chunk() {
    let pool = Pool::new(1);
    let workers = Workers::with_tokens(of(2), pool.clone());
    let here = thread::current().id();
    let deadline = Instant::now() + PATIENCE;
    let steps: Vec<AtomicUsize> = (0..500).map(|_| AtomicUsize::new(0)).collect();
    let step = |_: &usize| -> Result<(), Failure> {
        if thread::current().id() == here {
            wait_until(deadline, || pool.taken() >= 10);
        } else {
            // The token's number: there is but one at a time.
            steps[pool.taken()].fetch_add(1, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    };
    workers.map(&(0..200).collect::<Vec<_>>(), dear, step).unwrap();
    assert!(pool.taken() >= 10, "{}", pool.taken());
    // A chunk is of 5 ms, and a step takes at least one of them; a slow machine does fewer.
    let most = steps.iter().map(|count| count.load(Ordering::Relaxed)).max().unwrap();
    assert!((1..=5).contains(&most), "{most} steps with one token");
}

#[test]
fn the_token_goes_back_when_the_tasks_are_dry() {
    let pool = Pool::new(1);
    let workers = Workers::with_tokens(of(2), pool.clone());
    let (begun, free_at_the_end) = (AtomicUsize::new(0), AtomicUsize::new(9));
    let here = thread::current().id();
    let deadline = Instant::now() + PATIENCE;
    let step = |_: &usize| -> Result<(), Failure> {
        begun.fetch_add(1, Ordering::SeqCst);
        // One task for each.
        wait_until(deadline, || begun.load(Ordering::SeqCst) == 2);
        // The first worker is long at its task, the second is not: then its token is free.
        if thread::current().id() == here {
            wait_until(deadline, || pool.free() == 1);
            free_at_the_end.store(pool.free(), Ordering::SeqCst);
        }
        Ok(())
    };
    workers.map(&[0, 1], dear, step).unwrap();
    assert_eq!(free_at_the_end.into_inner(), 1);
    assert_eq!(pool.taken(), 1);
}

#[test]
fn the_first_failure_in_order_is_told() {
    for workers in 1..=9 {
        let (with_tokens, pool) = with_pool(workers);
        for workers in [Workers::new(of(workers)), with_tokens] {
            let step = |&number: &usize| {
                // The later failure comes first in time.
                match number {
                    3 => thread::sleep(Duration::from_millis(4)),
                    _ => thread::sleep(Duration::from_micros(200)),
                }
                if number == 3 || number == 5 { Err(Failure::Task(number)) } else { Ok(()) }
            };
            let tasks: Vec<usize> = (0..40).collect();
            assert_eq!(workers.map(&tasks, dear, step), Err(Failure::Task(3)));
        }
        assert_eq!(pool.free(), workers - 1);
    }
}

#[test]
fn a_failure_stops_the_others_at_their_next_task() {
    let (begun, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let deadline = Instant::now() + PATIENCE;
    let step = |&number: &usize| {
        begun.fetch_add(1, Ordering::Relaxed);
        if number == 0 {
            failed.store(1, Ordering::SeqCst);
            return Err(Failure::Task(0));
        }
        wait_until(deadline, || failed.load(Ordering::SeqCst) == 1);
        // Time for the failure to be known.
        thread::sleep(Duration::from_millis(100));
        Ok(())
    };
    let tasks: Vec<usize> = (0..1000).collect();
    assert_eq!(Workers::new(of(4)).map(&tasks, dear, step), Err(Failure::Task(0)));
    assert!(begun.into_inner() <= 8);
}

#[test]
fn a_panic_is_an_error_and_tokens_come_back() {
    for workers in [1, 2, 4] {
        let (workers, pool) = with_pool(workers);
        let step = |&number: &usize| -> Result<(), Failure> {
            thread::sleep(Duration::from_millis(2));
            assert!(number != 7, "seven");
            Ok(())
        };
        let result = workers.map(&(0..20).collect::<Vec<_>>(), dear, step);
        assert_eq!(result, Err(Failure::Panic(Panic { task: 7, message: "seven".to_owned() })));
        assert_eq!(pool.free(), workers.limit().get() - 1);
    }
}

#[test]
fn a_broken_source_is_told_and_the_work_is_done() {
    let pool = Pool::new(3);
    pool.break_after(1);
    let workers = Workers::with_tokens(of(4), pool.clone());
    visits_each_once(&workers, 64);
    let mut faults = workers.take_faults();
    // Where the first worker was faster than the other thread nobody asked twice.
    for _ in 0..100 {
        if faults.acquire.is_some() {
            break;
        }
        most_at_once(&workers, 8, 1);
        faults = workers.take_faults();
    }
    assert_eq!(faults.acquire.unwrap().to_string(), "broken");
    assert_eq!((pool.free(), faults.lost), (3, 0));
}

#[test]
fn a_lost_token_is_told() {
    let pool = Pool::new(2);
    pool.refuse_releases();
    let workers = Workers::with_tokens(of(3), pool.clone());
    most_at_once(&workers, 12, 3);
    let faults = workers.take_faults();
    assert_eq!((faults.lost, pool.free()), (2, 0));
    assert_eq!(faults.release.unwrap().to_string(), "full");
    assert_eq!(workers.take_faults().lost, 0, "told once");
}
