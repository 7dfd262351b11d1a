import java.io.ByteArrayInputStream;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.cert.*;
import java.util.*;

/** Java's own path validation. Each line of standard input is a question, `crl TRUST LEAF CRL...` or
 *  `ocsp TRUST LEAF URL`; each line of output is GOOD, REVOKED or REFUSED with a reason. */
class Pkix {
    static final CertificateFactory X509;
    static { try { X509 = CertificateFactory.getInstance("X.509"); } catch (Exception e) { throw new Error(e); } }

    static X509Certificate certificate(String file) throws Exception {
        return (X509Certificate) X509.generateCertificate(new ByteArrayInputStream(Files.readAllBytes(Path.of(file))));
    }

    static String ask(String[] words) throws Exception {
        var anchors = new HashSet<TrustAnchor>();
        for (var one : X509.generateCertificates(new ByteArrayInputStream(Files.readAllBytes(Path.of(words[1]))))) {
            anchors.add(new TrustAnchor((X509Certificate) one, null));
        }
        var parameters = new PKIXParameters(anchors);
        var validator = CertPathValidator.getInstance("PKIX");
        var checker = (PKIXRevocationChecker) validator.getRevocationChecker();
        var options = EnumSet.of(PKIXRevocationChecker.Option.NO_FALLBACK);
        if (words[0].equals("crl")) {
            options.add(PKIXRevocationChecker.Option.PREFER_CRLS);
            var crls = new ArrayList<CRL>();
            for (String file : Arrays.copyOfRange(words, 3, words.length)) {
                crls.add(X509.generateCRL(new ByteArrayInputStream(Files.readAllBytes(Path.of(file)))));
            }
            parameters.addCertStore(CertStore.getInstance("Collection", new CollectionCertStoreParameters(crls)));
        } else {
            checker.setOcspResponder(URI.create(words[3]));
        }
        checker.setOptions(options);
        parameters.addCertPathChecker(checker);
        validator.validate(X509.generateCertPath(List.of(certificate(words[2]))), parameters);
        return "GOOD";
    }

    public static void main(String[] args) throws Exception {
        for (String line : new String(System.in.readAllBytes()).split("\n")) {
            String verdict;
            try {
                verdict = ask(line.split(" "));
            } catch (CertPathValidatorException e) {
                boolean revoked = e.getReason() == CertPathValidatorException.BasicReason.REVOKED;
                verdict = revoked ? "REVOKED" : "REFUSED " + e;
            } catch (CRLException e) {
                verdict = "REFUSED " + e;
            }
            System.out.println(verdict.replace('\n', ' '));
        }
    }
}
