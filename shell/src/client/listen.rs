//! Listening sockets: opening them as the settings say, and accepting from them.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{
    self, AddressFamily, SocketAddrAny, SocketAddrUnix, SocketFlags, SocketType, sockopt,
};

use super::open::Accepted;

/// Probes without an answer after which a silent peer is given up.
const KEEPALIVE_PROBES: u32 = 3;

/// Where to listen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// TCP port; 0: no TCP.
    pub port: u16,
    /// Host names and addresses; `*` and `::*` are all of a family; a leading `-` means that an
    /// address this machine lacks is passed over.
    pub bind: Vec<String>,
    /// Path of the Unix socket.
    pub unix_path: Option<PathBuf>,
    /// Permissions of the Unix socket; 0: as the umask says.
    pub unix_mode: u32,
    /// Length of the queues of connections not yet accepted.
    pub backlog: i32,
}

/// Why the server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address is not known on this machine.
    #[error("cannot resolve bind address '{0}'; give an IP address or a name this machine knows")]
    Resolve(String),
    /// The address is taken or not ours.
    #[error("cannot listen on {address}: {source}; is another server using it?")]
    Bind {
        /// Address or path.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// Neither a port nor a Unix socket is set.
    #[error("nowhere to listen: set a port or a unixsocket")]
    Nowhere,
}

/// An open listening socket.
#[derive(Debug)]
pub struct Listener {
    fd: OwnedFd,
    unix_path: Option<PathBuf>,
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Opens all sockets, or none.
pub fn open_all(endpoints: &Endpoints) -> Result<Vec<Listener>, ListenError> {
    let mut listeners = Vec::new();
    if endpoints.port != 0 {
        for bind in &endpoints.bind {
            open_tcp(bind, endpoints, &mut listeners)?;
        }
    }
    if let Some(path) = &endpoints.unix_path {
        listeners.push(open_unix(path, endpoints)?);
    }
    if listeners.is_empty() { Err(ListenError::Nowhere) } else { Ok(listeners) }
}

fn open_tcp(bind: &str, endpoints: &Endpoints, out: &mut Vec<Listener>) -> Result<(), ListenError> {
    let (name, optional) = match bind.strip_prefix('-') {
        Some(name) => (name, true),
        None => (bind, false),
    };
    let resolved = resolve(name, endpoints.port);
    if resolved.is_empty() && !optional {
        return Err(ListenError::Resolve(name.to_owned()));
    }
    for address in resolved {
        match listen_tcp(address, endpoints.backlog) {
            Ok(fd) => out.push(Listener { fd, unix_path: None }),
            Err(Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT) if optional => {}
            Err(error) => return Err(bind_error(address.to_string(), error)),
        }
    }
    Ok(())
}

fn resolve(name: &str, port: u16) -> Vec<SocketAddr> {
    match name {
        "*" => vec![SocketAddr::from(([0, 0, 0, 0], port))],
        "::*" => vec![SocketAddr::from(([0u16; 8], port))],
        // The first address only, as for a name with several the others are often the same host.
        name => {
            (name, port).to_socket_addrs().ok().and_then(|mut a| a.next()).into_iter().collect()
        }
    }
}

fn bind_error(address: String, error: Errno) -> ListenError {
    ListenError::Bind { address, source: error.into() }
}

fn socket(family: AddressFamily) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    net::socket_with(family, SocketType::STREAM, flags, None)
}

/// Listening sockets that the server before has left.
static INHERITED: Mutex<Vec<OwnedFd>> = Mutex::new(Vec::new());

fn inherited() -> MutexGuard<'static, Vec<OwnedFd>> {
    INHERITED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes over listening sockets: what is to be listened on next goes on with them, where it can.
pub fn inherit(listeners: Vec<OwnedFd>) {
    *inherited() = listeners;
}

/// Closes those that were taken over and are of no use.
pub fn give_up_inherited() {
    inherited().clear();
}

/// What was taken over of one that listens at a path: it may have had several descriptors.
pub fn inherited_at(path: &Path) -> Option<OwnedFd> {
    let mut all = std::iter::from_fn(|| take_inherited(|name| is_path(name, path)));
    let first = all.next();
    all.for_each(drop);
    first
}

/// As [`inherited_at`], of one at an address.
pub fn inherited_to(address: SocketAddr) -> Option<OwnedFd> {
    let is_it = |name: &SocketAddrAny| SocketAddr::try_from(name.clone()) == Ok(address);
    let mut all = std::iter::from_fn(|| take_inherited(is_it));
    let first = all.next();
    all.for_each(drop);
    first
}

fn take_inherited(is_it: impl Fn(&SocketAddrAny) -> bool) -> Option<OwnedFd> {
    let mut all = inherited();
    let at = all.iter().position(|fd| net::getsockname(fd).is_ok_and(|name| is_it(&name)))?;
    Some(all.swap_remove(at))
}

fn is_path(name: &SocketAddrAny, path: &Path) -> bool {
    SocketAddrUnix::try_from(name.clone())
        .is_ok_and(|name| name.path_bytes() == Some(path.as_os_str().as_bytes()))
}

