//! The socket that plugins ask at: one request and one answer for each connection.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use podbond_agent_socket::{
    Answer, Error as SocketError, HEADER_BYTES, Refusal, RefusalReason, Request, decode_request,
    encode_answer, request_length,
};
use podbond_faults::point;
use rustix::fs::Mode;
use rustix::process::umask;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::error::Error;

/// How many plugins are answered at once; the others wait.
const AT_ONCE: usize = 64;

/// How long a plugin may take to ask, and to take the answer.
const IO_TIMEOUT: Duration = Duration::from_secs(5);

/// What a test calls the points of an exchange.
pub(crate) const POINT: &str = "exchange";

/// What answers requests.
pub(crate) trait Responder: Send + Sync + 'static {
    /// Returns the answer to a request.
    fn answer(&self, request: Request) -> impl Future<Output = Answer> + Send;
}

/// Listens at a path, which only root may connect to. What an agent that was killed left there is removed.
pub(crate) fn listen(path: &Path) -> Result<UnixListener, Error> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).map_err(Error::file("create", dir))?;
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Error::file("remove", path)(error));
        }
        _ => {}
    }
    let before = umask(Mode::RWXG | Mode::RWXO | Mode::XUSR);
    let listener = UnixListener::bind(path);
    umask(before);
    listener.map_err(Error::file("listen at", path))
}

/// Answers plugins for as long as the agent runs.
pub(crate) async fn serve(listener: UnixListener, responder: Arc<impl Responder>) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a plugin cannot be answered");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let responder = Arc::clone(&responder);
        tokio::spawn(async move {
            if let Err(error) = exchange(stream, &*responder).await {
                tracing::warn!(%error, "an exchange with a plugin has failed");
            }
            drop(place);
        });
    }
}

async fn exchange(mut stream: UnixStream, responder: &impl Responder) -> io::Result<()> {
    let Some(request) = timeout(IO_TIMEOUT, read(&mut stream)).await?? else { return Ok(()) };
    point(POINT, &"a request is read");
    let answer = match request {
        Ok(request) => responder.answer(request).await,
        Err(error) => Answer::Refused(refused(&error)),
    };
    let frame = match encode_answer(&answer) {
        Ok(frame) => frame,
        Err(error) => encode_answer(&Answer::Refused(refused(&error))).unwrap_or_default(),
    };
    point(POINT, &"an answer is there");
    let written = timeout(IO_TIMEOUT, stream.write_all(&frame)).await?;
    point(POINT, &"an answer is written");
    written
}

/// Returns the request of a connection, or why it is none; nothing of one that is closed without a word, as the
/// readiness probe does.
async fn read(stream: &mut UnixStream) -> io::Result<Option<Result<Request, SocketError>>> {
    let mut header = [0; HEADER_BYTES];
    if stream.read(&mut header[..1]).await? == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut header[1..]).await?;
    let length = match request_length(header) {
        Ok(length) => length,
        Err(error) => return Ok(Some(Err(error))),
    };
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Some(decode_request(&body)))
}

fn refused(error: &SocketError) -> Refusal {
    let (reason, message) = match error {
        SocketError::Newer { theirs } => {
            let message = format!(
                "the plugin speaks version {theirs}, which this podbond-agent does not: renew podbond-agent on \
                 this node"
            );
            (RefusalReason::Version, message)
        }
        error => (RefusalReason::Other, error.to_string()),
    };
    Refusal { reason, message }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use podbond_agent_socket::{Client, PodId, Report, Reported, Written};

    use super::*;

    struct Told;

    impl Responder for Told {
        async fn answer(&self, _: Request) -> Answer {
            Answer::Reported(Reported { written: Written::Written, reason: None })
        }
    }

    #[tokio::test]
    async fn plugin_is_answered_at_a_socket_of_root_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/agent.sock");
        fs::create_dir(dir.path().join("run")).unwrap();
        fs::write(&path, "what a killed agent left").unwrap();
        let listener = listen(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let serving = tokio::spawn(serve(listener, Arc::new(Told)));
        let reported = tokio::task::spawn_blocking(move || {
            let pod =
                PodId { namespace: "demo".parse().unwrap(), name: "p".parse().unwrap(), uid: None };
            Client::new(path).report(Report { pod, container_id: "c1".to_owned() })
        });
        assert_eq!(reported.await.unwrap().unwrap().written, Written::Written);
        serving.abort();
    }

    #[test]
    fn newer_plugin_is_told_which_to_renew() {
        let refusal = refused(&SocketError::Newer { theirs: 9 });
        assert_eq!(refusal.reason, RefusalReason::Version);
        assert!(refusal.message.contains("renew podbond-agent"), "{}", refusal.message);
    }
}
