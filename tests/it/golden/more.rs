//! More faults for the same names.

use super::tbs::{Entry, Tbs, extension, general, integer, only_user, reason, utc};
use super::{Bad, DELTA_INDICATOR, FRESHEST, Good, NEXT_PUBLISH, NUMBER};
use crate::support::{
    crl::{AKI, CRL_NUMBER, EXPIRED_CERTS_ON_CRL, IDP, INVALIDITY_DATE},
    der,
};

/// id-ce-holdInstructionCode, which RFC 5280 no longer has.
const HOLD_INSTRUCTION: &[u8] = &[0x55, 0x1d, 0x17];

pub(super) const LINTS: &[Bad] = &[
    ("der", Good::Full, |tbs| {
        tbs.extensions.push(tbs.extensions[0].clone())
    }),
    ("der", Good::Full, |tbs| tbs.extensions.clear()),
    ("der", Good::Full, |tbs| tbs.this = utc("2601100000Z")),
    ("der", Good::Full, |tbs| {
        tbs.next = general("20260117000000.5Z")
    }),
    ("version", Good::Full, |tbs| tbs.version = integer(0)),
    ("algorithm", Good::Full, |tbs| {
        tbs.algorithm = der::sequence(&[der::only(&tbs.algorithm).content, &[5, 0]])
    }),
    ("issuer_name", Good::Full, |tbs| {
        tbs.issuer = der::sequence(&[])
    }),
    ("window", Good::Full, |tbs| tbs.next.clear()),
    ("window", Good::Full, |tbs| tbs.this = utc("260109235959Z")),
    ("time_form", Good::Full, |tbs| {
        tbs.this = general("20260110000000Z")
    }),
    ("extension_unplanned", Good::Full, |tbs| {
        let unknown = extension(NEXT_PUBLISH, utc("260116000000Z"));
        tbs.extensions.push(der::Extension {
            critical: true,
            ..unknown
        });
    }),
    ("extension_criticality", Good::Full, |tbs| {
        tbs.extension(AKI).critical = true
    }),
    ("extension_criticality", Good::Full, |tbs| {
        tbs.extension(CRL_NUMBER).critical = true
    }),
    ("extension_criticality", Good::Full, |tbs| {
        tbs.extension(FRESHEST).critical = true
    }),
    ("extension_criticality", Good::Delta, |tbs| {
        tbs.extension(DELTA_INDICATOR).critical = false
    }),
    ("authority_key_identifier", Good::Full, |tbs| {
        without(tbs, AKI)
    }),
    ("authority_key_identifier", Good::Full, |tbs| {
        let key_id = tbs.extension(AKI).value.clone();
        tbs.extension(AKI).value = der::sequence(&[der::only(&key_id).content, &[0x82, 1, 1]]);
    }),
    ("crl_number", Good::Full, |tbs| without(tbs, CRL_NUMBER)),
    ("crl_number", Good::Full, |tbs| {
        tbs.extension(CRL_NUMBER).value = vec![2, 3, 0, 3, 0xea]
    }),
    ("issuing_distribution_point", Good::Full, |tbs| {
        without(tbs, IDP)
    }),
    ("issuing_distribution_point", Good::Full, |tbs| {
        tbs.extension(IDP).value = der::sequence(&[])
    }),
    ("issuing_distribution_point", Good::Full, |tbs| {
        tbs.extension(IDP).value = only_user()
    }),
    ("issuing_distribution_point", Good::Full, |tbs| {
        point(tbs, &[0x84, 1, 0xff])
    }),
    ("issuing_distribution_point", Good::Full, |tbs| {
        point(tbs, &[0x81, 1, 0xff, 0x82, 1, 0xff])
    }),
    ("issuing_distribution_point", Good::Full, |tbs| {
        point(tbs, &[0x81, 1, 0])
    }),
    ("issuing_distribution_point", Good::Full, |tbs| {
        point(tbs, &[0x83, 2, 6, 0x40])
    }),
    ("delta_crl_indicator", Good::Full, |tbs| {
        let indicator = extension(DELTA_INDICATOR, integer(NUMBER - 1));
        tbs.extensions.push(der::Extension {
            critical: true,
            ..indicator
        });
    }),
    ("delta_crl_indicator", Good::Delta, |tbs| {
        without(tbs, DELTA_INDICATOR)
    }),
    ("delta_crl_indicator", Good::Delta, |tbs| {
        tbs.extension(DELTA_INDICATOR).value = vec![2, 0]
    }),
    ("freshest_crl", Good::Full, |tbs| {
        tbs.extension(FRESHEST).value = der::sequence(&[])
    }),
    ("freshest_crl", Good::Delta, |tbs| {
        let url = der::tlv(
            0xa0,
            &[&der::tlv(
                0xa0,
                &[&der::tlv(0x86, &[b"http://pki.contoso.example/crl"])],
            )],
        );
        tbs.extensions.push(extension(
            FRESHEST,
            der::sequence(&[&der::sequence(&[&url])]),
        ));
    }),
    ("expired_certs_on_crl", Good::Full, |tbs| {
        without(tbs, EXPIRED_CERTS_ON_CRL)
    }),
    ("expired_certs_on_crl", Good::Full, |tbs| {
        tbs.extension(EXPIRED_CERTS_ON_CRL).value = utc("250101000000Z")
    }),
    ("entry_der", Good::Full, |tbs| {
        tbs.entry(1).serial = integer(0)
    }),
    ("entry_der", Good::Full, |tbs| {
        tbs.entry(1).date = utc("2601010000Z")
    }),
    ("entry_der", Good::Full, |tbs| {
        let unknown = extension(HOLD_INSTRUCTION, vec![5, 0]);
        tbs.entry(1).extensions.push(der::Extension {
            critical: true,
            ..unknown
        });
    }),
    ("entry_der", Good::Full, |tbs| {
        tbs.entry(2).extensions.push(reason(5))
    }),
    ("entry_der", Good::Full, |tbs| {
        tbs.entry(2).extensions[0].value = vec![2, 1, 5]
    }),
    ("serial_order", Good::Full, |tbs| tbs.list().swap(2, 3)),
    ("serial_order", Good::Full, |tbs| repeat(tbs, 1)),
    ("serial_order", Good::Full, |tbs| repeat(tbs, 3)),
    ("entry_differs", Good::Full, |tbs| {
        tbs.entry(2).extensions.clear()
    }),
    ("entry_differs", Good::Full, |tbs| {
        tbs.entry(0).extensions[0] = reason(4)
    }),
    ("entry_differs", Good::Full, |tbs| {
        tbs.entry(0).extensions[1] = extension(INVALIDITY_DATE, general("20240101000000Z"));
    }),
    ("entry_differs", Good::Full, |tbs| add(tbs, 0x2201, 2)),
    ("entry_differs", Good::Full, |tbs| add(tbs, 0x8045, 4)),
    ("entry_differs", Good::Empty, |tbs| {
        tbs.list = Some(vec![plain(0x8045)])
    }),
    ("entry_missing", Good::Full, |tbs| {
        drop(tbs.list().remove(0))
    }),
    ("entry_missing", Good::Full, |tbs| drop(tbs.list().pop())),
    ("entry_missing", Good::Full, |tbs| {
        tbs.entry(3).serial = integer(0x8045)
    }),
    ("entry_missing", Good::Full, |tbs| tbs.list().clear()),
    ("entry_missing", Good::Full, |tbs| tbs.list = None),
    ("entry_missing", Good::Delta, |tbs| {
        drop(tbs.list().remove(0))
    }),
    ("entry_time_form", Good::Full, |tbs| {
        tbs.entry(3).date = general("20260101000000Z")
    }),
    ("entry_extension", Good::Full, |tbs| {
        tbs.entry(0).extensions[1].critical = true
    }),
    ("entry_extension", Good::Full, |tbs| {
        tbs.entry(1).extensions = vec![extension(HOLD_INSTRUCTION, vec![5, 0])]
    }),
    ("reason_unknown", Good::Full, |tbs| {
        tbs.entry(2).extensions = vec![reason(11)]
    }),
    ("reason_unknown", Good::Delta, |tbs| {
        tbs.entry(1).extensions = vec![reason(255)]
    }),
];

