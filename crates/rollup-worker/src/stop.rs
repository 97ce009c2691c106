//! The request to stop after the transaction under way.

use tokio::sync::watch;

/// A request to stop, shared by whoever may make it and the run that obeys it.
#[derive(Debug, Clone)]
pub struct Stop(watch::Sender<bool>);

impl Default for Stop {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Stop {
    /// Asks the run to stop.
    pub fn request(&self) {
        self.0.send_replace(true);
    }

    /// Waits until someone asks for it.
    pub async fn requested(&self) {
        // It cannot close: the sender is in `self`.
        let _ = self.0.subscribe().wait_for(|requested| *requested).await;
    }
}
