//! The threads that hash and that wait for the disk, so that nobody else does.
//!
//! Law: jobs are bounded by whoever gives them; the engine's budgets see to that.

use std::sync::{Arc, mpsc};
use std::thread;

type Job = Box<dyn FnOnce() + Send>;

/// A fixed number of threads that take jobs in order.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    jobs: mpsc::Sender<Job>,
}

impl Pool {
    /// Starts as many threads as there are cores, and two more that may wait for the disk meanwhile.
    #[expect(clippy::disallowed_types, reason = "the rim: threads share one queue")]
    pub(crate) fn start() -> Self {
        let (jobs, queue) = mpsc::channel::<Job>();
        let queue = Arc::new(std::sync::Mutex::new(queue));
        let threads = thread::available_parallelism().map_or(2, usize::from) + 2;
        for number in 0..threads {
            let queue = Arc::clone(&queue);
            let work = move || {
                loop {
                    let job = queue.lock().expect("no job runs under the lock").recv();
                    match job {
                        Ok(job) => job(),
                        Err(mpsc::RecvError) => return,
                    }
                }
            };
            thread::Builder::new()
                .name(format!("disk-{number}"))
                .spawn(work)
                .expect("a program that just started can start a thread");
        }
        Self { jobs }
    }

    /// Runs a job when a thread is free.
    pub(crate) fn run(&self, job: impl FnOnce() + Send + 'static) {
        self.jobs.send(Box::new(job)).expect("the threads live as long as the pool");
    }
}
