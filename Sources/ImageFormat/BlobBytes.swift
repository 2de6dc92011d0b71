package import Model

/// The bytes of one blob where they lie: a whole mapped file, or a part of one, such as a member of an archive.
package struct BlobBytes: Sendable {
    private let file: MappedBytes
    private let range: Range<Int>

    package var count: Int { range.count }

    /// Maps a whole file.
    package init(file path: String) throws { self.init(try MappedBytes(file: path)) }

    package init(_ file: MappedBytes) {
        self.file = file
        range = 0..<file.count
    }

    /// A part of a mapped file.
    package init(_ file: MappedBytes, _ range: Range<Int>) {
        precondition(range.lowerBound >= 0 && range.upperBound <= file.count, "a blob lies in its file")
        self.file = file
        self.range = range
    }

    /// Lends the bytes for the length of a call.
    package func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
        try file.withBytes { try body(UnsafeRawBufferPointer(rebasing: $0[range])) }
    }

    /// The digest of the bytes as they are now.
    package var digest: Digest { withBytes { Digest.sha256($0) } }
}