pub(super) const CONTRADICTIONS: &[Bad] = &[
    ("number_not_risen", Good::Full, |tbs| {
        tbs.extension(CRL_NUMBER).value = integer(1)
    }),
    ("number_not_risen", Good::Full, |tbs| {
        without(tbs, CRL_NUMBER)
    }),
    ("scope_changed", Good::Full, |tbs| without(tbs, IDP)),
    ("scope_changed", Good::Previous, |tbs| without(tbs, IDP)),
    ("scope_changed", Good::Previous, |tbs| {
        tbs.extensions.push(extension(DELTA_INDICATOR, integer(1)))
    }),
    ("entry_vanished", Good::Full, |tbs| drop(tbs.list().pop())),
    ("entry_vanished", Good::Full, |tbs| {
        drop(tbs.list().drain(..3))
    }),
    ("entry_vanished", Good::Previous, |tbs| add(tbs, 0x7000, 3)),
    ("entry_vanished", Good::Previous, |tbs| {
        // Other software need not keep the order.
        add(tbs, 0x7000, 3);
        tbs.list().reverse();
    }),
    ("date_moved", Good::Previous, |tbs| {
        tbs.entry(3).date = utc("251231235959Z")
    }),
    ("date_moved", Good::Previous, |tbs| {
        tbs.entry(0).date = utc("251231235959Z");
        tbs.list().reverse();
    }),
    ("reason_changed", Good::Full, |tbs| {
        drop(tbs.entry(0).extensions.remove(0))
    }),
    ("reason_changed", Good::Previous, |tbs| {
        tbs.entry(1).extensions = vec![reason(1)]
    }),
    ("empty_after_entries", Good::Full, |tbs| tbs.list().clear()),
    ("previous_unreadable", Good::Previous, |tbs| {
        tbs.entry(3).date = utc("2601010000Z")
    }),
];

