//! Updates of an upgrade as the body of an answer: a JSON object a line.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame};
use tokio::sync::mpsc;

use crate::upgrade::Update;

/// The body. It ends with the upgrade; an asker that hangs up does not stop one.
pub struct Lines {
    updates: mpsc::Receiver<Update>,
}

impl Lines {
    /// Writes a line for each of `updates`.
    pub fn new(updates: mpsc::Receiver<Update>) -> Self {
        Self { updates }
    }
}

impl Body for Lines {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.updates.poll_recv(context).map(|update| {
            let update = update?;
            let mut line = serde_json::to_vec(&update).unwrap_or_default();
            line.push(b'\n');
            Some(Ok(Frame::data(line.into())))
        })
    }
}
