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

    /// Certificates by their path below `folder`, and those of the recipe. Throws where one is no certificate.
    /// With a Java store where Java asks for one.
    static func apply(
        _ certificates: [String: [UInt8]], own: [OwnCertificate] = [], to tree: inout EffectTree,
        withJavaStore: Bool
    ) throws {
        let names = certificates.keys.filter { $0.hasSuffix(".crt") }.sorted(by: TarEntry.precedes)
        guard !names.isEmpty || !own.isEmpty else { return }
        _ = tree.makeFolder("/etc/ssl/certs")
        _ = tree.makeFolder("/usr/local/share/ca-certificates")
        _ = tree.write("/etc/ca-certificates.conf", Array(configuration(names).utf8))
        var bundle: [UInt8] = []
        var used: [String: Int] = [:]
        // Links are made in the order of their names in /etc/ssl/certs, as openssl's rehash goes through them.
        var links: [(name: String, target: String, hash: String, pem: [UInt8])] = []
        func add(_ bytes: [UInt8], at target: String, hash: String) {
            bundle += bytes
            if bundle.last != UInt8(ascii: "\n") { bundle.append(UInt8(ascii: "\n")) }
            let base = ImagePath.name(of: target).dropLast(4).map {
                $0 == " " ? "_" : $0 == "(" || $0 == ")" ? "=" : $0
            }
            let name = String(base) + ".pem"
            links.removeAll { $0.name == name }
            links.append((name, target, hash, bytes))
        }
        for name in names {
            guard let bytes = certificates[name] else { continue }
            let hash = try DebArchive.locating("/\(folder)\(name)") { try CertificateName.hash(pem: bytes) }
            add(bytes, at: "/\(folder)\(name)", hash: hash)
        }
        for certificate in own {
            add(certificate.bytes, at: "/" + certificate.path, hash: try certificate.hash())
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
                alias: "debian:" + link.name.lowercased(), der: try CertificateName.decode(link.pem)
            )
        }.sorted { TarEntry.precedes($0.alias, $1.alias) }
        _ = tree.makeFolder("/etc/ssl/certs/java")
        _ = tree.write(
            "/etc/ssl/certs/java/cacerts", JavaKeyStore.trusting(trusted, madeAt: tree.modifiedAt))
        // What its script leaves for the Java that comes after it has been done.
        _ = tree.remove("/var/lib/ca-certificates-java/fresh")
    }
}

/// A certificate that a recipe puts where `update-ca-certificates` looks for those of the machine's owner.
struct OwnCertificate: Sendable {
    static let folder = "usr/local/share/ca-certificates/"

    private enum Limit {
        static let bytes = 1 << 20
    }

    /// Its path in the image.
    let path: String
    let bytes: [UInt8]
    /// Where its rule stands, and the file that it is of.
    let place: String
    let source: String

    /// Those among files, by their paths: what ends in `.crt`, below the folder at any depth.
    static func all(in files: SiteFiles) throws -> [OwnCertificate] {
        try files.items.filter { item in
            item.kind == .file && item.path.hasPrefix(folder) && item.path.hasSuffix(".crt")
        }.map { item in
            guard item.size <= Limit.bytes else {
                throw Failure(
                    .invalidArgument, "\(item.source) is too large for a certificate", at: item.place,
                    suggestion: "put it in another folder, or under a name that does not end in .crt")
            }
            return OwnCertificate(
                path: item.path, bytes: try files.content(item), place: item.place, source: item.source)
        }
    }

    func hash() throws -> String {
        do {
            return try CertificateName.hash(pem: bytes)
        } catch let failure as Failure {
            throw Failure(
                failure.code, "\(source) cannot be trusted: \(failure.message)", at: place,
                suggestion: "give it in PEM form: `openssl x509 -inform der -in FILE -out FILE.crt`")
        }
    }
}
