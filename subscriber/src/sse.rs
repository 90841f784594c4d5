//! Reads a stream of server-sent events.
//!
//! Bytes go in as they come, cut anywhere; whole [`Event`]s come out. A line or an event that grows beyond
//! [`MAX_EVENT`] is an error, since what sends it is no publisher.
//!
//! Knows nothing of HTTP: who reads the bytes also reconnects, with [`Parser::last_id`] and after
//! [`Parser::retry`].
//!
//! Law: any split of the bytes gives the same events.
//!
//! Source: WHATWG HTML, "Server-sent events", the sections on parsing and interpreting an event stream.

use std::collections::VecDeque;
use std::time::Duration;

/// Bytes that one line, or all data of one event, may have.
pub const MAX_EVENT: usize = 64 * 1024;

/// One event of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What kind it is; `message` where the stream names none.
    pub kind: String,
    /// The data lines, joined by line feeds.
    pub data: String,
}

/// A line or an event is longer than [`MAX_EVENT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the event stream sends an event of more than {MAX_EVENT} bytes")]
pub struct TooLong;

/// Turns the bytes of one connection into events.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    /// The last byte was a carriage return: a line feed that follows belongs to it.
    after_return: bool,
    /// A byte order mark may still come.
    started: bool,
    kind: String,
    data: String,
    has_data: bool,
    pending_id: Option<String>,
    last_id: Option<String>,
    retry: Option<Duration>,
    events: VecDeque<Event>,
}

impl Parser {
    /// A parser for a new connection that goes on after `last_id`.
    pub fn new(last_id: Option<String>) -> Self {
        Self { pending_id: last_id.clone(), last_id, ..Self::default() }
    }

    /// Reads more bytes; complete events then wait in [`Parser::poll`].
    pub fn handle(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        for &byte in bytes {
            match byte {
                b'\n' if self.after_return => self.after_return = false,
                b'\n' | b'\r' => {
                    self.after_return = byte == b'\r';
                    let line = std::mem::take(&mut self.line);
                    self.end_of_line(&line)?;
                    self.line = line;
                    self.line.clear();
                }
                _ if self.line.len() >= MAX_EVENT => return Err(TooLong),
                _ => {
                    self.after_return = false;
                    self.line.push(byte);
                }
            }
        }
        Ok(())
    }

    /// Takes the next whole event.
    pub fn poll(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// What to send as `Last-Event-ID` when connecting again: the id of the last whole event that had one.
    pub fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    /// How long the stream asks to wait before connecting again.
    pub const fn retry(&self) -> Option<Duration> {
        self.retry
    }

    fn end_of_line(&mut self, line: &[u8]) -> Result<(), TooLong> {
        let line = if self.started { line } else { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) };
        self.started = true;
        if line.is_empty() {
            self.dispatch();
            return Ok(());
        }
        let line = String::from_utf8_lossy(line);
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.kind),
            "data" => {
                if self.data.len() + value.len() >= MAX_EVENT {
                    return Err(TooLong);
                }
                if self.has_data {
                    self.data.push('\n');
                }
                self.data.push_str(value);
                self.has_data = true;
            }
            // It goes back out in a header, so that a control character in it must not be kept.
            "id" if !value.contains(char::is_control) => self.pending_id = Some(value.to_owned()),
            "retry" if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) => {
                self.retry = value.parse().ok().map(Duration::from_millis);
            }
            // Comments, whose field is empty, and fields that nobody knows.
            _ => {}
        }
        Ok(())
    }

    fn dispatch(&mut self) {
        self.last_id.clone_from(&self.pending_id);
        let kind = std::mem::take(&mut self.kind);
        let data = std::mem::take(&mut self.data);
        if std::mem::take(&mut self.has_data) {
            let kind = if kind.is_empty() { "message".to_owned() } else { kind };
            self.events.push_back(Event { kind, data });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, data: &str) -> Event {
        Event { kind: kind.to_owned(), data: data.to_owned() }
    }

    fn events_of(parser: &mut Parser) -> Vec<Event> {
        std::iter::from_fn(|| parser.poll()).collect()
    }

    const STREAM: &str = "\u{feff}retry: 3000\n: hello\n\nid: 7\nevent: episode\ndata: {\"guid\":\"a\"}\n\n\
                          data: one\r\ndata: two\r\n\r\ndata:three\rid\r\rid: 9\n\nevent: episode\n\ndata: half";

    #[test]
    fn events_are_read_as_the_standard_says() {
        let mut parser = Parser::new(None);
        parser.handle(STREAM.as_bytes()).unwrap();
        assert_eq!(
            events_of(&mut parser),
            [event("episode", "{\"guid\":\"a\"}"), event("message", "one\ntwo"), event("message", "three")]
        );
        assert_eq!(parser.last_id(), Some("9"));
        assert_eq!(parser.retry(), Some(Duration::from_secs(3)));
    }

    #[test]
    fn any_split_of_the_bytes_gives_the_same_events() {
        let mut whole = Parser::new(None);
        whole.handle(STREAM.as_bytes()).unwrap();
        let want = events_of(&mut whole);
        for cut in 0..STREAM.len() {
            let mut parser = Parser::new(None);
            let (a, b) = STREAM.as_bytes().split_at(cut);
            parser.handle(a).unwrap();
            parser.handle(b).unwrap();
            assert_eq!(events_of(&mut parser), want, "cut at {cut}");
        }
        let mut parser = Parser::new(None);
        for byte in STREAM.bytes() {
            parser.handle(&[byte]).unwrap();
        }
        assert_eq!(events_of(&mut parser), want);
    }

    #[test]
    fn an_id_counts_once_its_event_is_whole() {
        let mut parser = Parser::new(Some("3".to_owned()));
        parser.handle(b"id: 4\ndata: x\n").unwrap();
        assert_eq!(parser.last_id(), Some("3"));
        parser.handle(b"\n").unwrap();
        assert_eq!(parser.last_id(), Some("4"));
        // A NUL would end up in a header.
        parser.handle(b"id: 5\0\ndata: x\n\n").unwrap();
        assert_eq!(parser.last_id(), Some("4"));
    }

    #[test]
    fn a_line_and_an_event_without_end_are_refused() {
        let mut parser = Parser::new(None);
        assert_eq!(parser.handle(&vec![b'x'; MAX_EVENT + 1]), Err(TooLong));
        let mut parser = Parser::new(None);
        let line = [b"data: ".as_slice(), &[b'x'; 1000], b"\n"].concat();
        let sent = (0..100).try_for_each(|_| parser.handle(&line));
        assert_eq!(sent, Err(TooLong));
    }

    #[test]
    fn bytes_that_are_no_text_do_no_harm() {
        let mut parser = Parser::new(None);
        parser.handle(b"data: \xff\xfe\n\nretry: 99999999999999999999\n\n").unwrap();
        assert_eq!(parser.poll().unwrap().data, "\u{fffd}\u{fffd}");
        assert_eq!(parser.retry(), None);
    }
}
