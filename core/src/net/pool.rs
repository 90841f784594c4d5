//! The threads that hash and that wait for the disk, so that nobody else does.
//!
//! Law: jobs are bounded by whoever gives them; the engine's budgets see to that.

use std::thread;

use crossbeam_channel::Sender;

type Job = Box<dyn FnOnce() + Send>;

/// A fixed number of threads that take jobs in order.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    jobs: Sender<Job>,
}

impl Pool {
    /// Starts as many threads as there are cores, and two more that may wait for the disk meanwhile.
    pub(crate) fn start() -> Self {
        let (jobs, queue) = crossbeam_channel::unbounded::<Job>();
        let threads = thread::available_parallelism().map_or(2, usize::from) + 2;
        for number in 0..threads {
            let queue = queue.clone();
            let work = move || queue.iter().for_each(|job| job());
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
