internal import AsyncHTTPClient
package import ImageFormat
package import Model
internal import NIOCore
internal import NIOHTTP1

/// One repository of one registry, by the OCI distribution spec 1.1.
package struct Repository: Sendable {
    let connection: Connection
    package let host: RegistryHost
    package let name: RepositoryName

    enum Limit {
        /// Configs and other blobs that are read whole.
        static let smallBlob = 4 << 20
        static let referrerPages = 100
    }

    package var place: String { "\(host)/\(name)" }

    func address(_ path: String) -> WebAddress {
        WebAddress(origin: connection.origin, target: "/v2/\(name)/\(path)")
    }

    func scopes(isPush: Bool = false) -> Set<Scope> { [Scope(repository: name.text, isPush: isPush)] }

    private static let accepted = (OCIDescriptor.manifestTypes + OCIDescriptor.indexTypes).joined(
        separator: ", ")

    private func manifestCall(_ method: HTTPMethod, _ reference: String) -> Call {
        var call = Call(
            method: method, address: address("manifests/\(reference)"), scopes: scopes(),
            followsRedirects: true)
        call.headers.add(name: "Accept", value: Repository.accepted)
        return call
    }

    /// A manifest or index by tag or digest; nil where there is none. What comes under a digest has that digest.
    package func document(_ reference: String) async throws -> ImageDocument? {
        let answer = try await connection.send(manifestCall(.GET, reference))
        if answer.status == 404 {
            await answer.drain()
            return nil
        }
        guard answer.status == 200 else { throw await Refusal.failure(answer, "fetching \(place)") }
        let document = try ImageDocument(
            try await reading { try await answer.body(limit: ImageDocument.Limit.bytes) },
            mediaType: answer.header("Content-Type"))
        let stated = reference.hasPrefix("sha256:") ? reference : answer.header("Docker-Content-Digest")
        if let stated, stated.hasPrefix("sha256:"), stated != document.digest.description {
            throw Failure(
                .hashMismatch, "a manifest does not have the digest that it is named by",
                at: "\(place)@\(stated)",
                suggestion: "do not use this registry or mirror until somebody has looked at it")
        }
        return document
    }

    /// A body that breaks off is an answer that did not come.
    private func reading<Value>(_ body: () async throws -> Value) async throws -> Value {
        do {
            return try await body()
        } catch let failure as Failure {
            throw failure
        } catch {
            try Task.checkCancellation()
            throw Failure(
                .registryUnreachable, "the registry's answer broke off", at: place, cause: error)
        }
    }

    /// The digest of what a tag or digest names, without its content; nil where there is none or it is not said.
    package func digest(of reference: String) async throws -> Digest? {
        let answer = try await connection.send(manifestCall(.HEAD, reference))
        await answer.drain()
        guard answer.status == 200, let text = answer.header("Docker-Content-Digest"),
            text.hasPrefix("sha256:")
        else { return nil }
        return try Digest(parsing: text)
    }

    /// Puts a manifest or index under its digest, or under a tag. Everything that it names must be there.
    package func put(_ document: ImageDocument, tag: ImageTag? = nil) async throws {
        var call = Call(
            method: .PUT, address: address("manifests/\(tag?.text ?? document.digest.description)"),
            scopes: scopes(isPush: true), payload: .bytes(document.bytes))
        call.headers.add(name: "Content-Type", value: document.mediaType)
        let answer = try await connection.send(call)
        guard answer.status == 201 || answer.status == 200 || answer.status == 202 else {
            throw await Refusal.failure(answer, "pushing to \(place)")
        }
        await answer.drain()
        if let text = answer.header("Docker-Content-Digest"), text.hasPrefix("sha256:"),
            text != document.digest.description
        {
            throw Failure(
                .hashMismatch, "the registry stored the manifest under another digest, \(text.prefix(80))",
                at: "\(place)@\(document.digest)")
        }
        if document.subject != nil {
            try await list(document, isClaimed: answer.header("OCI-Subject") != nil)
        }
    }

    /// A small blob, checked.
    package func smallBlob(_ blob: OCIDescriptor) async throws -> [UInt8] {
        guard blob.size <= Limit.smallBlob else {
            throw Failure(.corruptArchive, "a config of \(blob.size) bytes is too large", at: place)
        }
        let answer = try await connection.send(blobCall(.GET, blob.digest))
        guard answer.status == 200 else {
            throw await Refusal.failure(answer, "fetching blob \(blob.digest.short) of \(place)")
        }
        let bytes = try await reading { try await answer.body(limit: Limit.smallBlob) }
        guard Digest.sha256(bytes) == blob.digest else { throw wrongDigest(blob) }
        return bytes
    }

    func blobCall(_ method: HTTPMethod, _ digest: Digest) -> Call {
        Call(
            method: method, address: address("blobs/\(digest)"), scopes: scopes(), followsRedirects: true)
    }

    /// Whether the repository has a blob.
    package func holds(_ digest: Digest) async throws -> Bool {
        let answer = try await connection.send(blobCall(.HEAD, digest))
        await answer.drain()
        switch answer.status {
        case 200: return true
        case 404: return false
        // The answer to HEAD has no words; whether this is an error shows when the blob is sent.
        default: return false
        }
    }

    func wrongDigest(_ blob: OCIDescriptor) -> Failure {
        Failure(
            .hashMismatch, "a blob does not have the digest that it is named by",
            at: "\(place)@\(blob.digest)",
            suggestion: "do not use this registry or mirror until somebody has looked at it")
    }
}
