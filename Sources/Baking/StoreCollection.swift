package import Model
package import Ports

/// Clears a store of what nobody needs.
package struct StoreCollection: Sendable {
    /// What is kept although nothing names it.
    package struct Policy: Hashable, Sendable {
        /// Images of each service, the newest ones.
        package var imagesPerService: Int
        /// Packages, their unpacked parts and other blobs that were used since then: the next bake may want them.
        package var unusedFor: Span

        package static let usual = Policy(imagesPerService: 3, unusedFor: .seconds(30 * 86_400))

        /// What is younger is kept in any case: somebody may be about to deploy it.
        static let youth = Span.seconds(3_600)

        package init(imagesPerService: Int, unusedFor: Span) {
            self.imagesPerService = imagesPerService
            self.unusedFor = unusedFor
        }
    }

    /// What goes.
    package struct Garbage: Sendable {
        package var images: [ImageRecord] = []
        package var cached: [StoredFile<String>] = []
        package var blobs: [StoredFile<Digest>] = []
        package var leftovers: [StoredFile<String>] = []
        package var toolFiles: [StoredFile<String>] = []

        /// In the order in which it goes: whatever ends a collection on its way, no image is left that lacks a part.
        var removals: [Removal] {
            images.map { .image($0.digest) } + cached.map { .cached($0.name) } + blobs.map { .blob($0.name) }
                + (leftovers + toolFiles).map { .leftover($0.name) }
        }

        /// Bytes on the disk.
        package var size: Int {
            (cached.map(\.size) + blobs.map(\.size) + (leftovers + toolFiles).map(\.size)).reduce(0, +)
        }
    }

    enum Removal: Hashable {
        case image(Digest), cached(String), blob(Digest), leftover(String)
    }

    private let store: any CollectibleStore

    package init(_ store: any CollectibleStore) { self.store = store }

    /// Finds what nobody needs, and removes it unless `isDryRun`. `inUse` gives the images of releases, and is asked
    /// once nobody uses the store: what was deployed until then counts.
    package func run(
        inUse: () throws -> Set<Digest>, policy: Policy = .usual, isDryRun: Bool,
        now: () -> Instant
    ) async throws -> Garbage {
        try await store.collecting {
            let garbage = try find(try inUse(), policy, now())
            if !isDryRun { for removal in garbage.removals { try remove(removal) } }
            return garbage
        }
    }

    private func find(_ inUse: Set<Digest>, _ policy: Policy, _ now: Instant) throws -> Garbage {
        var garbage = Garbage()
        let images = try store.images()
        let kept = StoreCollection.kept(images, inUse, policy, now)
        garbage.images = images.filter { !kept.contains($0.digest) }
        var needed: Set<Digest> = []
        let parts = ImageParts(store)
        for image in images where kept.contains(image.digest) {
            needed.formUnion(try parts.of(image.digest))
            if let index = image.index { needed.formUnion(try parts.of(index)) }
            needed.formUnion(image.evidence ?? [])
        }
        for digest in inUse where !images.contains(where: { $0.digest == digest }) {
            needed.formUnion(try parts.of(digest))
        }
        func isOld(_ file: StoredFile<some Any>) -> Bool { file.usedAt + policy.unusedFor <= now }
        garbage.blobs = try store.blobs().filter { !needed.contains($0.name) && isOld($0) }
        garbage.cached = try store.cachedKeys().filter(isOld)
        garbage.leftovers = try store.leftovers()
        garbage.toolFiles = try store.toolFiles().filter(isOld)
        return garbage
    }

    /// The images that stay.
    static func kept(
        _ images: [ImageRecord], _ inUse: Set<Digest>, _ policy: Policy, _ now: Instant
    ) -> Set<Digest> {
        var kept = inUse
        for image in images {
            let isNamed = !(image.names ?? []).isEmpty
            // One that was pulled by its digest alone has nobody to ask for.
            let age = image.service == nil ? max(policy.unusedFor, Policy.youth) : Policy.youth
            if isNamed || image.bakedAt + age > now { kept.insert(image.digest) }
        }
        let byService = Dictionary(grouping: images.filter { $0.service != nil }, by: \.service)
        for images in byService.values {
            kept.formUnion(
                images.sorted { ($0.bakedAt, $0.digest) > ($1.bakedAt, $1.digest) }
                    .prefix(policy.imagesPerService).map(\.digest))
        }
        return kept
    }

    func remove(_ removal: Removal) throws {
        switch removal {
        case .image(let digest): try store.forget(image: digest)
        case .cached(let key): try store.remove(cached: key)
        case .blob(let digest): try store.remove(blob: digest)
        case .leftover(let path): try store.remove(leftover: path)
        }
    }
}
