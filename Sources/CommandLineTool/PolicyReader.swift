internal import Foundation
package import Model
internal import SpecFile
package import Trust

/// Reads policies as people wrote them, and puts the keys that they name into them.
package enum PolicyReader {
    private enum Limit {
        static let bytes = 1 << 20
    }

    /// The keys of a host, as `kiln key` keeps them: `$KILN_KEYS`, else `ROOT/keys`.
    package static func ring(root: String) throws -> KeyRing {
        let stated = ProcessInfo.processInfo.environment["KILN_KEYS"]
        return try KeyFolder(path: stated ?? root + "/keys").ring()
    }

    /// What a host asks of every image: `ROOT/policy.yaml`. nil only where there is no such file; one that cannot be
    /// read is a failure, since a host that asks for something must not come to ask for nothing.
    package static func host(root: String, ring: KeyRing) throws -> AdmissionPolicy? {
        let path = root + "/" + HostPolicy.name
        var status = stat()
        // A link that leads nowhere is no missing file.
        if lstat(path, &status) != 0, errno == ENOENT { return nil }
        return try host(file: path, ring: ring)
    }

    /// A host's policy in any file.
    package static func host(file path: String, ring: KeyRing) throws -> AdmissionPolicy {
        let draft = try HostPolicy.parse(try text(path), file: path)
        return try draft.resolved { name in
            if name.hasPrefix("/") { return [try key(file: name, called: name)] }
            let named = ring.keys.filter { $0.name == name && $0.role == .build }
            guard !named.isEmpty else {
                let known = Set(ring.keys.filter { $0.role == .build }.map(\.name)).sorted()
                throw Failure(
                    .notFound, "keys names \(name), and this host has no build key with that name", at: path,
                    suggestion: known.isEmpty
                        ? "kiln key generate \(name) --role build"
                        : "there are: \(known.joined(separator: ", "))")
            }
            return named.map(AdmissionPolicy.Key.init)
        }
    }

    /// Who may go into the instances of a host: the usual, where `ROOT/policy.yaml` does not say or is not there.
    package static func breakGlass(root: String) throws -> BreakGlassRule {
        try breakGlass(file: root + "/" + HostPolicy.name)
    }

    static func breakGlass(file path: String) throws -> BreakGlassRule {
        var status = stat()
        if lstat(path, &status) != 0, errno == ENOENT { return BreakGlassRule() }
        return try HostPolicy.parse(try text(path), file: path).breakGlass ?? BreakGlassRule()
    }

    /// The policy of a kiln.yaml that lies in `folder`.
    static func service(_ draft: PolicyDraft, folder: String) throws -> AdmissionPolicy {
        try draft.resolved(
            key: { [try key(file: "\(folder)/\($0)", called: $0)] },
            feed: {
                $0.hasPrefix("/") ? $0 : URL(fileURLWithPath: "\(folder)/\($0)").standardizedFileURL.path
            })
    }

    /// What a spec or a host's file asks for, told apart by the key `kiln` that every spec has.
    static func any(file path: String, ring: KeyRing) throws -> AdmissionPolicy {
        let text = try text(path)
        guard text.split(whereSeparator: \.isNewline).contains(where: { $0.hasPrefix("kiln:") }) else {
            return try host(file: path, ring: ring)
        }
        guard let draft = try SpecOptions.read(path).policy else {
            throw Failure(
                .invalidArgument, "this spec has no policy", at: path,
                suggestion: "add policy: {require: [signature]}")
        }
        return try service(
            draft, folder: URL(fileURLWithPath: path).standardizedFileURL.deletingLastPathComponent().path)
    }

    /// A public key in a PEM file.
    static func key(file path: String, called name: String) throws -> AdmissionPolicy.Key {
        guard let bytes = try KeyFolder.read(path, limit: KeyFile.Limit.bytes) else {
            throw Failure(.fileMissing, "there is no such file with a public key", at: path)
        }
        do {
            let publicKey = try PublicKey(pem: String(decoding: bytes, as: UTF8.self))
            try KeyRole.build.require(publicKey)
            return AdmissionPolicy.Key(name: name, publicKey: Base64.encode(publicKey.der))
        } catch let failure as Failure {
            throw failure.at(path)
        }
    }

    private static func text(_ path: String) throws -> String {
        guard let bytes = try KeyFolder.read(path, limit: Limit.bytes) else {
            throw Failure(.fileMissing, "there is no such file", at: path)
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw Failure(.invalidSpec, "this is not UTF-8 text", at: path)
        }
        return text
    }
}

extension AdmissionPolicy.Key {
    fileprivate init(_ key: TrustedKey) {
        self.init(name: key.name, publicKey: Base64.encode(key.publicKey.der))
    }
}
