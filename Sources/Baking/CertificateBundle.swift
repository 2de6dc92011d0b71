import ImageFormat
import Model

/// What `update-ca-certificates` makes of the certificates that packages bring: one file of all, a link to each, and
/// the hash links that OpenSSL looks them up by.
enum CertificateBundle {
    static let folder = "usr/share/ca-certificates/"

    /// `/etc/ca-certificates.conf` of a first installation: every certificate is wanted.
    static func configuration(_ names: [String]) -> String {
        """
        # This file lists certificates that you wish to use or to ignore to be
        # installed in /etc/ssl/certs.
        # update-ca-certificates(8) will update /etc/ssl/certs by reading this file.

        """ + names.map { $0 + "\n" }.joined()
    }

    /// Certificates by their path below `folder`. Throws where one is no certificate.
    /// With a Java store where Java asks for one.
    static func apply(
        _ certificates: [String: [UInt8]], to tree: inout EffectTree, withJavaStore: Bool
    ) throws {
        let names = certificates.keys.filter { $0.hasSuffix(".crt") }.sorted(by: TarEntry.precedes)
        guard !names.isEmpty else { return }
        _ = tree.makeFolder("/etc/ssl/certs")
        _ = tree.makeFolder("/usr/local/share/ca-certificates")
        _ = tree.write("/etc/ca-certificates.conf", Array(configuration(names).utf8))
        var bundle: [UInt8] = []
        var used: [String: Int] = [:]
        // Links are made in the order of their names in /etc/ssl/certs, as openssl's rehash goes through them.
        var links: [(name: String, target: String, hash: String)] = []
        for name in names {
            guard let bytes = certificates[name] else { continue }
            let hash = try DebArchive.locating("/\(folder)\(name)") { try CertificateName.hash(pem: bytes) }
            bundle += bytes
            if bundle.last != UInt8(ascii: "\n") { bundle.append(UInt8(ascii: "\n")) }
            let base = ImagePath.name(of: name).dropLast(4).map {
                $0 == " " ? "_" : $0 == "(" || $0 == ")" ? "=" : $0
            }
            links.append((String(base) + ".pem", "/\(folder)\(name)", hash))
        }
        for link in links.sorted(by: { TarEntry.precedes($0.name, $1.name) }) {
            _ = tree.link(
                "/etc/ssl/certs/\(link.name)", to: link.target, replacing: true, insideFolder: false)
            let number = used[link.hash, default: 0]
            used[link.hash] = number + 1
            _ = tree.link(
                "/etc/ssl/certs/\(link.hash).\(number)", to: link.name, replacing: true, insideFolder: false)
        }
        _ = tree.write("/etc/ssl/certs/ca-certificates.crt", bundle)
        guard withJavaStore else { return }
        // By the names that ca-certificates-java gives them, in their order.
        let trusted = try links.map { link in
            (
                alias: "debian:" + link.name.lowercased(),
                der: try CertificateName.decode(
                    certificates[String(link.target.dropFirst(folder.count + 1))] ?? [])
            )
        }.sorted { TarEntry.precedes($0.alias, $1.alias) }
        _ = tree.makeFolder("/etc/ssl/certs/java")
        _ = tree.write(
            "/etc/ssl/certs/java/cacerts", JavaKeyStore.trusting(trusted, madeAt: tree.modifiedAt))
        // What its script leaves for the Java that comes after it has been done.
        _ = tree.remove("/var/lib/ca-certificates-java/fresh")
    }
}
