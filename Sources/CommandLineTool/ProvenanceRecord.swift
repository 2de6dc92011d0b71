internal import Baking
internal import Foundation
internal import ImageFormat
internal import Model
internal import Ports
internal import Trust

/// Says how an image was made, once it has seen that the recipe at hand gives exactly this image.
struct ProvenanceRecord {
    let session: BakeSession
    let specPath: String
    let builder: String

    /// Throws `conflict` where recipe, lock and files give another image.
    func provenance(of image: Digest) async throws -> Provenance {
        guard let spec = FileManager.default.contents(atPath: specPath), let lock = try session.lockThatIs()
        else {
            throw Failure(
                .fileMissing, "a provenance needs the spec and the lock that the image was baked from",
                at: specPath, suggestion: "name the spec with --file, and bake first")
        }
        let start = Instant.fromClock
        let result = try await session.bake()
        guard result.image.digest == image else {
            throw Failure(
                .conflict, "this recipe gives \(result.image.digest), and the image to be signed is \(image)",
                at: specPath,
                suggestion: "check out what the image was baked from, or bake, push and sign anew")
        }
        let source = try GitSource(session.spec, in: session.folder).source()
        var materials = try ProvenanceRecord.packages(of: image, lock, session.store)
        materials += ProvenanceRecord.elsewhere(lock)
        if let source {
            materials.append(
                Provenance.Material(
                    uri: source.repository.map { "git+\($0)" } ?? "git+file:",
                    digests: ["gitCommit": source.commit]))
        }
        return Provenance(
            recipe: Digest.sha256(of: Array(spec)), source: source, materials: materials, builder: builder,
            // Of an earlier bake only its end is known.
            startedOn: result.wasCached ? nil : start, finishedOn: result.record.bakedAt,
            log: try session.store.write(Array(result.log.utf8)))
    }

    /// The image below, downloads, and parts of repositories.
    private static func elsewhere(_ lock: Lock) -> [Provenance.Material] {
        var materials: [Provenance.Material] = []
        if let from = lock.from {
            materials.append(Provenance.Material(uri: from.name, digests: ["sha256": from.digest.hex]))
        }
        for fetched in lock.fetched {
            var digests = ["sha256": fetched.sha256.hex]
            let uri: String
            switch fetched.origin {
            case .url(let url): uri = url
            case .git(let repository, let commit, _, let path):
                uri = "git+\(repository)#\(path)"
                digests["gitCommit"] = commit
            }
            materials.append(Provenance.Material(uri: uri, digests: digests))
        }
        return materials
    }

    /// Every package of the lock, by the name that scanners know it by.
    private static func packages(of image: Digest, _ lock: Lock, _ store: any ImageStore) throws
        -> [Provenance.Material]
    {
        let contents = try ImageContents(image, store: store)
        guard
            let distribution = contents.distribution
                ?? lock.distribution.map({ ImageDistribution(id: $0.vendor, version: $0.suite) })
        else { return [] }
        let installed = Dictionary(contents.packages.map { ($0.name, $0) }) { first, _ in first }
        return lock.packages.map { package in
            let known =
                installed[package.name]
                ?? InstalledPackage(
                    name: package.name, version: package.version, architecture: package.architecture)
            return Provenance.Material(
                uri: PackageURL.text(known, of: distribution), digests: ["sha256": package.sha256.hex])
        }
    }
}

extension BakeResult {
    /// What the bake had to say, a line each. It is the same for the same recipe and lock.
    fileprivate var log: String {
        let lines =
            traced.map { "traced the scripts of \($0)" } + warnings.map { "warning: \($0)" }
            + notes.map { "note: \($0)" }
        return (["baked \(image.digest)"] + lines).map { $0 + "\n" }.joined()
    }
}
