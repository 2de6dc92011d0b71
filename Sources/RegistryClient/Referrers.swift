internal import Foundation
package import ImageFormat
package import Model
internal import NIOHTTP1

extension Repository {
    /// What refers to an image: signatures, bills of materials. From the registry's own list where it keeps one,
    /// else from the index under the fallback tag.
    package func referrers(of subject: Digest) async throws -> [OCIDescriptor] {
        if let listed = try await listedReferrers(of: subject) { return listed }
        return try await taggedReferrers(of: subject)?.manifests ?? []
    }

    /// nil where the registry has no such list.
    private func listedReferrers(of subject: Digest) async throws -> [OCIDescriptor]? {
        var found: [OCIDescriptor] = []
        var address = address("referrers/\(subject)")
        for _ in 1...Limit.referrerPages {
            var call = Call(method: .GET, address: address, scopes: scopes(), followsRedirects: true)
            call.headers.add(name: "Accept", value: OCIDescriptor.indexType)
            let answer = try await connection.send(call)
            guard answer.status == 200 else {
                await answer.drain()
                // The spec says 404; older registries say what they say to any path that they do not know.
                if (400..<500).contains(answer.status), answer.status != 401, answer.status != 403 {
                    return nil
                }
                throw Refusal.failure(
                    status: answer.status, words: nil, "listing what refers to an image of \(place)",
                    at: "\(address)")
            }
            let body = try await answer.body(limit: ImageDocument.Limit.bytes)
            guard let index = try? OCIIndex(parsing: body) else { return nil }
            found += index.manifests
            guard found.count <= ReferrersIndex.Limit.descriptors,
                let next = Repository.next(answer.header("Link"))
            else { return found }
            address = try answer.address.resolving(next)
        }
        return found
    }

    /// `<address>; rel="next"` (RFC 8288).
    static func next(_ link: String?) -> String? {
        guard let link, let open = link.firstIndex(of: "<"), let close = link.firstIndex(of: ">"),
            open < close,
            link[close...].contains("next")
        else { return nil }
        return String(link[link.index(after: open)..<close])
    }

    private func taggedReferrers(of subject: Digest) async throws -> OCIIndex? {
        guard let document = try await document(ReferrersIndex.tag(of: subject).text) else { return nil }
        return try OCIIndex(parsing: document.bytes)
    }

    /// Sees to it that a manifest with a subject is found by it. Some registries claim to list it and do not.
    func list(_ document: ImageDocument, isClaimed: Bool) async throws {
        guard let subject = document.subject?.digest else { return }
        if isClaimed, let listed = try await listedReferrers(of: subject),
            listed.contains(where: { $0.digest == document.digest })
        {
            return
        }
        let index = try await taggedReferrers(of: subject) ?? OCIIndex(manifests: [])
        guard let merged = try ReferrersIndex.adding(document.referrerDescriptor, to: index) else { return }
        try await put(try ImageDocument(merged.bytes), tag: ReferrersIndex.tag(of: subject))
    }
}
