//! The thread that tries libraries out, in processes of their own.
//!
//! It is one of its own because of its priority. What is done for bytes that are known can wait for
//! an idle moment; a trial has a time limit, and is not to run into it because the server is busy.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::logic::image::Image;
use crate::logic::verify::Verdict;
use crate::logic::verify::parent::Verifier;
use crate::priority;
use crate::refusal::{Code, Refusal};

/// Work for the thread, and how it ended. It ends when this is dropped.
pub struct Trials {
    images: SyncSender<Arc<Image>>,
    verdicts: Receiver<Result<Verdict, Refusal>>,
}

impl Trials {
    /// Starts the thread. To be called by one that is no nicer.
    ///
    /// # Errors
    /// If the system has no thread for it.
    pub fn start(verifier: Verifier) -> std::io::Result<Self> {
        let (images, arriving) = sync_channel::<Arc<Image>>(1);
        let (done, verdicts) = sync_channel(1);
        let work = move || {
            priority::give_way(priority::LOW);
            while let Ok(image) = arriving.recv() {
                if done.send(verifier.verify(&image)).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("trials".to_owned()).spawn(work)?;
        Ok(Self { images, verdicts })
    }

    /// Tries an image out, and waits for the end of it.
    ///
    /// # Errors
    /// As [`Verifier::verify`]; `internal` if the thread is gone.
    pub fn verify(&self, image: &Arc<Image>) -> Result<Verdict, Refusal> {
        let gone = || Refusal::new(Code::Internal, "the thread that tries libraries out is gone");
        self.images.send(Arc::clone(image)).map_err(|_| gone())?;
        self.verdicts.recv().unwrap_or_else(|_| Err(gone()))
    }
}
