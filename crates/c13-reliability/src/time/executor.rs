//! Runs futures in virtual time: one thread, to the nanosecond, the same every time.

use super::{Clock, Tick, VirtualTime};
use crate::sync::Random;
use pin_project_lite::pin_project;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::Duration;

/// Runs futures in virtual time, on this thread.
///
/// It polls every task that is ready before it moves the clock, and then moves it straight to the next deadline, so an
/// hour of waiting costs nothing. The same program gives the same run, always. With [`Executor::seeded`] ready tasks
/// are polled in an order that the seed decides, which is how a test tries many interleavings and prints the seed of
/// the one that failed.
///
/// Wakers may be used from other threads, but a run that waits for another thread is no longer deterministic.
///
/// ```
/// use c13_reliability::time::Executor;
/// use std::time::Duration;
///
/// let executor = Executor::new();
/// let clock = executor.clock();
/// let waited = executor.block_on(async move {
///     let start = clock.now();
///     clock.sleep(Duration::from_secs(3600)).await;
///     clock.now() - start
/// });
/// assert_eq!(waited, Duration::from_secs(3600));
/// ```
pub struct Executor {
    core: Rc<Core>,
}

struct Core {
    time: VirtualTime,
    ready: Arc<Ready>,
    tasks: RefCell<Vec<Task>>,
    free: RefCell<Vec<usize>>,
    next_number: Cell<u64>,
    polls: Cell<u64>,
    order: Option<Random>,
}

/// The block of the slab that a task lives in. Between tasks `number` names none.
#[derive(Default)]
struct Task {
    number: u64,
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
    waker: Option<Waker>,
}

pin_project! {
    /// The future of a task, and where its output goes. An `async` block would keep a second copy of the future.
    struct Spawned<F: Future> {
        #[pin]
        future: F,
        joined: Rc<RefCell<Joined<F::Output>>>,
    }
}

impl<F: Future> Future for Spawned<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let output = ready!(this.future.poll(cx));
        let waiting = {
            let mut joined = this.joined.borrow_mut();
            joined.output = Some(output);
            joined.done = true;
            joined.waiting.take()
        };
        if let Some(waker) = waiting {
            waker.wake();
        }
        Poll::Ready(())
    }
}

/// The task that [`Executor::block_on`] polls on its own stack.
const MAIN: usize = usize::MAX;

/// The tasks that are ready, first woken first.
#[derive(Default)]
struct Ready {
    queue: Mutex<VecDeque<Arc<TaskWaker>>>,
}

impl Ready {
    fn queue(&self) -> MutexGuard<'_, VecDeque<Arc<TaskWaker>>> {
        // No user code runs under this lock, so a poisoned one still holds a whole value.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pop(&self, order: Option<&Random>) -> Option<Arc<TaskWaker>> {
        let mut queue = self.queue();
        match order {
            Some(random) if queue.len() > 1 => {
                let pick = random.below(queue.len() as u64) as usize;
                queue.swap_remove_back(pick)
            }
            _ => queue.pop_front(),
        }
    }
}

struct TaskWaker {
    slot: usize,
    number: u64,
    queued: AtomicBool,
    ready: Arc<Ready>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        // AcqRel: what the waking thread wrote before is seen by the poll that clears the flag.
        if !self.queued.swap(true, Ordering::AcqRel) {
            let ready = self.ready.clone();
            ready.queue().push_back(self);
        }
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // AcqRel: as in `wake`.
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.ready.queue().push_back(self.clone());
        }
    }
}

impl Core {
    fn waker(&self, slot: usize, number: u64) -> Arc<TaskWaker> {
        Arc::new(TaskWaker {
            slot,
            number,
            queued: AtomicBool::new(false),
            ready: self.ready.clone(),
        })
    }

    fn number(&self) -> u64 {
        self.next_number.set(self.next_number.get() + 1);
        self.next_number.get()
    }

