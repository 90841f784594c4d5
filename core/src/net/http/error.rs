//! Why a request brought nothing.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

/// Why a request brought nothing. Hosts are named, whole URLs are not: they may hold a password or a passkey.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The answer broke off, or is not HTTP.
    #[error("{host} broke off its answer")]
    Broken {
        /// Who answered.
        host: String,
        /// The innermost reason.
        source: Cause,
    },
    /// The caller's token was cancelled.
    #[error("the request was cancelled")]
    Cancelled,
    /// No connection, or none that is secure.
    #[error("connect to {host}")]
    Connect {
        /// Who was to answer.
        host: String,
        /// The innermost reason.
        source: Cause,
    },
    /// A redirect leads from https to http.
    #[error("{host} redirects from https to http")]
    Downgrade {
        /// Who redirects.
        host: String,
    },
    /// The answer is compressed in a way that was not asked for.
    #[error("{host} answers in the encoding {encoding:?}; want none or gzip")]
    Encoding {
        /// Who answered.
        host: String,
        /// What it says of its answer.
        encoding: String,
    },
    /// A file of ours.
    #[error("keep the download in `{}`", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A header of the caller's that cannot be sent.
    #[error("header {name:?} holds a byte that no header can hold")]
    Header {
        /// Its name.
        name: String,
    },
    /// A web page where a file was wanted.
    #[error("{host} answers with a web page in place of the file")]
    Html {
        /// Who answered.
        host: String,
    },
    /// The file is whole, and not what the caller wants.
    #[error("{host} {reason}")]
    Refused {
        /// Who sent it.
        host: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The file has another length than was promised.
    #[error("{host} has a file of {got} bytes; want {want}")]
    Length {
        /// Who answered.
        host: String,
        /// The file's length.
        got: u64,
        /// The length that the caller expects.
        want: u64,
    },
    /// The host has no address of the wanted family.
    #[error("{host} has no address")]
    NoAddress {
        /// The host's name.
        host: String,
    },
    /// A stranger's URL, redirect or name leads into a private network.
    #[error("{host} is at {addr}, which a public site may not refer to")]
    OutOfReach {
        /// The host as the URL has it.
        host: String,
        /// Where it is.
        addr: IpAddr,
    },
    /// A stranger's name that belongs to a private network, of which nobody here can say where the proxy takes it.
    #[error("{host} is a name of a private network, which a public site may not refer to")]
    PrivateName {
        /// The host as the URL has it.
        host: String,
    },
    /// The client could not be made.
    #[error("prepare the HTTP client")]
    Prepare {
        /// The innermost reason.
        source: Cause,
    },
    /// No connection to the proxy.
    #[error("reach the proxy {proxy}")]
    Proxy {
        /// Which one, without user and password.
        proxy: String,
        /// The innermost reason.
        source: Cause,
    },
    /// Too many redirects, perhaps in a circle.
    #[error("{host} redirects for the {count}th time")]
    Redirects {
        /// Who redirects.
        host: String,
        /// How often it was followed, and once more.
        count: usize,
    },
    /// The host's name is not known.
    #[error("look up {host}")]
    Resolve {
        /// The host's name.
        host: String,
        /// The innermost reason.
        source: Cause,
    },
    /// Neither http nor https.
    #[error("only http and https can be fetched, not {scheme:?}")]
    Scheme {
        /// The URL's scheme.
        scheme: String,
    },
    /// An answer that is not the file.
    #[error("{host} answers with status {status}")]
    Status {
        /// Who answered.
        host: String,
        /// The HTTP status code.
        status: u16,
        /// When the server wishes to be asked again, if it says so in seconds.
        retry_after: Option<Duration>,
    },
    /// No answer, or a part of it, in time.
    #[error("{host} does not answer in time")]
    Timeout {
        /// Who was to answer.
        host: String,
    },
    /// The proxy is there, and brings no connection.
    #[error("reach {host} through the proxy {proxy}")]
    ThroughProxy {
        /// Who was to answer.
        host: String,
        /// Which proxy, without user and password.
        proxy: String,
        /// The innermost reason.
        source: Cause,
    },
    /// More bytes than the caller allows.
    #[error("{host} answers with more than {limit} bytes")]
    TooLarge {
        /// Who answered.
        host: String,
        /// What the caller allows.
        limit: u64,
    },
    /// The URL is malformed.
    #[error("the URL is malformed")]
    Url {
        /// What is wrong with it.
        #[from]
        source: url::ParseError,
    },
}

/// The innermost reason of a failure below us, in its own words.
#[derive(Debug)]
pub struct Cause(String);

impl Cause {
    /// The end of `error`'s chain: what is before it names the layers it came through.
    pub(super) fn of(error: &(dyn Error + 'static)) -> Self {
        let innermost = chain(error).last().unwrap_or(error);
        Self(innermost.to_string())
    }

    /// A reason of our own.
    pub(super) fn says(reason: &str) -> Self {
        Self(reason.to_owned())
    }

    /// A body of `got` bytes, short of the `want` that were promised.
    pub(super) fn early(got: u64, want: u64) -> Self {
        Self(format!("it ended after {got} of {want} bytes"))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Cause {}

/// What the resolver says through the layers above it.
#[derive(Debug, thiserror::Error)]
pub(in crate::net) enum LookupError {
    #[error("look up {host}")]
    Failed { host: String, source: io::Error },
    #[error("{host} has no address")]
    NoAddress { host: String },
    #[error("{host} is at {addr}")]
    OutOfReach { host: String, addr: IpAddr },
}

impl HttpError {
    /// Sorts out what became of a request to `url`, or of its answer's body.
    pub(super) fn of_request(url: &Url, error: &reqwest::Error) -> Self {
        let host = host_of(url);
        if let Some(lookup) = chain(error).find_map(|error| error.downcast_ref::<LookupError>()) {
            return match lookup {
                LookupError::Failed { host, source } => Self::Resolve { host: host.clone(), source: Cause::of(source) },
                LookupError::NoAddress { host } => Self::NoAddress { host: host.clone() },
                LookupError::OutOfReach { host, addr } => Self::OutOfReach { host: host.clone(), addr: *addr },
            };
        }
        let source = Cause::of(error);
        match error {
            error if error.is_timeout() => Self::Timeout { host },
            error if error.is_connect() => Self::Connect { host, source },
            _ => Self::Broken { host, source },
        }
    }
}

/// `error` and what is behind it.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// The host of `url`, with the port if it names one.
pub(super) fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}
