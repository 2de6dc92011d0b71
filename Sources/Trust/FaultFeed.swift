package import Model

/// What a feed knows of one image's packages.
package struct FaultFeed: Hashable, Sendable {
    package var faults: [KnownFault]
    /// Records in the whole feed.
    package var records: Int
    /// When the file was written last.
    package var writtenAt: Instant

    package init(faults: [KnownFault], records: Int, writtenAt: Instant) {
        self.faults = faults
        self.records = records
        self.writtenAt = writtenAt
    }

    /// What became of reading a feed.
    package enum Reading: Hashable, Sendable {
        case read(FaultFeed)
        case missing
        case unreadable(Failure)
        /// It was not read: which packages the image holds cannot be told.
        case packagesUnknown(Failure)
    }
}