fn listen_tcp(address: SocketAddr, backlog: i32) -> Result<OwnedFd, Errno> {
    let is_it = |name: &SocketAddrAny| SocketAddr::try_from(name.clone()) == Ok(address);
    if let Some(fd) = take_inherited(is_it) {
        return Ok(fd);
    }
    let fd = if address.is_ipv4() {
        socket(AddressFamily::INET)?
    } else {
        let fd = socket(AddressFamily::INET6)?;
        sockopt::set_ipv6_v6only(&fd, true)?;
        fd
    };
    sockopt::set_socket_reuseaddr(&fd, true)?;
    net::bind(&fd, &address)?;
    net::listen(&fd, backlog)?;
    Ok(fd)
}

fn open_unix(path: &Path, endpoints: &Endpoints) -> Result<Listener, ListenError> {
    let failed = |error: Errno| bind_error(path.display().to_string(), error);
    if let Some(fd) = take_inherited(|name| is_path(name, path)) {
        return Ok(Listener { fd, unix_path: Some(path.to_owned()) });
    }
    let address = SocketAddrUnix::new(path).map_err(failed)?;
    remove_stale(path);
    let fd = socket(AddressFamily::UNIX).map_err(failed)?;
    net::bind(&fd, &address).map_err(failed)?;
    let listener = Listener { fd, unix_path: Some(path.to_owned()) };
    if endpoints.unix_mode != 0 {
        let mode = std::fs::Permissions::from_mode(endpoints.unix_mode);
        std::fs::set_permissions(path, mode)
            .map_err(|source| ListenError::Bind { address: path.display().to_string(), source })?;
    }
    net::listen(&listener.fd, endpoints.backlog).map_err(failed)?;
    Ok(listener)
}

/// Removes the socket that a server left which was killed. Any other file stays, and is in the way.
fn remove_stale(path: &Path) {
    if std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        // If it stays, `bind` says so.
        let _ = std::fs::remove_file(path);
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(path) = &self.unix_path {
            // It may have been removed by hand; then there is nothing left to do.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// What came of trying to accept.
#[derive(Debug)]
pub enum Accept {
    /// A connection, with no id yet.
    One(Accepted),
    /// Nobody waits any more.
    Empty,
    /// The process is out of descriptors or memory: try again later.
    Exhausted(io::Error),
}

impl Listener {
    /// Accepts one connection.
    pub fn accept(&self) -> Accept {
        loop {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            match net::acceptfrom_with(&self.fd, flags) {
                Ok((fd, peer)) => return Accept::One(self.describe(fd, peer)),
                Err(Errno::AGAIN) => return Accept::Empty,
                Err(e @ (Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)) => {
                    return Accept::Exhausted(e.into());
                }
                // The peer is gone already, or a signal came: there may be others.
                Err(_) => {}
            }
        }
    }

    fn describe(&self, fd: OwnedFd, peer: Option<SocketAddrAny>) -> Accepted {
        if let Some(path) = &self.unix_path {
            let name = format!("{}:0", path.display());
            return Accepted {
                id: 0,
                fd,
                peer: name.clone(),
                local: name,
                unix: true,
                from_here: true,
            };
        }
        describe_tcp(fd, peer)
    }
}

fn describe_tcp(fd: OwnedFd, peer: Option<SocketAddrAny>) -> Accepted {
    let peer = peer.and_then(|p| SocketAddr::try_from(p).ok());
    let local = net::getsockname(&fd).ok().and_then(|l| SocketAddr::try_from(l).ok());
    let text = |a: Option<SocketAddr>| a.map_or_else(|| "?:0".to_owned(), |a| a.to_string());
    let from_here = peer.is_some_and(|p| is_loopback(p.ip()));
    Accepted { id: 0, fd, peer: text(peer), local: text(local), unix: false, from_here }
}

/// A TCP connection that the server before has accepted and done nothing with. None: it is no more.
pub fn describe_inherited(fd: OwnedFd) -> Option<Accepted> {
    let peer = net::getpeername(&fd).ok()??;
    SocketAddr::try_from(peer.clone()).ok()?;
    Some(describe_tcp(fd, Some(peer)))
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

/// Sets what every TCP client gets: no delay, and probes every `keepalive_s` seconds (0: none).
/// A socket that refuses is left as it is; it will show in its first read.
pub fn tune(fd: impl AsFd, keepalive_s: u64) {
    let fd = fd.as_fd();
    let _ = sockopt::set_tcp_nodelay(fd, true);
    // An urgent byte is counted by TCP: it is to be read as any other.
    let _ = sockopt::set_socket_oobinline(fd, true);
    if keepalive_s == 0 {
        return;
    }
    let interval = Duration::from_secs((keepalive_s / u64::from(KEEPALIVE_PROBES)).max(1));
    let _ = sockopt::set_socket_keepalive(fd, true)
        .and_then(|()| sockopt::set_tcp_keepidle(fd, Duration::from_secs(keepalive_s)))
        .and_then(|()| sockopt::set_tcp_keepintvl(fd, interval))
        .and_then(|()| sockopt::set_tcp_keepcnt(fd, KEEPALIVE_PROBES));
}
