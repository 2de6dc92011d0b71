package import Model

/// Reads what a feed knows of an image's packages: OSV records or the JSON of Debian's security tracker. Time is one
/// walk over the bytes; memory is what concerns the image.
package struct FeedReader: Sendable {
    package enum Limit {
        package static let bytes = 512 << 20
        /// Faults of one image's packages.
        static let faults = 100_000
    }

    let distribution: ImageDistribution
    /// Names of source packages.
    let sources: Set<String>

    /// Throws where nothing says of which release of a distribution the image is: then nothing in a feed is about it.
    package init(packages: [InstalledPackage], distribution: ImageDistribution?) throws {
        guard let distribution, !distribution.version.isEmpty, !packages.isEmpty else {
            throw Failure(
                .notFound, "the image does not say of which distribution and release its packages are",
                suggestion: "bake it from packages, base-files among them, or ask for no known faults")
        }
        self.distribution = distribution
        sources = Set(packages.map(\.sourcePackage.name))
    }

    /// What is found while a feed is walked over.
    struct Found {
        var faults: [KnownFault] = []
        var records = 0
        /// Whether anything in the feed is about the image's release.
        var speaksOfRelease = false
        /// Other releases that it is about, for the refusal.
        var others: Set<String> = []

        static let othersShown = 8

        mutating func add(_ fault: KnownFault, _ scanner: JSONScanner) throws {
            guard faults.count < Limit.faults else {
                throw scanner.damage("it knows more than \(Limit.faults) faults of the image's packages")
            }
            faults.append(fault)
        }
    }

    /// Throws where any of it cannot be read, or where it says nothing of the image's release.
    ///
    /// - Parameter writtenAt: when the feed was written last
    package func read(_ bytes: UnsafeRawBufferPointer, writtenAt: Instant) throws -> FaultFeed {
        guard bytes.count <= Limit.bytes else {
            throw Failure(.invalidArgument, "it has more than \(Limit.bytes) bytes")
        }
        var scanner = JSONScanner(bytes)
        var found = Found()
        if try TrackerFeed.isTracker(bytes) {
            try TrackerFeed(reader: self).read(&scanner, &found)
            guard scanner.peek() == nil else { throw scanner.damage("something follows its end") }
        } else {
            try OSVFeed(reader: self).read(&scanner, &found)
        }
        guard found.records > 0 else {
            throw Failure(
                .corruptArchive, "it holds no record", suggestion: "fetch the feed again, whole")
        }
        guard found.speaksOfRelease else {
            let others = found.others.sorted().prefix(Found.othersShown).joined(separator: ", ")
            throw Failure(
                .notFound,
                "it says nothing of \(distribution.id) \(distribution.version)"
                    + (others.isEmpty ? "" : ", and speaks of \(others)"),
                suggestion: "use a feed of the image's distribution")
        }
        return FaultFeed(faults: found.faults, records: found.records, writtenAt: writtenAt)
    }

    /// Reads bytes that are in memory.
    package func read(_ bytes: [UInt8], writtenAt: Instant) throws -> FaultFeed {
        try bytes.withUnsafeBytes { try read($0, writtenAt: writtenAt) }
    }
}
