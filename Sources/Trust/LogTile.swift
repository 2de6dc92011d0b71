internal import Model

/// A part of a log as files that never change: 256 neighbours of one height, or 256 entries (c2sp.org/tlog-tiles).
package struct LogTile: Hashable, Sendable {
    package enum Kind: Hashable, Sendable {
        /// Hashes of complete subtrees with `256^level` leaves each.
        case hashes(level: Int)
        case entries
    }

    package static let width = 256
    /// Levels are two digits at most in the layout; a log of 2^62 entries has 8.
    private static let levelBits = 8

    package var kind: Kind
    package var index: Int
    /// How many are in it: 256, or fewer in the last of its level.
    package var count: Int

    package init(_ kind: Kind, index: Int, count: Int) {
        precondition(index >= 0 && (1...LogTile.width).contains(count), "a tile has 1 to 256 members")
        self.kind = kind
        self.index = index
        self.count = count
    }

    /// `tile/0/x001/x234/067.p/8`, below the log's address.
    package var path: String {
        var groups: [String] = []
        var rest = index
        repeat {
            let digits = String(rest % 1000)
            let padded = String(repeating: "0", count: 3 - digits.count) + digits
            groups.insert(groups.isEmpty ? padded : "x" + padded, at: 0)
            rest /= 1000
        } while rest > 0
        let folder =
            switch kind {
            case .hashes(let level): "tile/\(level)/"
            case .entries: "tile/entries/"
            }
        return folder + groups.joined(separator: "/") + (count < LogTile.width ? ".p/\(count)" : "")
    }

    /// The subtrees of a tile of hashes, or the leaves of one of entries.
    package var nodes: [MerkleNode] {
        let level = if case .hashes(let level) = kind { level * LogTile.levelBits } else { 0 }
        return (0..<count).map { MerkleNode(level: level, index: index * LogTile.width + $0) }
    }

    /// All tiles that a log of this size is read by: entries first, then the hashes, the lowest level first.
    package static func all(size: Int) -> [LogTile] {
        var kinds: [(Kind, Int)] = [(.entries, size)]
        var (level, count) = (0, size)
        while count > 0 {
            kinds.append((.hashes(level: level), count))
            (level, count) = (level + 1, count >> levelBits)
        }
        return kinds.flatMap { kind, count in
            stride(from: 0, to: count, by: width).map {
                LogTile(kind, index: $0 / width, count: min(width, count - $0))
            }
        }
    }
}

/// The bytes of a tile of entries: each with its length before it, 16 bits, the high byte first.
package enum EntryBundle {
    package enum Limit {
        /// What the length can say; larger things go in by their digest.
        package static let entry = 65_535
    }

    package static func encode(_ entries: [[UInt8]]) -> [UInt8] {
        entries.reduce(into: []) { bytes, entry in
            precondition(entry.count <= Limit.entry, "an entry has at most \(Limit.entry) bytes")
            bytes.append(UInt8(entry.count >> 8))
            bytes.append(UInt8(entry.count & 255))
            bytes += entry
        }
    }

    package static func decode(_ bytes: [UInt8]) throws -> [[UInt8]] {
        var entries: [[UInt8]] = []
        var position = 0
        while position < bytes.count {
            guard entries.count < LogTile.width, bytes.count - position >= 2 else { throw damaged }
            let size = Int(bytes[position]) << 8 | Int(bytes[position + 1])
            position += 2
            guard bytes.count - position >= size else { throw damaged }
            entries.append(Array(bytes[position..<position + size]))
            position += size
        }
        return entries
    }

    private static let damaged = Failure(
        .malformedEvidence, "a tile of entries is cut off, or has more than \(LogTile.width) of them",
        suggestion: "export the ledger again")
}
