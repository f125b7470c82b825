//! Links: the connections of one caller to one target, with their counters.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use mirror_proto::mirror::v1::LinkTraffic;

use crate::effect::bandwidth::Bucket;
use crate::rules::{Direction, Rule};

/// Maximum number of links.
const MAX_LINKS: usize = 16_384;

/// The connections of one caller to one target.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) source: IpAddr,
    pub(crate) target: String,
    connections: AtomicU64,
    /// Bytes that were passed on, by direction.
    bytes: [AtomicU64; 2],
    buckets: Mutex<Vec<LinkBucket>>,
}

/// The state of a limit of the bandwidth.
#[derive(Debug)]
struct LinkBucket {
    rule: Weak<Rule>,
    direction: Direction,
    bucket: Arc<Bucket>,
}

/// All links so far.
#[derive(Debug, Default)]
pub(crate) struct Links(Mutex<HashMap<(IpAddr, String), Arc<Link>>>);

impl Link {
    fn new(source: IpAddr, target: String) -> Self {
        Self {
            source,
            target,
            connections: AtomicU64::new(0),
            bytes: Default::default(),
            buckets: Mutex::default(),
        }
    }

    pub(crate) fn count_connection(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_bytes(&self, direction: Direction, bytes: usize) {
        if let Some(counter) = self.bytes.get(direction.index()) {
            counter.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }

    /// Returns the bucket of a rule that limits the bandwidth, which all connections of the link share.
    pub(crate) fn bucket(
        &self,
        direction: Direction,
        rule: &Arc<Rule>,
        bytes_per_second: f64,
    ) -> Arc<Bucket> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let found = buckets
            .iter()
            .find(|known| known.direction == direction && known.rule.as_ptr() == Arc::as_ptr(rule));
        if let Some(found) = found {
            return Arc::clone(&found.bucket);
        }
        buckets.retain(|known| known.rule.strong_count() > 0);
        let bucket = Arc::new(Bucket::new(bytes_per_second));
        buckets.push(LinkBucket {
            rule: Arc::downgrade(rule),
            direction,
            bucket: Arc::clone(&bucket),
        });
        bucket
    }

    fn traffic(&self) -> LinkTraffic {
        let [requests, replies] = &self.bytes;
        LinkTraffic {
            source: self.source.to_string(),
            target: self.target.clone(),
            connections: self.connections.load(Ordering::Relaxed),
            request_bytes: requests.load(Ordering::Relaxed),
            reply_bytes: replies.load(Ordering::Relaxed),
        }
    }
}

impl Links {
    /// Returns the link of a caller and a target. `None` if it is new and there are too many.
    pub(crate) fn get(&self, source: IpAddr, target: &str) -> Option<Arc<Link>> {
        let mut links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (source, target.to_owned());
        if links.len() >= MAX_LINKS && !links.contains_key(&key) {
            return None;
        }
        let link = links
            .entry(key)
            .or_insert_with(|| Arc::new(Link::new(source, target.to_owned())));
        Some(Arc::clone(link))
    }

    /// Returns the counters of all links, ordered by target and source.
    pub(crate) fn traffic(&self) -> Vec<LinkTraffic> {
        let links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut links: Vec<&Arc<Link>> = links.values().collect();
        links.sort_by(|one, other| (&one.target, one.source).cmp(&(&other.target, other.source)));
        links.into_iter().map(|link| link.traffic()).collect()
    }
}
