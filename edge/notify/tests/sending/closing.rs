//! What becomes of messages when their sender ends, or may not send any more.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_dropped_sender_sends_and_tells_nothing_more() {
    let receivers = Receivers::new(&[("down.example", &[Reaction::Unreachable])], Duration::ZERO);
    let (sender, outcomes) = sender(&receivers, SenderPolicy::default());
    sender.submit(Message::new(rolled_back(), slack_at("down.example"))).unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let before = receivers.seen().len();
    assert!(before > 1);
    drop(sender);
    tokio::time::sleep(Duration::from_secs(24 * 3600)).await;
    assert_eq!((receivers.seen().len(), outcomes.lock().unwrap().len()), (before, 0));
}

#[tokio::test(start_paused = true)]
async fn a_closing_sender_waits_for_what_is_in_flight_and_gives_back_the_rest() {
    let destinations = [slack_at("quick.example"), slack_at("silent.example"), webhook()];
    let silent = [Reaction::Silent];
    let receivers =
        Receivers::new(&[("silent.example", &silent), ("log.example", &silent)], Duration::from_secs(1));
    let (sender, outcomes) = sender(&receivers, SenderPolicy::default());
    for destination in &destinations {
        for number in 0..3 {
            sender.submit(Message::new(numbered(rolled_back(), number), destination.clone())).unwrap();
        }
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let start = Instant::now();
    sender.close(Duration::from_secs(3)).await;
    assert_eq!(start.elapsed(), Duration::from_secs(3));
    sender.submit(Message::new(numbered(rolled_back(), 3), slack_at("quick.example"))).unwrap();
    assert_eq!((receivers.seen().len(), sender.waiting().len()), (3, 0), "one attempt each, and no other");
    let outcomes = outcomes.lock().unwrap();
    let of = |name: &str| -> Vec<&str> {
        let own = outcomes.iter().filter(|(_, outcome)| outcome.destination == name);
        own.map(|(_, outcome)| word(&outcome.state)).collect()
    };
    assert_eq!(of("quick.example"), ["sent", "deferred", "deferred", "deferred"]);
    // Slack would show it twice, a program drops a double.
    assert_eq!(of("silent.example"), ["unknown", "deferred", "deferred"]);
    assert_eq!(of("deploy-log"), ["deferred", "deferred", "deferred"]);
}

#[tokio::test(start_paused = true)]
async fn a_closing_sender_that_is_closed_sooner_waits_no_longer() {
    let receivers = Receivers::new(&[("silent.example", &[Reaction::Silent])], Duration::from_secs(1));
    let (sender, outcomes) = sender(&receivers, SenderPolicy::default());
    sender.submit(Message::new(rolled_back(), slack_at("silent.example"))).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let start = Instant::now();
    let term_ends = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        sender.close(Duration::from_secs(3)).await;
    };
    tokio::join!(sender.close(Duration::from_secs(10)), term_ends);
    assert_eq!(start.elapsed(), Duration::from_secs(5));
    assert_eq!(word(&outcomes.lock().unwrap()[0].1.state), "unknown");
}

#[tokio::test(start_paused = true)]
async fn who_may_not_send_any_more_sends_nothing() {
    let receivers = Receivers::new(&[("down.example", &[Reaction::Unreachable])], Duration::ZERO);
    let (outcomes, may_send) = (Outcomes::default(), Arc::new(std::sync::atomic::AtomicBool::new(true)));
    let (told, start, asked) = (outcomes.clone(), receivers.start, may_send.clone());
    let tell = move |outcome| told.lock().unwrap().push((start.elapsed(), outcome));
    let asked = move || asked.load(std::sync::atomic::Ordering::SeqCst);
    let transport: Arc<dyn HttpTransport> = Arc::<Receivers>::clone(&receivers);
    let sender = Sender::new(transport, SenderPolicy::default(), asked, || Timestamp::UNIX_EPOCH, tell);
    sender.submit(Message::new(rolled_back(), slack_at("down.example"))).unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    may_send.store(false, std::sync::atomic::Ordering::SeqCst);
    let before = receivers.seen().len();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!((receivers.seen().len(), outcomes.lock().unwrap().len()), (before, 0));
    sender.close(Duration::ZERO).await;
    assert_eq!(word(&outcomes.lock().unwrap()[0].1.state), "deferred");
}
