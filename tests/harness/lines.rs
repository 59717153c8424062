//! A client that speaks lines, as the logic of `tests/fixtures/echo.rs` does.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::patience::PATIENCE;

/// What both kinds of socket can do.
pub trait Socket: Read + Write + Send {
    /// The same socket once more; neither waits for longer than [`PATIENCE`].
    fn twin(&self) -> Box<dyn Socket>;
    /// Ends one direction or both.
    fn shut(&self, how: Shutdown);
    /// Reads give up after so many milliseconds.
    fn wait_at_most(&self, ms: u64);
}

macro_rules! socket {
    ($stream:ty) => {
        impl Socket for $stream {
            fn twin(&self) -> Box<dyn Socket> {
                self.set_read_timeout(Some(PATIENCE)).unwrap();
                self.set_write_timeout(Some(PATIENCE)).unwrap();
                Box::new(self.try_clone().unwrap())
            }
            fn shut(&self, how: Shutdown) {
                // It fails when the other end has gone before.
                let _ = self.shutdown(how);
            }
            fn wait_at_most(&self, ms: u64) {
                let _ = self.set_read_timeout(Some(Duration::from_millis(ms)));
            }
        }
    };
}
socket!(UnixStream);
socket!(TcpStream);

/// A client that speaks lines.
pub struct Lines {
    pub writer: Box<dyn Socket>,
    pub reader: BufReader<Box<dyn Socket>>,
}

impl Lines {
    /// Over a connected socket.
    pub fn new(socket: impl Socket + 'static) -> Self {
        let reader = BufReader::new(socket.twin());
        Self { writer: Box::new(socket), reader }
    }

    /// Connects to a port of this machine.
    pub fn tcp(port: u16) -> Self {
        Self::new(TcpStream::connect(("127.0.0.1", port)).unwrap())
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, text: impl AsRef<[u8]>) {
        self.writer.write_all(text.as_ref()).unwrap();
    }

    /// The next line of replies, without its end. Empty when the server has closed.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(_) => line.trim_end().to_owned(),
            Err(e) if e.kind() == ErrorKind::ConnectionReset => String::new(),
            Err(e) => panic!("no reply: {e}"),
        }
    }

    /// Sends a line and reads one.
    pub fn ask(&mut self, line: &str) -> String {
        self.send(format!("{line}\n"));
        self.line()
    }

    /// Worker and id.
    pub fn address(&mut self) -> (u32, u64) {
        let who = self.ask("who");
        let mut words = who.split(' ');
        (words.next().unwrap().parse().unwrap(), words.next().unwrap().parse().unwrap())
    }

    /// `connections rejected reads writes batches bytes_in bytes_out clients`
    pub fn stats(&mut self) -> Vec<u64> {
        self.ask("stats").split(' ').map(|n| n.parse().unwrap()).collect()
    }

    /// Reads until the server closes. Returns how many bytes came.
    pub fn read_to_close(&mut self) -> u64 {
        let (mut total, mut chunk) = (0, vec![0; 1 << 16]);
        loop {
            match self.reader.read(&mut chunk) {
                Ok(0) => return total,
                Ok(n) => total += n as u64,
                Err(e) if e.kind() == ErrorKind::ConnectionReset => return total,
                Err(e) => panic!("the server did not close: {e}"),
            }
        }
    }
}
