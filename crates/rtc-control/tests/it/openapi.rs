use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::Value;

use crate::world::{Reply, World};

#[test]
fn the_committed_document_is_what_the_code_says() {
    // UPDATE_EXPECT=1 writes it anew.
    expect_test::expect_file!["../../../../openapi/v1.json"]
        .assert_eq(&rtc_control::http::document_text().unwrap());
}

#[tokio::test]
async fn the_document_is_served_to_everybody() {
    let world = World::start().await;
    let reply = Reply::of(world.request(Method::GET, "/api/v1/openapi.json")).await;
    assert_eq!(reply.status, 200);
    let committed: Value =
        serde_json::from_str(&rtc_control::http::document_text().unwrap()).unwrap();
    assert_eq!(reply.body, committed);
    world.stop().await;
}

#[test]
fn every_operation_has_a_name_a_summary_its_security_and_its_refusals() {
    let document: Value =
        serde_json::from_str(&rtc_control::http::document_text().unwrap()).unwrap();
    let mut names = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let at = format!("{method} {path}");
            assert!(names.insert(operation["operationId"].as_str().unwrap().to_owned()), "{at}");
            assert!(
                operation["summary"].is_string() && operation["description"].is_string(),
                "{at}"
            );
            assert!(operation["security"].is_array(), "{at}");
            assert!(operation["responses"]["4XX"].is_object(), "{at}");
        }
    }
}
