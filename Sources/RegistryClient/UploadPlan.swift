/// How a blob's bytes go up: in one request, or in chunks that can be taken up again.
package enum UploadPlan {
    package enum Limit {
        /// One chunk, what is sent again at most after a broken connection. Smaller blobs go up in one request.
        package static let chunk = 64 << 20
        /// A registry may ask for larger chunks, up to this.
        package static let largestChunk = 1 << 30
    }

    package enum Request: Hashable, Sendable {
        /// PUT with the digest and these bytes, which end the blob.
        case finish(Range<Int>)
        /// PATCH with these bytes.
        case chunk(Range<Int>)
    }

    /// What to send when the registry has the first `received` of `size` bytes.
    ///
    /// - Parameter smallest: `OCI-Chunk-Min-Length` of the answer that opened the upload
    package static func next(size: Int, received: Int, smallest: Int? = nil, chunk: Int = Limit.chunk)
        -> Request
    {
        precondition((0...size).contains(received), "a registry has no more of a blob than there is")
        if received == 0, size <= chunk { return .finish(0..<size) }
        if received == size { return .finish(size..<size) }
        let length = max(chunk, min(smallest ?? 0, Limit.largestChunk))
        return .chunk(received..<min(received + length, size))
    }

    /// `Content-Range` of a chunk, as the distribution spec writes it: both ends included, no unit.
    package static func contentRange(_ range: Range<Int>) -> String {
        "\(range.lowerBound)-\(range.upperBound - 1)"
    }

    /// How many bytes a registry says it has: `0-1023`, or `bytes=0-1023`. `0-0` is one byte by the letter, and
    /// none from registries that have no other way to say so; nil where the header makes no sense.
    package static func received(_ header: String?, size: Int) -> Int? {
        guard var text = header?[...] else { return nil }
        if text.hasPrefix("bytes=") { text = text.dropFirst(6) }
        let ends = text.split(separator: "-", omittingEmptySubsequences: false)
        guard ends.count == 2, Int(ends[0]) == 0, let last = Int(ends[1]), last >= 0, last < max(size, 1)
        else {
            return nil
        }
        return last == 0 ? 0 : last + 1
    }
}
