//! The responder on Azure: outages of the index, and a process that begins.

use std::{sync::Arc, time::Duration};

use rescind::facade::{
    core::ocsp::Refusal,
    stories::respond::{Answer, Responder},
};

use super::{Deployment, ISSUER};
use crate::{
    cloud::{Fault, Kind},
    support::{
        at, block_on, now,
        ocsp::{Status, request, status},
    },
};

fn said(answer: &Answer) -> Option<Status> {
    match answer {
        Answer::Signed(signed) => Some(status(&signed.der)),
        Answer::Refused(Refusal::TryLater, _) => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_outage_of_the_index_is_ridden_out_until_max_staleness_and_then_it_is_try_later() {
    let deployment = Deployment::with(Kind::P256, &[("ISSUER__0__OCSP__MAX_STALENESS", "10s")]);
    deployment.revoke("0b");
    deployment.publish(&[]);
    let id = deployment.issuer_id();
    let [good, revoked] = ["0a", "0b"].map(|serial| request(&[id.usual(serial)], None));
    block_on(async {
        let (responder, start) = (Responder::new(vec![deployment.ca().await.unwrap()]), now());
        let served = &responder.issuers()[0];
        served.refresh(at(start)).await;
        deployment
            .cloud
            .fail("* *.table.* *", Fault::Unreached, usize::MAX);
        served.refresh(at(start + 5)).await;
        assert!(served.state().problem().is_some());
        for second in 0..30 {
            let is_fresh = second <= 10;
            assert_eq!(
                said(&responder.respond(&good, at(start + second)).await),
                is_fresh.then_some(Status::Good)
            );
            let answer = said(&responder.respond(&revoked, at(start + second)).await);
            assert_eq!(
                matches!(answer, Some(Status::Revoked(..))),
                is_fresh,
                "{second}: {answer:?}"
            );
        }
        // A process that begins in the outage says nothing either.
        let other = Responder::new(vec![deployment.ca().await.unwrap()]);
        other.issuers()[0].refresh(at(start)).await;
        assert_eq!(said(&other.respond(&good, at(start)).await), None);
        deployment.cloud.heal();
        for responder in [&responder, &other] {
            responder.issuers()[0].refresh(at(start + 40)).await;
            assert_eq!(responder.issuers()[0].state().problem(), None);
            assert_eq!(
                said(&responder.respond(&good, at(start + 41)).await),
                Some(Status::Good)
            );
        }
    });
}

/// The journal takes long; single rows do not.
#[test]
fn a_process_answers_while_its_first_look_at_the_journal_takes_long() {
    let deployment = Deployment::new();
    deployment.revoke("0b");
    deployment.publish(&[]);
    let id = deployment.issuer_id();
    let [good, revoked] = ["0a", "0b"].map(|serial| request(&[id.usual(serial)], None));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let responder = Arc::new(Responder::new(vec![deployment.ca().await.unwrap()]));
        deployment.cloud.fail(
            "GET *.table.* *top=1000*",
            Fault::Late(Duration::from_secs(8)),
            1,
        );
        let start = now();
        let reading = Arc::clone(&responder);
        let reading = tokio::spawn(async move { reading.issuers()[0].refresh(at(start)).await });
        let mut answer = None;
        while answer.is_none() && !reading.is_finished() {
            tokio::time::sleep(Duration::from_millis(20)).await;
            answer = said(&responder.respond(&revoked, at(start)).await);
        }
        assert!(matches!(answer, Some(Status::Revoked(..))), "{answer:?}");
        assert_eq!(
            said(&responder.respond(&good, at(start)).await),
            Some(Status::Good)
        );
        assert!(!reading.is_finished() && responder.issuers()[0].state().level.is_none());
        // A store that does not answer is not waited for.
        deployment.cloud.fail(
            &format!("GET *.table.* *{ISSUER}*"),
            Fault::Late(Duration::from_secs(20)),
            1,
        );
        let waiting =
            tokio::time::timeout(Duration::from_secs(5), responder.respond(&good, at(start))).await;
        assert_eq!(said(&waiting.expect("an answer in time")), None);
        reading.await.unwrap();
        assert!(responder.issuers()[0].state().level.is_some());
        assert_eq!(
            said(&responder.respond(&good, at(start)).await),
            Some(Status::Good)
        );
    });
}
