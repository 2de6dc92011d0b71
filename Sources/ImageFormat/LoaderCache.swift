package import Model

/// Writes /etc/ld.so.cache in glibc's own format (`glibc-ld.so.cache1.1`), so that no program of the image
/// has to run while it is baked.
package enum LoaderCache {
    private static let headerSize = 48
    private static let entrySize = 24

    /// A cache of these libraries. Where a name occurs twice the one given first wins, as with ldconfig's
    /// folders.
    package static func build(
        libraries: [(soname: String, path: String)], architecture: Architecture
    ) -> [UInt8] {
        let sorted = libraries.enumerated().sorted { left, right in
            let order = compare(left.element.soname, right.element.soname)
            return order == 0 ? left.offset < right.offset : order > 0
        }.map(\.element)
        var strings: [UInt8] = []
        var entries: [UInt8] = []
        let stringsAt = headerSize + sorted.count * entrySize
        for library in sorted {
            let path = Array(library.path.utf8)
            let name = Array(library.soname.utf8)
            let pathAt = stringsAt + strings.count
            strings += path + [0]
            var nameAt = pathAt + path.count - name.count
            // A path ends with its name in most cases, and one text serves both.
            if !path.reversed().starts(with: name.reversed()) {
                nameAt = stringsAt + strings.count
                strings += name + [0]
            }
            entries += little(flags(architecture)) + little(UInt32(nameAt)) + little(UInt32(pathAt))
            entries += [UInt8](repeating: 0, count: entrySize - 12)
        }
        var header = Array("glibc-ld.so.cache1.1".utf8)
        header += little(UInt32(sorted.count)) + little(UInt32(strings.count))
        // Little-endian; no extensions.
        header += [2] + [UInt8](repeating: 0, count: headerSize - header.count - 1)
        return header + entries + strings
    }

    /// A library for glibc (3) of the architecture's 64-bit interface.
    private static func flags(_ architecture: Architecture) -> UInt32 {
        switch architecture {
        case .amd64: 0x0303
        case .arm64: 0x0a03
        }
    }

    private static func little(_ value: UInt32) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }

    /// The order of the loader's binary search: numbers in names count as numbers, and a digit above all
    /// else.
    static func compare(_ left: String, _ right: String) -> Int {
        var left = Array(left.utf8)[...]
        var right = Array(right.utf8)[...]
        func isDigit(_ byte: UInt8?) -> Bool { byte.map { (0x30...0x39).contains($0) } ?? false }
        func takeNumber(_ text: inout ArraySlice<UInt8>) -> Int32 {
            var value: Int32 = 0
            while let digit = text.first, isDigit(digit) {
                value = value &* 10 &+ Int32(digit - 0x30)
                text.removeFirst()
            }
            return value
        }
        while let first = left.first {
            let second = right.first
            if isDigit(first) {
                guard isDigit(second) else { return 1 }
                let (one, other) = (takeNumber(&left), takeNumber(&right))
                if one != other { return one < other ? -1 : 1 }
            } else if isDigit(second) {
                return -1
            } else if first != second {
                return Int(first) - Int(second ?? 0)
            } else {
                left.removeFirst()
                right.removeFirst()
            }
        }
        return right.isEmpty ? 0 : -1
    }
}
