//! Every call fails in every way, before or after it took effect; the next pass repairs.

use std::{thread, time::Duration};

use rescind::facade::core::chain::Chain;
use rescind::facade::stories::publish::Options;

use super::{
    Deployment,
    history::{History, pass, revoke},
};
use crate::{cloud::Fault, support::block_on};

/// What one revocation and the pass after it come to while something goes wrong.
async fn work(deployment: &Deployment, serial: &str, history: &mut History) -> Result<(), String> {
    revoke(deployment, serial).await?;
    // From here on somebody counts on it.
    history.acknowledge(serial);
    let outcome = pass(deployment, Options::default()).await?;
    match outcome.troubles.first() {
        None => Ok(()),
        Some(trouble) => Err(format!("{}", Chain(trouble))),
    }
}

/// Once more, with nothing in the way.
async fn repair(deployment: &Deployment, serial: &str, history: &mut History, what: &str) {
    deployment.cloud.heal();
    revoke(deployment, serial)
        .await
        .unwrap_or_else(|error| panic!("{what}: revoke: {error}"));
    history.acknowledge(serial);
    let outcome = pass(deployment, Options::default())
        .await
        .unwrap_or_else(|error| panic!("{what}: publish: {error}"));
    assert!(outcome.troubles.is_empty(), "{what}: {outcome:?}");
    history.holds(deployment, what);
}

/// One call after the other fails once, in one way; returns how many runs failed although calls are
/// tried again.
fn each_call_fails_once(fault: Fault) -> (usize, usize) {
    let deployment = Deployment::new();
    let mut history = History::default();
    let (mut runs, mut failed) = (0, vec![]);
    block_on(async {
        for skip in 0.. {
            let (serial, what) = (
                format!("{:04X}", 0x1000 + skip),
                format!("{fault:?} after {skip} calls"),
            );
            deployment.cloud.forget_calls();
            deployment.cloud.fail_later(skip, "* * *", fault, 1);
            let result = work(&deployment, &serial, &mut history).await;
            let is_over = !deployment.cloud.all_failed();
            if let Err(error) = result {
                let calls = deployment.cloud.calls();
                let call = calls.iter().find(|call| call.fault.is_some());
                let call = call.map(|call| format!("{} {}{}", call.method, call.host, call.path));
                failed.push(format!("{skip}: {}: {error}", call.unwrap_or_default()));
            }
            repair(&deployment, &serial, &mut history, &what).await;
            if is_over {
                break;
            }
            runs += 1;
        }
        history.verifies(&deployment).await;
    });
    println!("{fault:?}: {} of {runs} failed: {failed:#?}", failed.len());
    (runs, failed.len())
}

fn in_parallel<T: Copy + Send + Sync, R: Send>(all: &[T], run: impl Fn(T) -> R + Sync) -> Vec<R> {
    thread::scope(|scope| {
        let threads: Vec<_> = all.iter().map(|one| scope.spawn(|| run(*one))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no run panics"))
            .collect()
    })
}

#[test]
fn each_call_may_fail_once_in_any_way() {
    let faults = [
        Fault::Unreached,
        Fault::Lost,
        Fault::Refused(429, None),
        Fault::Misreported(500),
        Fault::Cut,
        Fault::Garbled,
    ];
    for (fault, (runs, failed)) in faults
        .iter()
        .zip(in_parallel(&faults, each_call_fails_once))
    {
        assert!(runs > 15, "{fault:?}: only {runs} calls were seen");
        // What can be tried again is.
        let is_passing = !matches!(fault, Fault::Garbled);
        assert!(
            !is_passing || failed == 0,
            "{fault:?}: {failed} of {runs} runs failed"
        );
    }
}

/// Killed when one call took effect and its answer did not arrive.
#[test]
fn a_process_may_be_killed_at_each_call() {
    in_parallel(&[0, 1, 2, 3], |lane: usize| {
        let deployment = Deployment::new();
        let mut history = History::default();
        block_on(async {
            for skip in (lane..).step_by(4) {
                let (serial, what) = (
                    format!("{:04X}", 0x1000 + skip),
                    format!("killed at call {skip}"),
                );
                deployment.cloud.forget_calls();
                deployment
                    .cloud
                    .fail_later(skip, "* * *", Fault::Lost, usize::MAX);
                let is_killed = async {
                    // The next call, or the same again, shows that this one is over.
                    while deployment.cloud.calls().len() < skip + 2 {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                };
                tokio::select! {
                    biased;
                    () = is_killed => {}
                    _ = work(&deployment, &serial, &mut history) => {}
                }
                let is_over = deployment.cloud.calls().len() <= skip;
                repair(&deployment, &serial, &mut history, &what).await;
                if is_over {
                    assert!(skip > 15, "only {skip} calls were seen");
                    break;
                }
            }
            history.verifies(&deployment).await;
        });
    });
}

/// A fault that outlives all tries: somebody is told, and nothing that the world sees has changed,
/// or all of it has.
#[test]
fn a_fault_that_lasts_is_told_and_the_next_pass_repairs() {
    let calls = [
        "POST *.table.* /$batch",
        "POST *.vault.* */sign?*",
        "PUT *.blob.* /archive/*",
        "PUT *.blob.* /crl/*.crl",
        "PUT *.blob.* /crl/*.pem",
        "PUT *.vault.* /secrets/*",
        "GET *.table.* *",
        "GET *.blob.* *",
    ];
    let faults = [Fault::Unreached, Fault::Lost, Fault::Misreported(503)];
    let all: Vec<_> = calls
        .iter()
        .flat_map(|call| faults.map(|fault| (*call, fault)))
        .collect();
    in_parallel(&all, |(call, fault)| {
        let deployment = Deployment::new();
        let mut history = History::default();
        block_on(async {
            deployment.cloud.fail(call, fault, usize::MAX);
            let result = work(&deployment, "0A", &mut history).await;
            let error = result.expect_err(call);
            assert!(!error.contains('\n'), "{error}");
            repair(
                &deployment,
                "0A",
                &mut history,
                &format!("{call} {fault:?}: {error}"),
            )
            .await;
            history.verifies(&deployment).await;
        });
    });
}

/// A service that does not answer is given up and asked again.
#[test]
fn a_call_without_an_answer_is_made_again() {
    let calls = [
        "GET *.vault.* /certificates/*",
        "POST *.vault.* */sign?*",
        "POST *.table.* /$batch",
    ];
    in_parallel(&calls, |call| {
        let deployment = Deployment::new();
        let mut history = History::default();
        block_on(async {
            deployment
                .cloud
                .fail(call, Fault::Late(Duration::from_secs(40)), 1);
            work(&deployment, "0A", &mut history).await.unwrap();
            assert!(deployment.cloud.all_failed());
            history.holds(&deployment, call);
            history.verifies(&deployment).await;
        });
    });
}
