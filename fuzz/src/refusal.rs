//! Refusals of the API server, and of whatever stands before it.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};
use trimtab_kube::api::Selector;
use trimtab_kube::resource::DEPLOYMENTS;
use trimtab_providers::http::retry_after;
use trimtab_providers::secret::{printable, shorten};

use crate::server::{Answer, api};

/// An answer that never comes is given up after this, retries and all.
const PATIENCE: Duration = Duration::from_secs(600);
const CODES: [u16; 16] = [302, 400, 401, 403, 404, 405, 409, 410, 413, 422, 429, 500, 502, 503, 504, 599];

/// Any body under any status is an error that names the request; a wait that is asked for is kept or ignored, and never
/// stops the process. The first byte chooses the status; what follows is the body, and the header's value too.
pub fn refusal(data: &[u8]) {
    let (choice, body) = data.split_first().map_or((0, data), |(first, rest)| (*first, rest));
    let code = CODES[usize::from(choice) % CODES.len()];
    crate::block_on(async {
        let answers = (0..4).map(|_| Answer { code, retry_after: Some(body.to_vec()), body: body.to_vec() });
        let asked = api(answers);
        let answer = tokio::time::timeout(PATIENCE, asked.get(DEPLOYMENTS, Some("shop"), "payments")).await;
        match answer.expect("a refusal is an answer") {
            Ok(found) => assert!(found.is_none(), "{code} with a body is no object"),
            Err(error) => {
                assert!(error.to_string().starts_with("get deployments.apps shop/payments: "), "{error}");
                assert!(!error.word().is_empty());
            }
        }
        let lists = api([Answer::ok(body)]);
        let everything = Selector::all();
        let _ = tokio::time::timeout(PATIENCE, lists.list(DEPLOYMENTS, None, &everything)).await;
    });
    header_and_text(body);
}

fn header_and_text(data: &[u8]) {
    if let Ok(value) = HeaderValue::from_bytes(data) {
        let _ = retry_after(&HeaderMap::from_iter([(header::RETRY_AFTER, value)]));
    }
    let text = String::from_utf8_lossy(data);
    for limit in [0, 1, 7, 512] {
        // An ellipsis stands even where there is no room for anything else.
        let room = limit.max('…'.len_utf8());
        assert!(shorten(&text, limit).len() <= room, "{text:?}");
        let shown = printable(&text, limit);
        assert!(shown.len() <= room && !shown.contains(char::is_control), "{text:?} shows {shown:?}");
    }
}
