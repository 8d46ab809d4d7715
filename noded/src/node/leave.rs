//! How a node leaves its cluster for good.

use std::time::Duration;

use proto::link::FromNode;
use tokio::sync::mpsc;
use tracing::{error, info};

use super::{Node, NodeError};
use crate::calls;
use crate::launcher;
use crate::link::Heard;

/// How long a node that leaves for good waits for its word to be heard.
const LEAVE_WAIT: Duration = Duration::from_secs(3);

impl Node {
    /// Stops all tasks, and says goodbye.
    pub(super) async fn leave(&mut self, heard: &mut mpsc::Receiver<Heard>) -> Result<(), NodeError> {
        info!("leaving the cluster");
        let folder = self.settings.folder.clone();
        let stopped = tokio::task::spawn_blocking(move || launcher::stop(&folder)).await;
        stopped.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
        calls::close(&self.settings);
        let Some(sender) = self.to_controller.take() else { return Ok(()) };
        if sender.send(FromNode::Leave).await.is_err() {
            return Ok(());
        }
        let gone = async {
            while let Some(said) = heard.recv().await {
                if matches!(said, Heard::Lost) {
                    break;
                }
            }
        };
        if tokio::time::timeout(LEAVE_WAIT, gone).await.is_err() {
            error!("the controller has not taken the goodbye");
        }
        Ok(())
    }
}
