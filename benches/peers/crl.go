// Times Go's own x509.CreateRevocationList: go run crl.go ENTRIES RUNS. Prints JSON.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"fmt"
	"math/big"
	"os"
	"runtime"
	"strconv"
	"time"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	entries, err := strconv.Atoi(os.Args[1])
	must(err)
	runs, err := strconv.Atoi(os.Args[2])
	must(err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Bench CA"}, NotBefore: now,
		NotAfter: now.AddDate(9, 0, 0), KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, IsCA: true,
		BasicConstraintsValid: true, SubjectKeyId: []byte{1, 2, 3, 4}}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key)
	must(err)
	ca, err = x509.ParseCertificate(der)
	must(err)
	list := make([]x509.RevocationListEntry, entries)
	for n := range list {
		hash := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(n)))
		hash[0] &= 0x7f
		reason := []int{0, 1, 4}[n%3]
		list[n] = x509.RevocationListEntry{SerialNumber: new(big.Int).SetBytes(hash[:16]),
			RevocationTime: now.Add(-time.Duration(n%30000000+1) * time.Second), ReasonCode: reason}
	}
	template := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: now, NextUpdate: now.AddDate(0, 0, 7),
		RevokedCertificateEntries: list}
	for run := 0; run < runs; run++ {
		start := time.Now()
		crl, err := x509.CreateRevocationList(rand.Reader, template, ca, key)
		must(err)
		fmt.Printf("{\"seconds\": %f, \"bytes\": %d, \"version\": %q}\n", time.Since(start).Seconds(), len(crl), runtime.Version())
	}
}