pub(super) const MISFITS: &[Bad] = &[
    ("delta_number", Good::Delta, |tbs| {
        tbs.extension(CRL_NUMBER).value = integer(NUMBER - 1)
    }),
    ("delta_base", Good::Delta, |tbs| {
        without(tbs, DELTA_INDICATOR)
    }),
    ("delta_base", Good::Delta, |tbs| {
        tbs.extension(DELTA_INDICATOR).value = integer(NUMBER + 1)
    }),
    ("delta_scope", Good::Delta, |tbs| without(tbs, IDP)),
    ("delta_incomplete", Good::Delta, |tbs| {
        drop(tbs.list().remove(0))
    }),
    ("delta_incomplete", Good::Delta, |tbs| tbs.list = None),
    ("delta_incomplete", Good::Delta, |tbs| {
        tbs.entry(1).date = utc("251231235959Z")
    }),
    ("delta_incomplete", Good::Delta, |tbs| add(tbs, 0x7000, 2)),
];

fn without(tbs: &mut Tbs, id: &[u8]) {
    tbs.extensions.retain(|extension| extension.id != id);
}

/// Appends to the issuing distribution point.
fn point(tbs: &mut Tbs, more: &[u8]) {
    let value = tbs.extension(IDP).value.clone();
    tbs.extension(IDP).value = der::sequence(&[der::only(&value).content, more]);
}

fn repeat(tbs: &mut Tbs, at: usize) {
    let entry = tbs.entry(at).clone();
    tbs.list().insert(at, entry);
}

fn plain(serial: u64) -> Entry {
    Entry {
        serial: integer(serial),
        date: utc("260101000000Z"),
        extensions: vec![],
    }
}

fn add(tbs: &mut Tbs, serial: u64, at: usize) {
    tbs.list().insert(at, plain(serial));
}
