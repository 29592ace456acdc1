//! A client of the simulated server with an identity, and with a life that tests can end.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;

use crate::body::SimBody;
use crate::route::{Call, parse_query};
use crate::sim::Sim;

/// Writes left before death when nobody asked for one.
const IMMORTAL: u64 = u64::MAX;

/// One process that talks to the server as one user.
#[derive(Clone)]
pub struct Actor {
    /// The client; give clones of it to controllers.
    pub client: Client,
    state: Arc<ActorState>,
    sim: Sim,
}

#[derive(Debug)]
pub(crate) struct ActorState {
    pub(crate) number: u64,
    user: String,
    dead: AtomicBool,
    writes_left: AtomicU64,
}

impl ActorState {
    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// Counts a successful mutating response; true when it was the last of this actor's life.
    pub(crate) fn count_write(&self) -> bool {
        let left = self.writes_left.load(Ordering::Relaxed);
        if left == IMMORTAL {
            return false;
        }
        self.writes_left.store(left.saturating_sub(1), Ordering::Relaxed);
        let dies = left <= 1;
        self.dead.fetch_or(dies, Ordering::Relaxed);
        dies
    }
}

impl Actor {
    pub(crate) fn new(sim: Sim, user: &str, number: u64) -> Self {
        let state = Arc::new(ActorState {
            number,
            user: user.to_owned(),
            dead: AtomicBool::new(false),
            writes_left: AtomicU64::new(IMMORTAL),
        });
        let service = ActorService { sim: sim.clone(), actor: state.clone() };
        Actor { client: Client::new(service, "default"), state, sim }
    }

    /// The `n`-th successful mutating response from now is the last: after it, requests fail with a connection error and watches
    /// break. With `n` = 0 the actor dies now.
    pub fn die_after_writes(&self, n: u64) {
        self.state.writes_left.store(n, Ordering::Relaxed);
        if n == 0 {
            self.kill();
        }
    }

    /// Ends the actor at once: nothing of it gets through any more.
    pub fn kill(&self) {
        self.state.dead.store(true, Ordering::Relaxed);
        let number = self.state.number;
        self.sim.state().store.break_watches(|watcher| watcher.actor == number);
    }

    /// Whether the actor has died.
    pub fn is_dead(&self) -> bool {
        self.state.is_dead()
    }

    /// Its number among all actors of one server, from one: what tells apart two processes of one user.
    pub fn number(&self) -> u64 {
        self.state.number
    }

    /// Who the actor is to the server.
    pub fn user(&self) -> &str {
        &self.state.user
    }
}

/// The transport of one actor.
#[derive(Clone)]
struct ActorService {
    sim: Sim,
    actor: Arc<ActorState>,
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<SimBody>, io::Error>> + Send>>;

impl tower::Service<Request<Body>> for ActorService {
    type Response = Response<SimBody>;
    type Error = io::Error;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Answer {
        let this = self.clone();
        Box::pin(async move {
            if this.actor.is_dead() {
                return Err(io::Error::new(io::ErrorKind::ConnectionReset, "the actor is dead"));
            }
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
            let call = call_of(&parts, this.actor.user.clone(), body);
            this.sim.submit(call, Some(this.actor)).await
        })
    }
}

/// What the server needs to know of an HTTP request.
pub(crate) fn call_of(parts: &http::request::Parts, user: String, body: bytes::Bytes) -> Call {
    let header = |name: http::HeaderName| {
        parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    let raw_query = parts.uri.query().unwrap_or_default().to_owned();
    Call {
        user,
        method: parts.method.clone(),
        path: parts.uri.path().to_owned(),
        query: parse_query(&raw_query),
        raw_query,
        accept: header(http::header::ACCEPT),
        content_type: header(http::header::CONTENT_TYPE),
        user_agent: header(http::header::USER_AGENT),
        body,
    }
}
