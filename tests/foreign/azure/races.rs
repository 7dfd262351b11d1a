//! Several publishers and revokers at once.

use std::collections::BTreeSet;

use rescind::facade::stories::publish::{Became, Options};

use super::{
    Deployment,
    history::{History, pass, revoke},
};
use crate::{contract::place::level, support::block_on};

const ROUNDS: u64 = 100;

/// Two publishers at once, and a revoker beside them.
#[test]
fn two_publishers_at_once_give_every_crl_a_number_of_its_own_and_lose_nothing() {
    let deployment = Deployment::new();
    let mut history = History::default();
    let mut numbers = BTreeSet::new();
    let (mut won, mut lost) = (0, 0);
    block_on(async {
        let ca = deployment.ca().await.unwrap();
        for round in 0..ROUNDS {
            let serial = format!("{:04X}", 0x1000 + round);
            let options = Options {
                force: true,
                ..Options::default()
            };
            let passes = async {
                tokio::join!(
                    pass(&deployment, options.clone()),
                    pass(&deployment, options)
                )
            };
            let (revoked, (one, two)) = tokio::join!(revoke(&deployment, &serial), passes);
            revoked.unwrap();
            for outcome in [one.unwrap(), two.unwrap()] {
                if outcome.became.is_published() {
                    let number = outcome.number.unwrap().get();
                    assert!(
                        numbers.insert(number),
                        "round {round}: two CRLs have number {number}"
                    );
                    won += 1;
                } else {
                    assert_eq!(outcome.became, Became::LostRace(None));
                    lost += 1;
                }
            }
            let shelf = deployment.crl().number();
            assert!(
                numbers.contains(&shelf),
                "round {round}: nobody published number {shelf}"
            );
            history.holds(&deployment, &format!("round {round}"));
            history.acknowledge(&serial);
        }
        // A pass after everything lists everything, above everything.
        let last = pass(&deployment, Options::default()).await.unwrap();
        assert!(
            last.became.is_published() || deployment.crl().list().len() as u64 == ROUNDS,
            "{last:?}"
        );
        history.holds(&deployment, "at the end");
        assert_eq!(deployment.crl().list().len() as u64, ROUNDS);
        assert_eq!(level(&ca).await.counts().revoked, ROUNDS);
        history.verifies(&deployment).await;
    });
    assert_eq!(won + lost, 2 * ROUNDS);
    assert!(lost > 0, "they never met; {won} passes won");
    println!("{won} passes won, {lost} lost a race");
}
