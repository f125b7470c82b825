//! The spans in which threads work.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::{Inner, Span};

thread_local! {
    /// The spans that this thread has entered, the innermost last.
    static ENTERED: RefCell<Vec<Arc<Inner>>> = const { RefCell::new(Vec::new()) };
}

/// Returns the span in which this thread works.
pub(super) fn innermost() -> Option<Arc<Inner>> {
    ENTERED.with_borrow(|entered| entered.last().cloned())
}

/// The time in which a thread works in a span.
#[derive(Debug)]
#[must_use = "the thread works in the span until this is dropped"]
pub struct Entered<'a> {
    span: Option<&'a Arc<Inner>>,
    /// It belongs to the thread.
    thread: PhantomData<*const ()>,
}

impl<'a> Entered<'a> {
    pub(super) fn new(span: Option<&'a Arc<Inner>>) -> Self {
        if let Some(span) = span {
            ENTERED.with_borrow_mut(|entered| entered.push(span.clone()));
        }
        Self {
            span,
            thread: PhantomData,
        }
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let Some(span) = self.span else {
            return;
        };
        // The span need not be the innermost. It is dropped after the borrow has ended.
        let left = ENTERED.with_borrow_mut(|entered| {
            let position = entered.iter().rposition(|entered| Arc::ptr_eq(entered, span))?;
            Some(entered.remove(position))
        });
        drop(left);
    }
}

/// Futures that work in a span.
pub trait Instrument: Sized {
    /// Returns a future that works in `span` whenever it is polled. The span ends no earlier than the future is
    /// dropped.
    fn instrument(self, span: Span) -> Instrumented<Self> {
        Instrumented {
            inner: Some(self),
            span,
        }
    }
}

impl<T: Future> Instrument for T {}

pin_project! {
    /// A future that works in a span, also while it is dropped.
    #[derive(Debug)]
    pub struct Instrumented<T> {
        // `None` only while this is dropped.
        #[pin]
        inner: Option<T>,
        span: Span,
    }

    impl<T> PinnedDrop for Instrumented<T> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let _entered = this.span.enter();
            this.inner.set(None);
        }
    }
}

impl<T: Future> Future for Instrumented<T> {
    type Output = T::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let _entered = this.span.enter();
        match this.inner.as_pin_mut() {
            Some(inner) => inner.poll(context),
            None => Poll::Pending,
        }
    }
}
