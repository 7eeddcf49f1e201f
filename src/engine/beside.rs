//! Work beside other work, on one task: background steps and services go on while steps run.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

/// Work that goes on.
type Running<'a, T> = Vec<Pin<Box<dyn Future<Output = T> + Send + 'a>>>;

/// Futures that are polled while something else is awaited.
pub(super) struct Beside<'a, T> {
    /// Never locked: the mutex only lets a reference to the set go to another thread.
    running: Mutex<Running<'a, T>>,
    done: Vec<T>,
}

impl<T> Default for Beside<'_, T> {
    fn default() -> Self {
        Beside { running: Mutex::default(), done: Vec::new() }
    }
}

impl<'a, T> Beside<'a, T> {
    fn running(&mut self) -> &mut Running<'a, T> {
        self.running.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds work; it begins when something is awaited next.
    pub(super) fn push(&mut self, work: impl Future<Output = T> + Send + 'a) {
        self.running().push(Box::pin(work));
    }

    /// Takes over the work of another set.
    pub(super) fn append(&mut self, other: &mut Beside<'a, T>) {
        self.running().append(other.running());
        self.done.append(&mut other.done);
    }

    /// What has come to an end since the last call.
    pub(super) fn take_done(&mut self) -> Vec<T> {
        std::mem::take(&mut self.done)
    }

    fn poll_all(&mut self, cx: &mut Context<'_>) {
        let Beside { running, done } = self;
        let running = running.get_mut().unwrap_or_else(PoisonError::into_inner);
        running.retain_mut(|work| match work.as_mut().poll(cx) {
            Poll::Ready(end) => {
                done.push(end);
                false
            }
            Poll::Pending => true,
        });
    }

    /// Awaits something, with the work going on beside it.
    pub(super) async fn during<F: Future>(&mut self, other: F) -> F::Output {
        if self.running().is_empty() {
            return other.await;
        }
        let mut other = pin!(other);
        poll_fn(|cx| {
            self.poll_all(cx);
            other.as_mut().poll(cx)
        })
        .await
    }

    /// Awaits the end of all work.
    pub(super) async fn finish(&mut self) {
        poll_fn(|cx| {
            self.poll_all(cx);
            if self.running().is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn work_goes_on_beside_other_work() {
        let mut beside = Beside::default();
        beside.push(async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            1
        });
        beside.push(std::future::pending());
        let got = beside.during(async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            2
        });
        assert_eq!(got.await, 2);
        assert_eq!(beside.take_done(), [1]);
    }
}
