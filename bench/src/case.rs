//! A case: what is measured, under a name, in a group.

use crate::stamp;

/// Runs one thread's share of a case.
pub(crate) trait Runner: Send {
    /// Makes `calls` calls.
    fn batch(&mut self, calls: u64);
    /// Makes one call for each entry of `ticks`, and notes what the time-stamp counter says it took.
    fn one_by_one(&mut self, ticks: &mut [u32]);
}

struct Call<F>(F);

impl<F: FnMut() + Send> Runner for Call<F> {
    #[inline(never)]
    fn batch(&mut self, calls: u64) {
        for _ in 0..calls {
            (self.0)();
        }
    }

    #[inline(never)]
    fn one_by_one(&mut self, ticks: &mut [u32]) {
        for ticks in ticks {
            let before = stamp::read();
            (self.0)();
            let after = stamp::read();
            *ticks = u32::try_from(after.wrapping_sub(before)).unwrap_or(u32::MAX);
        }
    }
}

/// Something that is measured.
pub(crate) struct Case {
    /// `GROUP/NAME`: what `list` prints and the tables and baselines refer to.
    pub(crate) name: String,
    /// Ours, so that its counts have a baseline.
    pub(crate) ours: bool,
    /// At most this many threads can share it.
    pub(crate) threads: usize,
    /// The size of the future of one call, where there is one.
    pub(crate) future_bytes: Option<usize>,
    /// Its instructions are not counted: it touches so much memory that valgrind takes minutes, or depends on chance.
    pub(crate) uncounted: bool,
    make: Box<dyn Fn(usize) -> Vec<Box<dyn Runner>>>,
}

impl Case {
    /// A runner for each of `threads` threads, over one shared instance.
    pub(crate) fn runners(&self, threads: usize) -> Vec<Box<dyn Runner>> {
        (self.make)(threads)
    }

    /// The only runner of one thread.
    pub(crate) fn runner(&self) -> Box<dyn Runner> {
        self.runners(1).pop().expect("one runner was asked for")
    }

    /// Cannot be shared: measured with one thread only.
    #[cfg(feature = "peers")]
    pub(crate) fn single(&mut self) -> &mut Self {
        self.threads = 1;
        self
    }

    /// States the size of one call's future.
    pub(crate) fn future(&mut self, bytes: usize) -> &mut Self {
        self.future_bytes = Some(bytes);
        self
    }

    /// Keeps it out of the counts.
    pub(crate) fn uncounted(&mut self) -> &mut Self {
        self.uncounted = true;
        self
    }
}

/// All cases, in the order in which they are measured.
#[derive(Default)]
pub(crate) struct Cases(pub(crate) Vec<Case>);

impl Cases {
    /// A case of ours: `setup` builds what is shared, `call` one thread's call on it.
    pub(crate) fn ours<S: 'static, F: FnMut() + Send + 'static>(
        &mut self,
        name: &str,
        setup: impl Fn() -> S + 'static,
        call: impl Fn(&S, usize) -> F + 'static,
    ) -> &mut Case {
        self.add(name, true, setup, call)
    }

    /// A case of ours that is measured like the others, but whose counts have no baseline yet.
    pub(crate) fn timed<S: 'static, F: FnMut() + Send + 'static>(
        &mut self,
        name: &str,
        setup: impl Fn() -> S + 'static,
        call: impl Fn(&S, usize) -> F + 'static,
    ) -> &mut Case {
        self.add(name, true, setup, call).uncounted()
    }

    /// A case of somebody else's, or of the machine itself.
    pub(crate) fn other<S: 'static, F: FnMut() + Send + 'static>(
        &mut self,
        name: &str,
        setup: impl Fn() -> S + 'static,
        call: impl Fn(&S, usize) -> F + 'static,
    ) -> &mut Case {
        self.add(name, false, setup, call)
    }

    fn add<S: 'static, F: FnMut() + Send + 'static>(
        &mut self,
        name: &str,
        ours: bool,
        setup: impl Fn() -> S + 'static,
        call: impl Fn(&S, usize) -> F + 'static,
    ) -> &mut Case {
        debug_assert!(
            self.0.iter().all(|case| case.name != name),
            "two cases are called {name}"
        );
        self.0.push(Case {
            name: name.to_owned(),
            ours,
            threads: 2,
            future_bytes: None,
            uncounted: false,
            make: Box::new(move |threads| {
                let shared = setup();
                let runner = |thread| Box::new(Call(call(&shared, thread))) as Box<dyn Runner>;
                (0..threads).map(runner).collect()
            }),
        });
        self.0.last_mut().expect("one was pushed")
    }
}