    // Inlined, so that a large future is moved to its box and nowhere before.
    #[inline]
    fn spawn<F: Future + 'static>(&self, future: F) -> JoinHandle<F::Output> {
        let joined = Rc::new(RefCell::new(Joined {
            output: None,
            waiting: None,
            done: false,
        }));
        self.start(Box::pin(Spawned {
            future,
            joined: joined.clone(),
        }));
        JoinHandle { joined }
    }

    fn start(&self, future: Pin<Box<dyn Future<Output = ()>>>) {
        let number = self.number();
        let slot = self.free.borrow_mut().pop().unwrap_or_else(|| {
            self.tasks.borrow_mut().push(Task::default());
            self.tasks.borrow().len() - 1
        });
        let waker = self.waker(slot, number);
        let task = Task {
            number,
            future: Some(future),
            waker: Some(waker.clone().into()),
        };
        self.tasks.borrow_mut()[slot] = task;
        waker.wake();
    }

    /// Polls one task that was woken. Returns whether it was the main one.
    fn poll(&self, woken: &TaskWaker) -> bool {
        // AcqRel: pairs with `wake`; from here on a wake queues the task again.
        woken.queued.swap(false, Ordering::AcqRel);
        if woken.slot == MAIN {
            return true;
        }
        let (mut future, waker) = {
            let mut tasks = self.tasks.borrow_mut();
            let task = &mut tasks[woken.slot];
            if task.number != woken.number {
                return false;
            }
            match (task.future.take(), task.waker.take()) {
                (Some(future), Some(waker)) => (future, waker),
                _ => return false,
            }
        };
        self.polls.set(self.polls.get() + 1);
        if future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            let mut tasks = self.tasks.borrow_mut();
            tasks[woken.slot].future = Some(future);
            tasks[woken.slot].waker = Some(waker);
        } else {
            self.tasks.borrow_mut()[woken.slot].number = 0;
            self.free.borrow_mut().push(woken.slot);
        }
        false
    }

    /// Polls what is ready until nothing is, or until the main task was woken.
    fn drain(&self) -> bool {
        while let Some(woken) = self.ready.pop(self.order.as_ref()) {
            if self.poll(&woken) {
                return true;
            }
        }
        false
    }
}

impl Executor {
    /// An executor whose clock stands at its origin; ready tasks are polled first woken, first served.
    #[must_use]
    pub fn new() -> Self {
        Self::with_order(None)
    }

    /// An executor that polls ready tasks in an order decided by `seed`, the same for the same seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self::with_order(Some(Random::new(seed)))
    }

    fn with_order(order: Option<Random>) -> Self {
        Self {
            core: Rc::new(Core {
                time: VirtualTime::new(),
                ready: Arc::default(),
                tasks: RefCell::default(),
                free: RefCell::default(),
                next_number: Cell::new(0),
                polls: Cell::new(0),
                order,
            }),
        }
    }

    /// A clock that shows this executor's time; waits on it end in virtual time.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.core.time.clock()
    }

    /// The time that it advances.
    #[must_use]
    pub fn time(&self) -> VirtualTime {
        self.core.time.clone()
    }

    /// A handle that starts tasks from inside other tasks.
    #[must_use]
    pub fn spawner(&self) -> Spawner {
        Spawner {
            core: Rc::downgrade(&self.core),
        }
    }

    /// Starts a task. It is polled when the executor next runs; dropping the handle lets it run on.
    #[inline]
    pub fn spawn<F: Future + 'static>(&self, future: F) -> JoinHandle<F::Output> {
        self.core.spawn(future)
    }

    /// Runs until `future` is done, and all other tasks meanwhile.
    ///
    /// # Panics
    ///
    /// If nothing is ready and no timer waits while `future` is not done: it would wait for ever. A panic in a task
    /// goes on through here.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        let main = self.core.waker(MAIN, self.core.number());
        let waker = Waker::from(main);
        waker.wake_by_ref();
        loop {
            while self.core.drain() {
                self.core.polls.set(self.core.polls.get() + 1);
                if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                    return output;
                }
            }
            match self.core.time.next_deadline() {
                Some(at) => self.core.time.advance_to(at),
                None => panic!(
                    "deadlock at {:?}: nothing is ready and no timer waits",
                    self.core.time.now()
                ),
            }
        }
    }

    /// Runs all tasks until none is ready and no timer waits.
    ///
    /// # Panics
    ///
    /// A panic in a task goes on through here.
    pub fn run_until_idle(&self) {
        loop {
            while self.core.drain() {}
            match self.core.time.next_deadline() {
                Some(at) => self.core.time.advance_to(at),
                None => return,
            }
        }
    }

    /// Runs all tasks until the clock shows `deadline`; what becomes ready at that very instant still runs.
    ///
    /// # Panics
    ///
    /// A panic in a task goes on through here.
    pub fn run_until(&self, deadline: Tick) {
        loop {
            while self.core.drain() {}
            match self.core.time.next_deadline() {
                Some(at) if at <= deadline => self.core.time.advance_to(at),
                _ => break,
            }
        }
        self.core.time.advance_to(deadline);
    }

    /// Runs all tasks for `duration` of virtual time; what becomes ready at the end of it still runs.
    ///
    /// # Panics
    ///
    /// A panic in a task goes on through here.
    pub fn run_for(&self, duration: Duration) {
        self.run_until(self.core.time.now() + duration);
    }

    /// How many times it has polled a task: the work of a run, and the same for the same run.
    #[must_use]
    pub fn polls(&self) -> u64 {
        self.core.polls.get()
    }

    /// How many tasks are not done.
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.core.tasks.borrow().iter().filter(|task| task.number != 0).count()
    }
}

