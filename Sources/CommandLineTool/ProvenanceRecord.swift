internal import Baking
internal import Foundation
internal import ImageFormat
internal import Model
internal import Ports
internal import RegistryClient
internal import Trust

/// Says how an image was made, once it has seen that the recipe at hand gives exactly this image.
struct ProvenanceRecord {
    let session: BakeSession
    let builder: String

    /// Throws `conflict` where recipe, lock and files give another image.
    func provenance(of image: Digest) async throws -> Provenance {
        let (texts, folder) = (session.reading.texts, session.folder)
        guard let spec = texts.first, let lock = try session.lockThatIs() else {
            throw Failure(
                .fileMissing, "a provenance needs the spec and the lock that the image was baked from",
                at: folder, suggestion: "name the spec with --file, and bake first")
        }
        let start = Instant.fromClock
        let result = try await session.bake()
        guard result.image.digest == image else {
            throw Failure(
                .conflict, "this recipe gives \(result.image.digest), and the image to be signed is \(image)",
                at: "\(folder)/\(spec.path)",
                suggestion: "check out what the image was baked from, or bake, push and sign anew")
        }
        let source = try GitSource(session.reading).source()
        var materials = try ProvenanceRecord.packages(of: image, lock, session.store)
        materials += ProvenanceRecord.elsewhere(lock)
        if let source {
            materials.append(
                Provenance.Material(
                    uri: source.repository.map { "git+\($0)" } ?? "git+file:",
                    digests: ["gitCommit": source.commit]))
        }
        return Provenance(
            recipe: spec.sha256,
            includes: texts.dropFirst().map { Provenance.Include(path: $0.path, sha256: $0.sha256) },
            source: source, materials: materials, builder: builder,
            // Of an earlier bake only its end is known.
            startedOn: result.wasCached ? nil : start, finishedOn: result.record.bakedAt,
            log: try session.store.write(Array(result.log.utf8)))
    }

    /// The image below, downloads, and parts of repositories.
    private static func elsewhere(_ lock: Lock) -> [Provenance.Material] {
        var materials: [Provenance.Material] = []
        if let from = lock.from {
            materials.append(
                Provenance.Material(uri: ProvenanceRecord.uri(of: from), digests: ["sha256": from.digest.hex])
            )
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

    /// The image below, as a package URL: by the name of its repository where it is in a registry.
    static func uri(of image: Lock.BaseImage) -> String {
        guard case .registry(let reference)? = try? ImageLocation(parsing: image.name) else {
            let path = image.name.split(separator: ":").dropFirst().first.map(String.init) ?? image.name
            let name = path.split(separator: "/").last { $0 != "." && $0 != ".." }
            return PackageURL.text(image: name.map(String.init) ?? "image", image.digest)
        }
        let repository = "\(reference.repository)"
        return PackageURL.text(
            image: repository.split(separator: "/").last.map(String.init) ?? repository, image.digest,
            repository: "\(reference.host)/\(repository)", tag: reference.tag?.text)
    }

    /// Every package of the lock, those of its build steps too, by the name that scanners know it by.
    private static func packages(of image: Digest, _ lock: Lock, _ store: any ImageStore) throws
        -> [Provenance.Material]
    {
        let contents = try ImageContents(image, store: store)
        let installed = Dictionary(contents.packages.map { ($0.name, $0) }) { first, _ in first }
        return packages(lock, installed: installed, contents.distribution)
    }

    /// - Parameter installed: what the image's own records say of its packages
    static func packages(
        _ lock: Lock, installed: [String: InstalledPackage], _ distribution: ImageDistribution?
    ) -> [Provenance.Material] {
        var seen: Set<Provenance.Material> = []
        func materials(
            _ part: Lock, _ installed: [String: InstalledPackage], _ distribution: ImageDistribution?
        ) -> [Provenance.Material] {
            part.packages.compactMap { package in
                let known =
                    installed[package.name].flatMap { $0.version == package.version ? $0 : nil }
                    ?? InstalledPackage(
                        name: package.name, version: package.version, architecture: package.architecture)
                let material = Provenance.Material(
                    uri: PackageURL.text(
                        known, of: distribution ?? ImageDistribution(id: "unknown", version: "")),
                    digests: ["sha256": package.sha256.hex])
                return seen.insert(material).inserted ? material : nil
            }
        }
        func named(_ part: Lock) -> ImageDistribution? {
            part.distribution.map { ImageDistribution(id: $0.vendor, version: $0.suite) }
        }
        let own = distribution ?? named(lock)
        var found = materials(lock, installed, own)
        for build in lock.builds {
            let isSame = build.distribution == nil || build.distribution == lock.distribution
            found += materials(build, [:], isSame ? own : named(build))
        }
        return found
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
