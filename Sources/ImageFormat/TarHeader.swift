/// The layout of a tar header block (POSIX ustar): where each field begins and how long it is.
enum TarHeader {
    static let blockSize = 512

    static let name = 0..<100
    static let mode = 100..<108
    static let uid = 108..<116
    static let gid = 116..<124
    static let size = 124..<136
    static let modifiedAt = 136..<148
    static let checksum = 148..<156
    static let type = 156
    static let link = 157..<257
    static let magic = 257..<265
    static let deviceMajor = 329..<337
    static let deviceMinor = 337..<345
    static let prefix = 345..<500

    /// Bytes that fill content up to whole blocks.
    static func padding(after size: Int) -> Int { (blockSize - size % blockSize) % blockSize }

    /// The sum of all bytes with the checksum field taken as spaces.
    static func sum(_ block: UnsafeRawBufferPointer) -> Int {
        var sum = 8 * 0x20
        for position in 0..<checksum.lowerBound { sum += Int(block[position]) }
        for position in checksum.upperBound..<blockSize { sum += Int(block[position]) }
        return sum
    }
}