impl Default for Executor {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        // Futures may hold handles to this executor and may start tasks while they are dropped; take them all out
        // first, so that nothing is borrowed while they go.
        loop {
            let tasks = std::mem::take(&mut *self.core.tasks.borrow_mut());
            self.core.free.borrow_mut().clear();
            self.core.ready.queue().clear();
            if tasks.is_empty() {
                return;
            }
            drop(tasks);
        }
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor")
            .field("now", &self.core.time.now())
            .field("tasks", &self.tasks())
            .finish()
    }
}

/// Starts tasks on an [`Executor`] from inside its tasks.
#[derive(Clone)]
pub struct Spawner {
    core: std::rc::Weak<Core>,
}

impl Spawner {
    /// Starts a task; it is polled after the tasks that are ready now.
    ///
    /// # Panics
    ///
    /// If the executor is gone.
    #[inline]
    pub fn spawn<F: Future + 'static>(&self, future: F) -> JoinHandle<F::Output> {
        self.core().spawn(future)
    }

    /// As [`spawn`](Self::spawn), for a task that nobody waits for: it takes less memory, for want of a handle.
    ///
    /// # Panics
    ///
    /// If the executor is gone.
    #[inline]
    pub fn spawn_detached<F: Future<Output = ()> + 'static>(&self, future: F) {
        self.core().start(Box::pin(future));
    }

    fn core(&self) -> Rc<Core> {
        let core = self.core.upgrade();
        core.expect("the executor outlives the tasks that start others")
    }
}

impl fmt::Debug for Spawner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spawner").finish_non_exhaustive()
    }
}

/// Waits for a task's output. Dropping it lets the task run on.
pub struct JoinHandle<T> {
    joined: Rc<RefCell<Joined<T>>>,
}

struct Joined<T> {
    output: Option<T>,
    waiting: Option<Waker>,
    done: bool,
}

