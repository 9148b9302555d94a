use rtc_backends::{BackendErrorKind, db::WebhookRow};
use rtc_model::AppId;

use crate::store::on_every_engine;

fn row(url: &str, events: &[&str], reachable: bool) -> WebhookRow {
    let events = events.iter().map(|&event| event.to_owned()).collect();
    WebhookRow { url: url.to_owned(), events, reachable }
}

#[tokio::test]
async fn receivers_are_replaced_as_a_whole_and_keep_their_order() {
    on_every_engine(async |store| {
        let webhooks = store.db.webhooks();
        let (a, b) = (AppId::new("a").unwrap(), AppId::new("b").unwrap());
        assert_eq!(webhooks.list(&a).await.unwrap(), []);
        let first = [row("http://z", &[], true), row("http://y", &["room_started"], false)];
        webhooks.replace(&a, &first, 1).await.unwrap();
        let foreign = [row("http://z", &["room_finished", "room_started"], true)];
        webhooks.replace(&b, &foreign, 1).await.unwrap();
        assert_eq!(webhooks.list(&a).await.unwrap(), first);

        let twice = [row("http://x", &[], true), row("http://x", &[], true)];
        let error = webhooks.replace(&a, &twice, 2).await.unwrap_err();
        assert_eq!(error.kind, BackendErrorKind::Conflict);
        assert_eq!(webhooks.list(&a).await.unwrap(), first);

        webhooks.replace(&a, &[], 3).await.unwrap();
        assert_eq!(webhooks.list(&a).await.unwrap(), []);
        assert_eq!(webhooks.list(&b).await.unwrap(), foreign);
    })
    .await;
}
