//! The admin API's client.

use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, CONTENT_TYPE};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::admin::{NDJSON, socket};
use crate::refusal::{Code, Refusal};
use crate::upgrade::Update;

/// How long a server may take until it begins to answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// A server's admin socket.
pub struct Client {
    socket: PathBuf,
    /// Of the server that is meant, if it was not named by its socket.
    port: Option<u16>,
}

impl Client {
    /// The one at `socket`.
    pub fn at(socket: PathBuf) -> Self {
        Self { socket, port: None }
    }

    /// The one of this user's server of a port.
    pub fn of(port: u16) -> Self {
        Self { socket: socket::default_path(port), port: Some(port) }
    }

    /// Asks for a value.
    ///
    /// # Errors
    /// `no_server`, `shutting_down`, `forbidden`, `internal`, or the server's.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Refusal> {
        self.ask(Method::GET, path, String::new())
    }

    /// Asks for something to be done, and for what came of it.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn post<T: DeserializeOwned>(&self, path: &str) -> Result<T, Refusal> {
        self.ask(Method::POST, path, String::new())
    }

    /// As [`Client::post`], with what is asked for as a value.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn post_value<T: DeserializeOwned>(
        &self,
        path: &str,
        value: &impl Serialize,
    ) -> Result<T, Refusal> {
        self.ask(Method::POST, path, serde_json::to_string(value).unwrap_or_default())
    }

    fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: String,
    ) -> Result<T, Refusal> {
        block_on(async {
            let answer = self.send(method, path, body).await?;
            let is_value = answer.status().is_success();
            let body = answer.into_body().collect().await;
            let body = body.map_err(|e| self.unanswered(&e))?.to_bytes();
            if !is_value {
                return Err(self.refused(&body));
            }
            serde_json::from_slice(&body).map_err(|e| self.broken(&e))
        })
    }

    /// Asks for an upgrade and hands on its updates, in order, until the last.
    ///
    /// # Errors
    /// As [`Client::get`]. An upgrade that was refused is an update, not an error.
    pub fn updates(
        &self,
        path: &str,
        body: String,
        mut take: impl FnMut(Update),
    ) -> Result<(), Refusal> {
        block_on(async {
            let answer = self.send(Method::POST, path, body).await?;
            let mut body = answer.into_body();
            let mut pending = Vec::new();
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|e| self.unanswered(&e))?;
                pending.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
                while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = pending.drain(..=end).collect();
                    take(serde_json::from_slice(&line).map_err(|e| self.broken(&e))?);
                }
            }
            // What is no line is an error that came before the upgrade began.
            if pending.is_empty() { Ok(()) } else { Err(self.refused(&pending)) }
        })
    }

    /// Asks for a body without end and hands on its bytes, until `take` breaks it off.
    ///
    /// # Errors
    /// As [`Client::get`]; `cut_off` when the server has broken it off, `no_server` or `shutting_down` when it ended.
    pub fn bytes(
        &self,
        path: &str,
        mut take: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), Refusal> {
        let is_whole = block_on(async {
            let answer = self.send(Method::GET, path, String::new()).await?;
            let is_value = answer.status().is_success();
            let mut body = answer.into_body();
            if !is_value {
                let text = body.collect().await.map_err(|e| self.broken(&e))?.to_bytes();
                return Err(self.refused(&text));
            }
            while let Some(frame) = body.frame().await {
                let Ok(frame) = frame else { return Ok(false) };
                if take(frame.data_ref().map_or(&[][..], |data| data)).is_break() {
                    break;
                }
            }
            Ok(true)
        })?;
        if is_whole {
            return Ok(());
        }
        // Whoever still answers has broken it off on purpose.
        self.get::<serde_json::Value>("/v1/status")?;
        Err(Refusal::new(Code::CutOff, "this reader was too slow and has lost its place"))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: String,
    ) -> Result<Response<Incoming>, Refusal> {
        let answer = tokio::time::timeout(ANSWER_MAX, self.exchange(method, path, body)).await;
        answer.unwrap_or_else(|_| {
            let socket = self.socket.display();
            let text = format!("the server at {socket} has not answered within {ANSWER_MAX:?}");
            Err(Refusal::new(Code::NoAnswer, text))
        })
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: String,
    ) -> Result<Response<Incoming>, Refusal> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|e| self.unreachable(&e))?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|e| self.unanswered(&e))?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header(ACCEPT, NDJSON)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::<Bytes>::from(body))
            .map_err(|e| self.broken(&e))?;
        sender.send_request(request).await.map_err(|e| self.unanswered(&e))
    }

    /// No answer has come. A server that stops takes connections that it no longer answers.
    fn unanswered(&self, error: &hyper::Error) -> Refusal {
        if error.is_parse() {
            return self.broken(error);
        }
        let text = format!("the server at {} stops: {error}", self.socket.display());
        Refusal::new(Code::ShuttingDown, text)
    }

    fn refused(&self, body: &[u8]) -> Refusal {
        match serde_json::from_slice(body) {
            Ok(Update::Error(refusal)) => refusal,
            _ => self.broken(&String::from_utf8_lossy(body)),
        }
    }

    fn unreachable(&self, error: &std::io::Error) -> Refusal {
        let (code, what) = match error.kind() {
            ErrorKind::PermissionDenied => (Code::Forbidden, "may not be used"),
            _ => (Code::NoServer, "has no server behind it"),
        };
        let mut text = format!("{} {what}: {error}", self.socket.display());
        // The superuser may administer them all, but finds none by the port alone.
        let others = self.port.map_or(vec![], socket::of_others);
        if code == Code::NoServer && !others.is_empty() {
            let paths: Vec<_> = others.iter().map(|path| path.display().to_string()).collect();
            text += &format!("; there is another user's: --admin {}", paths.join(", --admin "));
        }
        Refusal::new(code, text)
    }

    fn broken(&self, error: &dyn std::fmt::Display) -> Refusal {
        let message = format!("the server at {} answered: {error}", self.socket.display());
        Refusal::new(Code::Internal, message)
    }
}

fn block_on<T>(work: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Refusal::new(Code::Io, format!("no runtime: {e}")))?;
    runtime.block_on(work)
}
