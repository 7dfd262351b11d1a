//! A pass of the publisher that goes on call by call.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Condvar, Mutex, OnceLock},
    task::{Context, Poll, Wake, Waker},
};

use rescind::facade::{
    ca::Ca,
    core::time::Timestamp,
    stories::publish::{self, Options, Outcome, PublishError},
};

/// Set when a call to a store came back.
#[derive(Default)]
struct Bell(Mutex<bool>, Condvar);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        *self.0.lock().unwrap() = true;
        self.1.notify_all();
    }
}

/// It is dropped as a killed process is.
pub struct Pass {
    future: Pin<Box<dyn Future<Output = Result<Outcome, PublishError>>>>,
    bell: Arc<Bell>,
    pub done: Option<Result<Outcome, PublishError>>,
    /// The model's version when it began.
    pub began: usize,
}

pub fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap()
    })
}

impl Pass {
    pub fn new(ca: &Ca, force: bool, now: Timestamp, began: usize) -> Self {
        let ca = ca.clone();
        let options = Options {
            force,
            ..Options::default()
        };
        let future = Box::pin(async move { publish::publish(&ca, None, options, now).await });
        Self {
            future,
            bell: Arc::default(),
            done: None,
            began,
        }
    }

    /// Goes on until the next call came back; what it did has happened, and nobody knows yet.
    pub fn turn(&mut self) {
        if self.done.is_some() {
            return;
        }
        let _here = runtime().enter();
        let waker = Waker::from(Arc::clone(&self.bell));
        match self.future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(done) => self.done = Some(done),
            Poll::Pending => {
                let mut rang = self.bell.0.lock().unwrap();
                while !*rang {
                    rang = self.bell.1.wait(rang).unwrap();
                }
                *rang = false;
            }
        }
    }
}
