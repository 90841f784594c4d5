//! rssCloud: what a subscriber asks in that older form, and how he is answered and told.
//!
//! He names a port and a path, and is told there that a feed has changed, and not how. Where he is, is where he asks
//! from; if he names another domain, that one has to return a challenge. One request may be for several feeds. It is
//! answered when all of that is done, by an element that says how it went. What he has holds for 25 hours, unless he
//! asks again.
//!
//! Knows nothing of servers: the body of a request comes in, and wishes or a refusal come out.
//! Source: the rssCloud walkthrough, for `http-post`, and `https-post` as servers of today have it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use maud::{PreEscaped, html};
use url::{Host, Url, form_urlencoded};

use super::subscription::{LONGEST_CALLBACK, Mode, Proof, Protocol, Wish};

/// How long a subscription lives.
const LEASE: Duration = Duration::from_hours(25);
/// Feeds that may be named at once.
const MOST: usize = 8;

/// Reads the body of a request that `asker` sent; the error is a sentence for him.
pub(super) fn read(body: &[u8], asker: IpAddr) -> Result<Vec<Wish>, String> {
    let field = |wanted: &str| {
        let found = form_urlencoded::parse(body).find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned());
        found.filter(|value| !value.is_empty())
    };
    let need = |name: &str| field(name).ok_or_else(|| format!("{name} is missing"));
    let port = need("port")?;
    let port =
        port.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(|| format!("port is {port:?}; want a number"))?;
    let scheme = match need("protocol")?.as_str() {
        // Old clients know no other word.
        "http-post" if port == 443 => "https",
        "http-post" => "http",
        "https-post" => "https",
        other => return Err(format!("protocol is {other:?}; want http-post or https-post")),
    };
    let path = need("path")?;
    let (host, proof) = match field("domain") {
        Some(domain) => {
            let host = Host::parse(&domain).map_err(|_| format!("domain is {domain:?}; want a host alone"))?;
            (format!("{host}:{port}"), Proof::Challenge)
        }
        None => (SocketAddr::new(asker, port).to_string(), Proof::Asker(asker)),
    };
    let callback = Url::parse(&format!("{scheme}://{host}/{}", path.trim_start_matches('/'))).ok();
    let callback = callback.filter(|url| url.fragment().is_none() && url.as_str().len() <= LONGEST_CALLBACK);
    let callback = callback.ok_or("path is none that is told")?;
    let is_url = |name: &str| name.strip_prefix("url").is_some_and(|rest| rest.bytes().all(|it| it.is_ascii_digit()));
    let topics = form_urlencoded::parse(body).filter(|(name, value)| is_url(name) && !value.is_empty());
    let wish = |topic: String| {
        let (mode, protocol, callback) = (Mode::Subscribe, Protocol::RssCloud, callback.clone());
        Wish { mode, protocol, proof, topic, callback, lease: LEASE, secret: None }
    };
    let wishes: Vec<Wish> = topics.map(|(_, topic)| wish(topic.into_owned())).collect();
    match wishes.len() {
        0 => Err("url1 is missing".to_owned()),
        1..=MOST => Ok(wishes),
        count => Err(format!("{count} feeds are named; at most {MOST} at once")),
    }
}

/// What says that a feed has changed.
pub(super) fn notice(topic: &str) -> Bytes {
    form_urlencoded::Serializer::new(String::new()).append_pair("url", topic).finish().into()
}

/// The answer to a request.
pub(super) fn answer(done: &Result<(), String>) -> String {
    let (success, text) = match done {
        Ok(()) => ("true", "you are told when it changes, for 25 hours"),
        Err(refusal) => ("false", refusal.as_str()),
    };
    let element = html! {
        (PreEscaped("<?xml version=\"1.0\"?>\n"))
        notifyResult success=(success) msg=(text) {}
    };
    element.into_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

    fn callback(body: &str) -> (String, Proof) {
        let wish = read(body.as_bytes(), ASKER).unwrap().remove(0);
        assert_eq!((wish.protocol, wish.mode, wish.lease), (Protocol::RssCloud, Mode::Subscribe, LEASE));
        (wish.callback.into(), wish.proof)
    }

    #[test]
    fn he_is_told_where_he_asks_from_or_where_the_domain_is() {
        let asked = "notifyProcedure=&port=5337&path=%2Ftold%3Fa%3Db&protocol=http-post&url1=http%3A%2F%2Fa%2F";
        assert_eq!(callback(asked), ("http://192.0.2.7:5337/told?a=b".to_owned(), Proof::Asker(ASKER)));
        let elsewhere = callback(&format!("{asked}&domain=b.example"));
        assert_eq!(elsewhere, ("http://b.example:5337/told?a=b".to_owned(), Proof::Challenge));
        let secret = callback(&asked.replace("port=5337&path=%2F", "port=443&path="));
        assert_eq!(secret.0, "https://192.0.2.7/told?a=b");
        let v6 = read(asked.as_bytes(), "2001:db8::7".parse().unwrap()).unwrap();
        assert_eq!(v6[0].callback.as_str(), "http://[2001:db8::7]:5337/told?a=b");
        let two = read(format!("{asked}&url2=http%3A%2F%2Fb%2F&urls=x").as_bytes(), ASKER).unwrap();
        assert_eq!(two.iter().map(|wish| wish.topic.as_str()).collect::<Vec<_>>(), ["http://a/", "http://b/"]);
    }

    #[test]
    fn what_is_asked_wrongly_is_refused_with_its_reason() {
        let whole = "port=80&path=/x&protocol=http-post&domain=a.example&url1=http://a/";
        for (body, part) in [
            (String::new(), "port is missing"),
            (whole.replace("=80", "=0"), "port is \"0\""),
            (whole.replace("=80", "=70000"), "want a number"),
            (whole.replace("path=/x", ""), "path is missing"),
            (whole.replace("/x", "/x%23y"), "path is none"),
            (whole.replace("/x", &"x".repeat(LONGEST_CALLBACK)), "path is none"),
            (whole.replace("http-post", "xml-rpc"), "xml-rpc"),
            (whole.replace("a.example", "a.example/x"), "a host alone"),
            (whole.replace("a.example", "u@a.example"), "a host alone"),
            (whole.replace("url1", "topic"), "url1 is missing"),
            (format!("{whole}{}", "&url2=http://b/".repeat(MOST)), "at most 8"),
        ] {
            let refused = read(body.as_bytes(), ASKER).unwrap_err();
            assert!(refused.contains(part), "{body}: {refused}");
        }
    }

    #[test]
    fn an_answer_is_xml_whatever_was_asked() {
        let answered = answer(&Err("domain is \"<&\"".to_owned()));
        assert!(
            answered.ends_with("success=\"false\" msg=\"domain is &quot;&lt;&amp;&quot;\"></notifyResult>"),
            "{answered}"
        );
        assert!(answer(&Ok(())).contains("<notifyResult success=\"true\""));
    }
}
