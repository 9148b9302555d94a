use super::*;

const SOON: Duration = Duration::from_secs(5);
const NOW: Duration = Duration::from_millis(1);

#[tokio::test]
async fn a_request_is_answered_by_the_server_of_its_subject() {
    let bus = Bus::in_process();
    let mut requests = bus.serve("echo", 4).unwrap();
    let server = tokio::spawn(async move {
        while let Some(request) = requests.next().await {
            let body = request.body.clone();
            request.reply(body);
        }
    });
    for body in [b"".to_vec(), b"hello".to_vec(), vec![0; 100_000]] {
        assert_eq!(bus.request("echo", body.clone(), SOON).await, Ok(body));
    }
    server.abort();
}

#[tokio::test]
async fn a_request_without_a_server_fails_at_once() {
    let bus = Bus::in_process();
    assert_eq!(bus.request("nobody", vec![], SOON).await, Err(BusError::NoServer));
    drop(bus.serve("gone", 1).unwrap());
    assert_eq!(bus.request("gone", vec![], SOON).await, Err(BusError::NoServer));
}

#[tokio::test]
async fn a_silent_server_costs_the_asker_no_more_than_its_deadline() {
    let bus = Bus::in_process();
    let requests = bus.serve("silent", 1).unwrap();
    assert_eq!(bus.request("silent", vec![], NOW).await, Err(BusError::Timeout));
    // The first request still lies in the queue of one, so the second never gets in.
    assert_eq!(bus.request("silent", vec![], NOW).await, Err(BusError::Overloaded));
    drop(requests);
}

#[tokio::test]
async fn a_dropped_request_fails_its_asker() {
    let bus = Bus::in_process();
    let mut requests = bus.serve("dropping", 1).unwrap();
    let asker = bus.request("dropping", vec![], SOON);
    let (answer, ()) = tokio::join!(asker, async { drop(requests.next().await) });
    assert_eq!(answer, Err(BusError::NoAnswer));
}

#[tokio::test]
async fn requests_given_up_meanwhile_are_passed_over() {
    let bus = Bus::in_process();
    let mut requests = bus.serve("slow", 4).unwrap();
    assert_eq!(bus.request("slow", b"old".to_vec(), NOW).await, Err(BusError::Timeout));
    let asker = bus.request("slow", b"new".to_vec(), SOON);
    let server = async {
        let request = requests.next().await.unwrap();
        assert_eq!(request.body, b"new");
        assert!(!request.is_abandoned());
        request.reply(b"yes".to_vec());
    };
    assert_eq!(tokio::join!(asker, server).0, Ok(b"yes".to_vec()));
}

#[tokio::test]
async fn a_full_queue_makes_the_asker_wait_for_room() {
    let bus = Bus::in_process();
    let mut requests = bus.serve("busy", 1).unwrap();
    let askers = [b"a", b"b", b"c"].map(|body| bus.request("busy", body.to_vec(), SOON));
    let [a, b, c] = askers;
    let server = async {
        for _ in 0..3 {
            let request = requests.next().await.unwrap();
            let body = request.body.clone();
            request.reply(body);
        }
    };
    let (a, b, c, ()) = tokio::join!(a, b, c, server);
    assert_eq!([a, b, c], [Ok(b"a".to_vec()), Ok(b"b".to_vec()), Ok(b"c".to_vec())]);
}

#[tokio::test]
async fn a_subject_has_one_living_server() {
    let bus = Bus::in_process();
    let first = bus.serve("one", 1).unwrap();
    assert_eq!(bus.serve("one", 1).err(), Some(BusError::SubjectTaken));
    drop(first);
    assert!(bus.serve("one", 1).is_ok());
}

#[tokio::test]
async fn every_subscriber_hears_every_announcement_in_order() {
    let bus = Bus::in_process();
    bus.publish("news", b"before anybody listened".to_vec());
    let mut first = bus.subscribe("news", 4);
    let mut second = bus.clone().subscribe("news", 4);
    let mut other = bus.subscribe("weather", 4);
    bus.publish("news", b"one".to_vec());
    bus.publish("news", b"two".to_vec());
    for subscription in [&mut first, &mut second] {
        assert_eq!(subscription.next().await, Some(b"one".to_vec()));
        assert_eq!(subscription.next().await, Some(b"two".to_vec()));
    }
    drop(bus);
    assert_eq!(other.next().await, None);
    assert_eq!(first.next().await, None);
}

#[tokio::test]
async fn a_slow_subscriber_loses_announcements_alone_and_they_are_counted() {
    let bus = Bus::in_process();
    let mut slow = bus.subscribe("news", 1);
    let mut quick = bus.subscribe("news", 3);
    for body in [b"1", b"2", b"3"] {
        bus.publish("news", body.to_vec());
    }
    assert_eq!(bus.dropped_total(), 2);
    assert_eq!(slow.next().await, Some(b"1".to_vec()));
    for body in [b"1", b"2", b"3"] {
        assert_eq!(quick.next().await, Some(body.to_vec()));
    }
}

#[tokio::test]
async fn a_dropped_subscriber_is_no_loss() {
    let bus = Bus::in_process();
    drop(bus.subscribe("news", 1));
    bus.publish("news", b"1".to_vec());
    bus.publish("news", b"2".to_vec());
    assert_eq!(bus.dropped_total(), 0);
}
