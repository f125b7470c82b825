//! A connection of a caller to a target: the socket of the caller, the socket to the target, and a stream in each
//! direction.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use mirror_net::channel;
use tokio::net::TcpStream;

use crate::link::Link;
use crate::plan::{Planned, Stream};
use crate::pump::{Finished, Pump, Sockets};
use crate::queue::HeldInTotal;
use crate::rules::{Direction, FollowedRules};
use crate::target::Target;

/// Passes the connection of `caller` on to the target until both directions have ended.
///
/// If the target refuses the connection, if one end resets it, or if a rule requires it, the sockets are reset. The
/// kernel has accepted the connection before, so a reset is as close to a refusal as possible.
pub(crate) async fn run(
    mut caller: TcpStream,
    link: Arc<Link>,
    target: Arc<Target>,
    rules: FollowedRules,
    total: HeldInTotal,
) {
    let stream = |direction, opened| Stream {
        link: Arc::clone(&link),
        direction,
        opened,
        passed: 0,
    };
    let opened = rules.borrow().revision;
    let mut requests = Planned::new(rules.clone(), stream(Direction::Requests, opened));
    let Some(mut server) = reach(&mut requests, &target, link.source).await else {
        reset(&caller);
        return;
    };
    let replies = Planned::new(rules, stream(Direction::Replies, opened));
    let outcome = {
        let (mut from_caller, mut to_caller) = caller.split();
        let (mut from_target, mut to_target) = server.split();
        let (caller_is_broken, target_is_broken) = (AtomicBool::new(false), AtomicBool::new(false));
        let requests = Pump::new(requests, total.clone()).run(Sockets {
            from: &mut from_caller,
            to: &mut to_target,
            from_is_broken: &caller_is_broken,
            to_is_broken: &target_is_broken,
        });
        let replies = Pump::new(replies, total).run(Sockets {
            from: &mut from_target,
            to: &mut to_caller,
            from_is_broken: &target_is_broken,
            to_is_broken: &caller_is_broken,
        });
        tokio::try_join!(requests, replies)
    };
    if !matches!(outcome, Ok((Finished::Closed, Finished::Closed))) {
        reset(&caller);
        reset(&server);
    }
}

/// Connects to the target as soon as the rules allow it. Returns `None` if the connection is to be reset.
async fn reach(requests: &mut Planned, target: &Target, source: IpAddr) -> Option<TcpStream> {
    let mut is_lost = false;
    loop {
        is_lost |= requests.plan.silent;
        if requests.is_reset() || (is_lost && !requests.plan.silent) {
            return None;
        }
        if !requests.plan.unreachable {
            break;
        }
        requests.rules.changed().await.ok()?;
        requests.renew();
    }
    let mut connecting = pin!(connect(target.address(), source));
    loop {
        tokio::select! {
            biased;
            changed = requests.rules.changed() => {
                changed.ok()?;
                requests.renew();
            }
            connected = &mut connecting => match connected {
                Ok(server) => return Some(server),
                Err(error) => {
                    tracing::debug!(target = target.name(), %error, "cannot connect to the target");
                    return None;
                }
            }
        }
    }
}

/// Connects to the target from the address of the caller, so that the target can recognise the caller.
async fn connect(target: SocketAddr, source: IpAddr) -> io::Result<TcpStream> {
    let server = channel::connect(target, Some(source)).await?;
    server.set_nodelay(true)?;
    Ok(server)
}

/// Makes the end of a socket a reset.
pub(crate) fn reset(socket: &TcpStream) {
    if let Err(error) = socket.set_zero_linger() {
        tracing::debug!(%error, "cannot reset a connection");
    }
}
