use std::time::{Duration, Instant};

use crate::cloud::{Cloud, Fault, ask::send};

const BLOB: [(&str, &str); 2] = [
    ("x-ms-version", "2026-04-06"),
    ("x-ms-blob-type", "BlockBlob"),
];

fn cloud() -> (Cloud, String) {
    let cloud = Cloud::start();
    cloud.create_container("crl", true);
    let url = format!("{}/ca.crl", cloud.container_url("crl"));
    (cloud, url)
}

/// A PUT that may end without an answer.
async fn put(cloud: &Cloud, url: &str, body: &'static str) -> Result<u16, reqwest::Error> {
    let token = cloud.token("publisher", "https://storage.azure.com");
    let request = cloud
        .client()
        .put(url)
        .bearer_auth(token)
        .header(BLOB[0].0, BLOB[0].1)
        .header(BLOB[1].0, BLOB[1].1);
    Ok(request.body(body).send().await?.status().as_u16())
}

#[tokio::test]
async fn a_call_fails_before_or_after_it_took_effect() {
    let (cloud, url) = cloud();
    cloud.fail("PUT *.blob.* /crl/*", Fault::Unreached, 1);
    assert!(put(&cloud, &url, "one").await.is_err());
    assert_eq!(cloud.blob("crl", "ca.crl"), None);
    cloud.fail("PUT *.blob.* /crl/*", Fault::Lost, 1);
    assert!(put(&cloud, &url, "two").await.is_err());
    assert_eq!(cloud.blob("crl", "ca.crl").unwrap(), b"two");
    assert!(cloud.all_failed());
    assert_eq!(put(&cloud, &url, "three").await.unwrap(), 201);
    let statuses: Vec<u16> = cloud.calls().iter().map(|call| call.status).collect();
    assert_eq!(statuses, [0, 0, 201]);
}

#[tokio::test]
async fn a_status_may_be_true_or_not() {
    let (cloud, url) = cloud();
    cloud.fail("PUT * *", Fault::Refused(429, Some(3)), 1);
    let reply = send(&cloud, "publisher", "PUT", &url, &BLOB, "one").await;
    assert_eq!((reply.status, reply.header("retry-after")), (429, "3"));
    assert_eq!(cloud.blob("crl", "ca.crl"), None);
    cloud.fail("PUT * *", Fault::Misreported(500), 1);
    assert_eq!(
        send(&cloud, "publisher", "PUT", &url, &BLOB, "two")
            .await
            .status,
        500
    );
    assert_eq!(cloud.blob("crl", "ca.crl").unwrap(), b"two");
}

#[tokio::test]
async fn the_first_calls_may_be_spared() {
    let (cloud, url) = cloud();
    cloud.fail_later(2, "PUT * *", Fault::Refused(503, None), 2);
    let mut statuses = vec![];
    for _ in 0..5 {
        statuses.push(put(&cloud, &url, "x").await.unwrap());
    }
    assert_eq!(statuses, [201, 201, 503, 503, 201]);
    assert_eq!(cloud.count("PUT *.blob.core.windows.net /crl/ca.crl"), 5);
    assert_eq!(cloud.count("GET * *"), 0);
}

#[tokio::test]
async fn a_body_may_be_cut_or_garbled() {
    let (cloud, url) = cloud();
    cloud.put_blob("crl", "ca.crl", b"0123456789");
    cloud.fail("GET * *", Fault::Cut, 1);
    let token = cloud.token("publisher", "https://storage.azure.com");
    let response = cloud
        .client()
        .get(&url)
        .bearer_auth(token)
        .header(BLOB[0].0, BLOB[0].1)
        .send()
        .await
        .unwrap();
    assert_eq!(
        (response.status().as_u16(), response.content_length()),
        (200, Some(10))
    );
    assert!(response.bytes().await.is_err());
    cloud.fail("GET * *", Fault::Garbled, 1);
    let reply = send(&cloud, "publisher", "GET", &url, &BLOB, "").await;
    assert_eq!((reply.status, reply.body.as_str()), (200, "~~~~~~~~~~"));
}

#[tokio::test]
async fn a_slow_call_takes_effect_although_its_client_has_given_up() {
    let (cloud, url) = cloud();
    cloud.fail("PUT * *", Fault::Slow(Duration::from_millis(500)), 1);
    let given_up =
        tokio::time::timeout(Duration::from_millis(150), put(&cloud, &url, "late")).await;
    assert!(given_up.is_err());
    assert_eq!(cloud.blob("crl", "ca.crl"), None);
    let start = Instant::now();
    while cloud.blob("crl", "ca.crl").is_none() {
        assert!(start.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