impl<T> JoinHandle<T> {
    /// Whether the task is done.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.joined.borrow().done
    }

    /// The output, if the task is done and its output was not taken before.
    #[must_use]
    pub fn take(&self) -> Option<T> {
        self.joined.borrow_mut().output.take()
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let mut joined = self.joined.borrow_mut();
        match joined.output.take() {
            Some(output) => Poll::Ready(output),
            None => {
                joined.waiting = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("done", &self.is_done()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten tasks that wait and note when they ran; returns the order in which they did.
    fn trace(executor: &Executor) -> Vec<(u64, usize)> {
        let trace = Rc::new(RefCell::new(Vec::new()));
        for task in 0..10 {
            let (clock, trace) = (executor.clock(), trace.clone());
            executor.spawn(async move {
                for step in 0..5_u64 {
                    clock.sleep(Duration::from_nanos(step * 10)).await;
                    trace.borrow_mut().push((clock.now().as_nanos(), task));
                }
            });
        }
        executor.run_until_idle();
        Rc::try_unwrap(trace).expect("all tasks are done").into_inner()
    }

    #[test]
    fn a_detached_task_runs_to_its_end_in_its_turn() {
        let (executor, seen) = (Executor::new(), Rc::new(RefCell::new(Vec::new())));
        let (clock, spawner) = (executor.clock(), executor.spawner());
        let note = |name, wait| {
            let (clock, seen) = (clock.clone(), seen.clone());
            async move {
                clock.sleep(Duration::from_secs(wait)).await;
                seen.borrow_mut().push(name);
            }
        };
        spawner.spawn_detached(note("late", 2));
        executor.spawn(note("first", 1));
        spawner.spawn_detached(note("second", 1));
        executor.run_until_idle();
        assert_eq!(*seen.borrow(), ["first", "second", "late"]);
    }

    #[test]
    fn the_same_seed_gives_the_same_run_and_another_seed_another() {
        assert_eq!(trace(&Executor::new()), trace(&Executor::new()));
        assert_eq!(trace(&Executor::seeded(7)), trace(&Executor::seeded(7)));
        assert_ne!(trace(&Executor::seeded(7)), trace(&Executor::seeded(8)));
    }

    #[test]
    fn everything_ready_runs_before_the_clock_moves() {
        for seed in 0..50 {
            let run = trace(&Executor::seeded(seed));
            assert!(run.is_sorted_by_key(|(at, _)| *at), "seed {seed}: {run:?}");
        }
    }

    #[test]
    fn a_task_can_start_others_and_wait_for_them() {
        let executor = Executor::new();
        let (spawner, clock) = (executor.spawner(), executor.clock());
        let sum = executor.block_on(async move {
            let handles: Vec<_> = (0..4_u64)
                .map(|n| {
                    let clock = clock.clone();
                    spawner.spawn(async move {
                        clock.sleep(Duration::from_secs(n)).await;
                        n
                    })
                })
                .collect();
            let mut sum = 0;
            for handle in handles {
                sum += handle.await;
            }
            sum
        });
        assert_eq!(sum, 6);
        assert_eq!(executor.time().now(), Tick::ZERO + Duration::from_secs(3));
        assert_eq!(executor.tasks(), 0);
    }

    #[test]
    fn a_waker_of_a_finished_task_wakes_no_task() {
        let executor = Executor::new();
        let kept = Rc::new(RefCell::new(None));
        let slot = kept.clone();
        executor.spawn(std::future::poll_fn(move |cx| {
            *slot.borrow_mut() = Some(cx.waker().clone());
            Poll::Ready(())
        }));
        executor.run_until_idle();
        executor.spawn(std::future::pending::<()>());
        executor.run_until_idle();
        let polls = executor.polls();
        kept.borrow_mut().take().unwrap().wake();
        executor.run_until_idle();
        assert_eq!(executor.polls(), polls);
    }

    #[test]
    fn tasks_that_hold_the_executor_go_with_it() {
        let witness = Rc::new(());
        let executor = Executor::new();
        let (spawner, held) = (executor.spawner(), witness.clone());
        executor.spawn(async move {
            let _held = (spawner, held);
            std::future::pending::<()>().await;
        });
        executor.run_until_idle();
        drop(executor);
        assert_eq!(Rc::strong_count(&witness), 1);
    }

    #[test]
    fn a_run_stops_at_its_deadline_with_the_clock_on_it() {
        let executor = Executor::new();
        let clock = executor.clock();
        let late = executor.spawn(async move { clock.sleep(Duration::from_secs(2)).await });
        executor.run_for(Duration::from_millis(1_999));
        assert!(!late.is_done());
        executor.run_for(Duration::from_millis(1));
        assert!(late.is_done());
        assert_eq!(executor.time().now(), Tick::ZERO + Duration::from_secs(2));
    }

    #[test]
    #[should_panic(expected = "deadlock")]
    fn a_wait_that_nothing_can_end_is_called_a_deadlock() {
        Executor::new().block_on(std::future::pending::<()>());
    }
}
