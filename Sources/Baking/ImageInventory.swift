internal import Foundation
internal import ImageFormat
package import Model
package import Ports

/// What is in an image, as far as it can be asked for: its distribution and packages, and the SHA-256 of each of its
/// files.
package struct ImageInventory: Hashable, Sendable {
    package let distribution: ImageDistribution?
    package let packages: [InstalledPackage]
    /// Sorted, 32 bytes each.
    private let files: [UInt8]

    private static let firstLine = "kiln image inventory 3"
    private static let width = 32

    private static func key(_ image: Digest) -> String { "inventory/\(image.hex)" }

    /// From the store's cache, since to read an image takes seconds and it never changes; a record there that is not as
    /// it was written is made again. Who can write to the cache can write such a record: what decides uses `read`.
    ///
    /// Throws `notFound` where the store has no such image any more.
    package static func of(_ image: Digest, in store: any ImageStore) throws -> ImageInventory {
        if let known = store.cached(key(image)).flatMap({ ImageInventory(decoding: $0) }) { return known }
        let inventory = try read(image, in: store)
        try store.cache(key(image), inventory.encoded)
        return inventory
    }

    /// From the image's layers, each held against its digest.
    package static func read(_ image: Digest, in store: any ImageStore) throws -> ImageInventory {
        ImageInventory(try ImageContents(image, store: store))
    }

    private init(_ contents: ImageContents) {
        (distribution, packages) = (contents.distribution, contents.packages)
        var found: Set<Digest> = []
        for file in contents.files.values where file.entry.kind == .file {
            found.insert(.sha256(file.content))
        }
        files = found.sorted().flatMap(\.bytes)
    }

    package func hasPackage(_ name: String, version: String) -> Bool {
        packages.contains {
            ($0.name == name && $0.version == version)
                || ($0.source?.name == name && $0.source?.version == version)
        }
    }

    package func hasFile(_ digest: Digest) -> Bool {
        let wanted = digest.bytes
        var (low, high) = (0, files.count / ImageInventory.width)
        while low < high {
            let middle = (low + high) / 2
            let found = files[middle * ImageInventory.width..<(middle + 1) * ImageInventory.width]
            if found.elementsEqual(wanted) { return true }
            if found.lexicographicallyPrecedes(wanted) { low = middle + 1 } else { high = middle }
        }
        return false
    }

    // MARK: Kept

    private var encoded: [UInt8] {
        var lines = [
            ImageInventory.firstLine, distribution?.id ?? "", distribution?.version ?? "",
            "\(packages.count)",
        ]
        for package in packages {
            let source = package.source.map { [$0.name, $0.version] } ?? []
            lines.append(
                ([package.name, package.version, package.architecture] + source).joined(separator: " "))
        }
        let body = Array(lines.map { $0 + "\n" }.joined().utf8) + files
        return Array(Digest.sha256(body).hex.utf8) + [UInt8(ascii: "\n")] + body
    }

    private init?(decoding bytes: [UInt8]) {
        var rest = bytes[...]
        func line() -> String? {
            guard let end = rest.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
            defer { rest = rest[(end + 1)...] }
            return String(decoding: rest[..<end], as: UTF8.self)
        }
        guard let sum = line(), sum == Digest.sha256(Array(rest)).hex,
            line() == ImageInventory.firstLine, let id = line(), let version = line(),
            let count = line().flatMap({ Int($0) }), count >= 0,
            count <= bytes.count
        else { return nil }
        var packages: [InstalledPackage] = []
        for _ in 0..<count {
            guard let words = line()?.split(separator: " ").map(String.init),
                words.count == 3 || words.count == 5
            else { return nil }
            packages.append(
                InstalledPackage(
                    name: words[0], version: words[1], architecture: words[2],
                    source: words.count == 5 ? .init(name: words[3], version: words[4]) : nil))
        }
        guard rest.count.isMultiple(of: ImageInventory.width) else { return nil }
        distribution = id.isEmpty ? nil : ImageDistribution(id: id, version: version)
        self.packages = packages
        files = Array(rest)
    }
}

extension Digest {
    fileprivate var bytes: [UInt8] {
        var bytes: [UInt8] = []
        var high: UInt8?
        for digit in hex.utf8 {
            let value = digit < 0x60 ? digit - 0x30 : digit - 0x57
            if let first = high {
                bytes.append(first << 4 | value)
                high = nil
            } else {
                high = value
            }
        }
        return bytes
    }
}
